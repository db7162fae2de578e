"""The flight recorder's pages: the requests of all processes, and each of them with all that happened in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import (
    KEPT,
    ApplicationSettings,
    FlightRecorderSettings,
    Settings,
    Telemetry,
    flight_lines,
    flight_search,
    telemetry_of,
)
from c2cotel_views._formats import Texts
from c2cotel_views._frame import framed, redirect
from c2cotel_views._json import refusal
from c2cotel_views._parameters import Parameter, choice, milliseconds, moment, number, text
from c2cotel_views._request_rows import LIST, RECORD, RECORD_JSON, attempt, for_rows, url
from c2cotel_views._summaries import because, error_of, profile_of, stacks_of
from c2cotel_views._view import View
from c2cotel_views._waterfall import log_lines, repeated, waterfall

_OFF = "The flight recorder is off: set C2C_FLIGHT_RECORDER=1 and start the application again to keep requests"
_SHOWN = 20
"""Requests in each section of the page without filters."""

_LONGEST_ID = 200
_SECTIONS = (("running", "Running"), ("failed", "Failed"), ("slow", "Slow"), (None, "Recent"))


def _status(text: str) -> int:
    digits = text[:1] if text[1:].lower() == "xx" else text
    if digits.isascii() and digits.isdigit() and len(digits) in {1, 3} and text[:1] in "12345":
        return int(digits)
    raise ValueError("an HTTP status such as 404, or a class of them such as 5xx")


def _cursor(text: str) -> str:
    flight_search.position_of(text)
    return text


STATE = choice("state", "Only requests that run, or that are kept for this reason.", None, "running", *KEPT)
ROUTE = text("route", "Only requests of the route with this name.", None)
STATUS: Parameter[int | None] = Parameter("status", "Only this HTTP status, or a class such as `5xx`.", _status, None)
MIN_MS = milliseconds("min_ms", "Only requests that took so long.", None)
SINCE = moment("since", "Only requests that started then or later.", None)
UNTIL = moment("until", "Only requests that started then or earlier.", None)
Q = text("q", "A request id or trace id, or its begin (8 characters or more), or a part of path or error.", None)
LIMIT = number("limit", "How many requests are given at most.", 100, least=1, most=1000)
CURSOR: Parameter[str | None] = Parameter("cursor", "`next` of the answer before, to go on.", _cursor, None)
ATTEMPT = text("attempt", "Which one of several requests with the id: the process id and the start.", None)
FILTERS: tuple[Parameter[Any], ...] = (STATE, ROUTE, STATUS, MIN_MS, SINCE, UNTIL, Q, LIMIT, CURSOR)


def list_as_json(request: Request) -> dict[str, Any]:
    """The requests that match."""
    answer = flight_search.find(_recorder(request), _filters(request), _asking(request))
    for entry in answer["requests"]:
        entry.pop("doing", None)
    return answer


def record_as_json(request: Request) -> dict[str, Any]:
    """The whole record of a request."""
    id = _id(request)  # noqa: A001
    record = _chosen(request, flight_search.get(_recorder(request), id))
    if record is None:
        raise refusal(HTTPNotFound, f"No request with the id {id[:_LONGEST_ID]!r} runs or is kept")
    return record


def list_page(request: Request) -> Response:
    """The requests that match, or without filters those that run, that failed, that were slow and the newest."""
    flight = _flight(request)
    if flight is None:
        return framed(request, "requests_off.html", LIST, title="Requests", message=_OFF)
    filters = _filters(request)
    if filters.q is not None and filters.cursor is None:
        searched = filters.q.strip()
        matching = flight_search.find(flight, flight_search.Filters(q=searched, limit=50), _asking(request))["requests"]
        if any(flight_search.has_id(entry, searched) for entry in matching):
            return redirect(request, request.route_path(RECORD, id=searched))
    unfiltered = filters == flight_search.Filters(limit=filters.limit)
    if unfiltered:
        limit = min(filters.limit, _SHOWN)
        searches = [flight_search.Filters(state=state, limit=limit) for state, _ in _SECTIONS]
        titles = [title for _, title in _SECTIONS]
    else:
        searches, titles = [filters], ["Requests"]
    answers = flight_search.find_several(flight, searches, _asking(request))
    if unfiltered:  # they are on top of the page
        answers[-1]["requests"] = [each for each in answers[-1]["requests"] if each["state"] != "running"]
    return framed(
        request,
        "requests.html",
        LIST,
        title="Requests",
        sections=[
            {"title": title, "state": each.state, **answer, "more": _more(request, each, answer["next"], unfiltered)}
            for title, each, answer in zip(titles, searches, answers, strict=True)
        ],
        processes=answers[0]["processes"],
        silent=[each for each in answers[0]["processes"] if each["silent"]],
        given={each.name: request.GET.get(each.name, "") for each in FILTERS},
        states=("running", *KEPT),
        filtered=not unfiltered,
        refreshes=filters.cursor is None,
        **for_rows(request),
    )


def record_page(request: Request) -> Response:
    """A request with all that happened in it."""
    id = _id(request)  # noqa: A001
    flight = _flight(request)
    records = [] if flight is None else flight_search.get(flight, id)
    record = _chosen(request, records)
    if record is None:
        name, title, message = "no_request.html", "No such request", id[:_LONGEST_ID]
        if flight is None:
            name, title, message = "requests_off.html", "Requests", _OFF
        response = framed(request, name, LIST, title=title, message=message)
        response.status_int = 404
        return response
    texts = Texts()
    values = {
        "rows": waterfall(record, texts),
        "repeated": repeated(record, texts),
        "logs": log_lines(record, texts),
        "error": error_of(record, texts),
        "stacks": stacks_of(record, texts),
        "profile": profile_of(record, texts),
        "annotations": [(texts.line(name, 100), texts.cut(value)) for name, value in record["attributes"].items()],
        "versions": texts.cut(", ".join(f"{name} {version}" for name, version in record["versions"].items())),
        "reason": texts.cut(record["reason"]),
    }
    return framed(
        request,
        "request.html",
        LIST,
        title=texts.line(f"{record['method']} {record['route'] or record['path']}", 100),
        record=record,
        address=texts.line(record["path"] + (f"?{record['query']}" if record["query"] else ""), 500),
        why=because(record),
        json_url=url(request, record, RECORD_JSON, several=len(records) > 1),
        trace_url=request.route_path(RECORD, id=record["trace_id"]) if record["trace_id"] else None,
        requested=id,
        others=[each for each in records if each is not record],
        list_url=request.route_path(LIST),
        debug_url=request.route_path("c2c_debug_token"),
        were_cut=texts.were_cut,
        refreshes=record["state"] == "running",
        **values,
        **for_rows(request, several=True),
    )


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Let this process answer the searches of others."""
    if telemetry.flight is None:
        return lambda: None
    end_search, end_lines = flight_search.serve(telemetry.flight), flight_lines.serve_lines(telemetry.flight)

    def undo() -> None:
        end_search()
        end_lines()

    return undo


