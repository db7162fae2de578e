"""What belongs to a request beside its view: bodies, callbacks, attempts, sub-requests (contract 2, 3, 6, 9)."""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import requests
from opentelemetry import trace
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.threadlocal import get_current_request
from pyramid_retry import RetryableException

from c2cotel import stats
from c2cotel.logs import JsonLogHandler
from c2cotel.testing import Recorded
from tests.apps.application import Application, start_response, view
from tests.servers.sentry import Sentry

LOGGER = logging.getLogger("beyond")
ID = {"X-Request-ID": "the-id"}


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The JSON lines of `LOGGER`, read when the test asks."""
    stream = StringIO()
    handler = JsonLogHandler(stream)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    read = _Lines(stream)
    yield read
    LOGGER.removeHandler(handler)


class _Lines(list[dict[str, Any]]):
    def __init__(self, stream: StringIO) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(map(json.loads, self._stream.getvalue().splitlines()))


def one_span(recorded: Recorded, name: str) -> Any:
    (span,) = (span for span in recorded.spans if span.name == name)
    return span


# ---- a body that is made while it is sent


def streaming(request: Request) -> Response:
    def body() -> Iterator[bytes]:
        LOGGER.info("first")
        with stats.timer_context(["part"]):
            yield b"a"
        LOGGER.info("second")
        if "fail" in request.GET:
            raise RuntimeError("no more")
        yield b"b"

    return Response(app_iter=body(), content_length=2)


def test_a_streamed_body_has_the_ids_of_its_request(c2cotel_recorded: Recorded, lines: list[dict[str, Any]]) -> None:
    app = Application(configure=view(streaming))
    assert app.http.get("/hello", headers=ID).body == b"ab"
    server, part = one_span(c2cotel_recorded, "GET /hello"), one_span(c2cotel_recorded, "part")
    assert {line["request_id"] for line in lines} == {"the-id"}
    assert {line["trace_id"] for line in lines} == {f"{server.context.trace_id:032x}"}
    assert part.parent.span_id == server.context.span_id
    assert server.end_time >= part.end_time
    assert get_current_request() is None
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_error_in_a_streamed_body_makes_its_span_an_error(c2cotel_recorded: Recorded) -> None:
    app = Application(configure=view(streaming))
    with pytest.raises(RuntimeError, match="no more"):
        app.http.get("/hello?fail=1")
    server = one_span(c2cotel_recorded, "GET /hello")
    assert server.status.status_code is trace.StatusCode.ERROR
    assert server.attributes["error.type"] == "RuntimeError"
    assert server.attributes["http.response.status_code"] == 200


def test_a_body_that_nobody_reads_ends_its_span_when_it_is_closed(c2cotel_recorded: Recorded) -> None:
    app = Application(configure=view(streaming))
    body: Any = app.wsgi(Request.blank("/hello").environ, start_response)
    assert c2cotel_recorded.spans == []
    body.close()
    assert one_span(c2cotel_recorded, "GET /hello").status.status_code is trace.StatusCode.UNSET


def test_a_streamed_answer_keeps_its_length() -> None:
    app = Application(configure=view(streaming))
    assert app.http.get("/hello").headers["Content-Length"] == "2"


# ---- callbacks


def test_callbacks_and_what_they_log_belong_to_the_request(
    c2cotel_recorded: Recorded, lines: list[dict[str, Any]]
) -> None:
    def calling_back(request: Request) -> Response:
        request.add_response_callback(lambda *_: LOGGER.info("response"))
        request.add_finished_callback(lambda _: LOGGER.info("finished"))
        return Response("ok")

    Application(configure=view(calling_back)).http.get("/hello", headers=ID)
    server = one_span(c2cotel_recorded, "GET /hello")
    assert [(line["msg"], line["request_id"], line["trace_id"]) for line in lines] == [
        (name, "the-id", f"{server.context.trace_id:032x}") for name in ("response", "finished")
    ]


# ---- attempts


def retrying(failures: int) -> Any:
    seen: list[int] = []

    def attempt(request: Request) -> dict[str, Any]:
        seen.append(1)
        if len(seen) <= failures:
            raise RetryableException("again")
        return {"id": request.c2c_request_id, "attempts": len(seen)}

    def configure(config: Configurator) -> None:
        config.include("pyramid_retry")
        config.add_settings({"retry.attempts": 3})
        view(attempt, renderer="json")(config)

    return configure


@pytest.mark.parametrize(("failures", "status", "errors"), [(2, 200, 0), (3, 500, 1)])
def test_attempts_are_one_request(
    c2cotel_recorded: Recorded, caplog: pytest.LogCaptureFixture, failures: int, status: int, errors: int
) -> None:
    app = Application({"retry.attempts": "3"}, configure=retrying(failures))
    answer = app.http.get("/hello", headers=ID, status=status)
    assert answer.headers["X-Request-ID"] == "the-id"
    names = [line.partition(":")[0] for line in c2cotel_recorded.lines if line.startswith("route")]
    assert names == [f"route.GET.attempt.{status}"]
    assert len([span for span in c2cotel_recorded.spans if span.name == "GET /hello"]) == 1
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == errors


@pytest.mark.parametrize(("failures", "status", "events"), [(2, 200, 0), (3, 500, 1)])
def test_attempts_are_one_event_of_sentry(
    monkeypatch: pytest.MonkeyPatch, failures: int, status: int, events: int
) -> None:
    sentry = Sentry()
    monkeypatch.setenv("SENTRY_URL", sentry.url)
    app = Application({"retry.attempts": "3"}, configure=retrying(failures))
    app.http.get("/hello", headers=ID, status=status)
    app.finish()
    assert [event["tags"]["request_id"] for event in sentry.events] == ["the-id"] * events
    sentry.close()


# ---- Sentry's scope


def test_what_a_request_sets_in_sentrys_scope_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sentry_sdk

    def failing(request: Request) -> None:
        if "user" in request.GET:
            sentry_sdk.set_user({"id": request.GET["user"]})
            sentry_sdk.add_breadcrumb(message="crumb")
        raise RuntimeError("boom")

    sentry = Sentry()
    monkeypatch.setenv("SENTRY_URL", sentry.url)
    app = Application(configure=view(failing))
    app.http.get("/hello?user=alice", status=500)
    app.http.get("/hello", status=500)
    app.finish()
    first, second = sentry.events
    assert first["user"] == {"id": "alice"}
    assert "user" not in second
    assert "crumb" not in str(second.get("breadcrumbs"))
    sentry.close()


# ---- records and handlers


def test_records_keep_their_ids_behind_other_handlers(c2cotel_recorded: Recorded) -> None:
    stream = StringIO()
    buffered = logging.handlers.MemoryHandler(3, target=JsonLogHandler(stream))
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    queued = logging.handlers.QueueHandler(records)
    logger = logging.getLogger("behind")
    logger.setLevel(logging.INFO)
    logger.addHandler(buffered)
    logger.addHandler(queued)

    def logging_view(request: Request) -> dict[str, str]:
        logger.info("hello")
        return {}

    app = Application(configure=view(logging_view, renderer="json"))
    try:
        for number in range(3):
            app.http.get("/hello", headers={"X-Request-ID": f"id-{number}"})
        listener = logging.handlers.QueueListener(records, JsonLogHandler(stream))
        for _ in range(3):
            listener.handle(records.get())
    finally:
        logger.removeHandler(buffered)
        logger.removeHandler(queued)
    lines = list(map(json.loads, stream.getvalue().splitlines()))
    assert [line["request_id"] for line in lines] == ["id-0", "id-1", "id-2"] * 2
    traces = [f"{span.context.trace_id:032x}" for span in c2cotel_recorded.spans if span.name == "GET /hello"]
    assert [line["trace_id"] for line in lines] == traces * 2


def test_a_line_logged_while_the_span_starts_changes_no_id(c2cotel_recorded: Recorded) -> None:
    app = Application(configure=_id)
    headers = {"baggage": "=;", "traceparent": "nonsense"}
    answer = app.http.get("/hello", headers=headers)
    server = one_span(c2cotel_recorded, "GET /hello")
    assert answer.text.replace("-", "") == answer.headers["X-Request-ID"].replace("-", "")
    assert answer.text.replace("-", "") == f"{server.context.trace_id:032x}"


def _id(config: Configurator) -> None:
    def id_of(request: Request) -> Response:
        return Response(request.c2c_request_id)

    view(id_of)(config)


# ---- sub-requests


@pytest.mark.parametrize("use_tweens", [False, True])
def test_a_sub_request_has_timers_of_its_own(c2cotel_recorded: Recorded, use_tweens: bool) -> None:
    def inner(request: Request) -> dict[str, str]:
        return {}

    def failing(request: Request) -> None:
        raise ValueError("inside")

    def outer(request: Request) -> Any:
        for path in ("/inner", "/failing"):
            try:
                request.invoke_subrequest(Request.blank(path), use_tweens=use_tweens)
            except ValueError:
                continue
        return {}

    def configure(config: Configurator) -> None:
        view(inner, "/inner", renderer="json")(config)
        view(failing, "/failing")(config)
        view(outer, "/outer", renderer="json")(config)

    Application({"c2c.disable_exception_handling": "1"}, configure=configure).http.get("/outer")
    names = sorted(line.partition(":")[0] for line in c2cotel_recorded.lines)
    assert names == [
        "render.GET.inner.200",
        "render.GET.outer.200",
        "route.GET.failing.500",
        "route.GET.inner.200",
        "route.GET.outer.200",
    ]


# ---- outgoing requests


def test_a_request_that_is_sent_again_carries_the_id_of_now(
    c2cotel_recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = requests.Request("GET", "http://service.invalid/").prepare()
    sent: list[dict[str, str]] = []

    def send(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        sent.append(dict(request.headers))
        answer = requests.Response()
        answer.status_code, answer.request = 200, request
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    session = requests.Session()

    def calling(request: Request) -> dict[str, str]:
        session.send(prepared, timeout=1)
        return {}

    app = Application(configure=view(calling, renderer="json"))
    for number in range(2):
        app.http.get("/hello", headers={"X-Request-ID": f"id-{number}"})
    app.finish()
    monkeypatch.undo()
    assert [headers["X-Request-ID"] for headers in sent] == ["id-0", "id-1"]
    assert len({headers["traceparent"] for headers in sent}) == 2
    assert {"X-Request-ID", "traceparent"}.isdisjoint(prepared.headers)


# ---- what an application does at its worst


def test_an_exception_whose_text_cannot_be_made_stays_the_applications(c2cotel_recorded: Recorded) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def failing(request: Request) -> None:
        with stats.outcome_timer_context(["part"]):
            raise MuteError

    app = Application({"c2c.disable_exception_handling": "1"}, configure=view(failing))
    with pytest.raises(MuteError):
        app.http.get("/hello")
    assert [line for line in c2cotel_recorded.lines if line.startswith("part.failure:")]
    assert {span.name for span in c2cotel_recorded.spans} == {"GET /hello", "part"}