def _enabled(settings: Settings) -> bool:
    """Whether there is a place for it, and somebody who may see it or will be missed."""
    application = settings.section(ApplicationSettings)
    recorder = settings.section(FlightRecorderSettings)
    return bool(application.base_path and (application.secret or recorder.enabled))


def _flight(request: Request) -> Any:
    """The flight recorder; None if it is off."""
    flight = telemetry_of(request.registry).flight
    return flight if flight is not None and flight.keeps else None


def _recorder(request: Request) -> Any:
    """The flight recorder.

    Raises:
        HTTPNotFound: It is off.
    """
    flight = _flight(request)
    if flight is None:
        raise refusal(HTTPNotFound, _OFF)
    return flight


def _id(request: Request) -> str:
    return str((request.matchdict or {})["id"])


def _asking(request: Request) -> str:
    return str(getattr(request, "c2c_request_id", ""))


def _filters(request: Request) -> Any:
    return flight_search.Filters(**{each.name: each(request) for each in FILTERS})


def _chosen(request: Request, records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The one of several records that is asked for, else the newest."""
    wanted = ATTEMPT(request)
    return next((each for each in records if wanted in {None, attempt(each)}), None)


def _more(request: Request, filters: Any, cursor: str | None, unfiltered: bool) -> str | None:
    """The address of the requests after those of a section."""
    if cursor is None:
        return None
    given = {each.name: request.GET.get(each.name) for each in FILTERS}
    if unfiltered:
        given = {"state": filters.state}
    query = {name: value for name, value in {**given, "cursor": cursor}.items() if value}
    return str(request.route_path(LIST, _query=query))


VIEWS = (
    View(
        path="/requests",
        route=LIST,
        enabled=_enabled,
        view=list_page,
        title="Requests",
        doc="A page (HTML) of the requests that run, failed, were slow or came last, in all processes.",
        parameters=FILTERS,
        protected=True,
        page=True,
        navigation="Requests",
        install=install,
    ),
    View(
        path="/requests.json",
        route="c2c_requests_json",
        enabled=_enabled,
        view=list_as_json,
        doc="The same as JSON: `requests`, the cursor of the `next` ones, and the `processes` that were asked.",
        parameters=FILTERS,
        protected=True,
    ),
    View(
        path="/requests/{id:.+}.json",
        route=RECORD_JSON,
        enabled=_enabled,
        view=record_as_json,
        doc="The whole record of a request, by its request id or trace id.",
        parameters=(ATTEMPT,),
        protected=True,
    ),
    View(
        path="/requests/{id:.+}",
        route=RECORD,
        enabled=_enabled,
        view=record_page,
        doc="A page (HTML) of a request: its spans with SQL, its log records, its error, its attributes.",
        parameters=(ATTEMPT,),
        protected=True,
    ),
)
