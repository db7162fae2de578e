"""The first page of the console: rates, failures, response times and where the time goes, of all processes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import flight_search, request_history, telemetry_of
from c2cotel_views import console
from c2cotel_views._formats import Texts, ms, percent, rate
from c2cotel_views._frame import framed
from c2cotel_views._request_rows import LIST, for_rows
from c2cotel_views._tables import Column, table

_NEWEST = 8
_ROUTES = 12
"""Routes on a page of the table."""

_COLUMNS = {
    "route": Column("route", lambda each: each["name"], numeric=False),
    "rate": Column("req/s", lambda each: each["n"]),
    "failed": Column("failed", lambda each: each["failed_share"]),
    "p50": Column("p50", lambda each: each["p50"], spare=True),
    "p95": Column("p95", lambda each: each["p95"]),
    "p99": Column("p99 ms", lambda each: each["p99"], spare=True),
    "time": Column("where the time goes", lambda each: each["total"], spare=True, drawn=True),
}


def view(request: Request, route: str) -> Response:
    """The page.

    Args:
        request: The request for it.
        route: Its own, which the navigation marks.
    """
    answer = console.overview_of(request)
    texts = Texts()
    routes = [_route(key, totals, answer, texts) for key, totals in answer.routes.routes.items()]
    return framed(
        request,
        "overview.html",
        route,
        title="Overview",
        window=console.WINDOW(request),
        windows=request_history.WINDOWS,
        cards=_cards(answer, routes),
        chart=_chart(answer),
        routes=table(request, routes, _COLUMNS, lambda each: str(each["name"]), "time", _ROUTES),
        routes_known=len(routes),
        kinds=console.TITLES,
        processes=[console.process_row(each, answer.now, texts) for each in answer.processes],
        troubles=console.troubles(answer, texts),
        processes_url=request.route_path("c2c_processes"),
        requests_url=request.route_path(LIST),
        newest=_newest(request, answer),
        overflowing=[texts.line(name, 100) for name in answer.overflowing],
        silent=answer.silent,
        refresh=5 if answer.step < 60 else 60,  # noqa: PLR2004  # seconds
        **for_rows(request),
    )


def _route(key: tuple[str, str], totals: Any, answer: Any, texts: Texts) -> dict[str, Any]:
    number = totals.durations.nb
    parts = console.shares(totals)
    return {
        "name": texts.line(f"{key[0]} {key[1]}", 100),
        "route": key[1],
        "n": number,
        "rate": number / answer.covered,
        "failed": totals.failed,
        "failed_share": totals.failed / number if number else 0.0,
        **{f"p{each}": console.milliseconds(totals.durations, each) for each in (50, 95, 99)},
        "total": totals.durations.total,
        "bar": console.bar(parts),
    }


def _cards(answer: Any, routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    every, steps = answer.all, answer.steps[:-1]  # the last step is not over
    number = every.durations.nb
    span = console.span(min(answer.covered, len(answer.steps) * answer.step))
    worst = max(routes, key=lambda each: each["failed"], default=None)
    of_them = ""
    if worst is not None and every.failed:
        of_them = f"; {worst['failed'] / every.failed:.0%} of them {worst['name']}".replace("%", "\u202f%")
    p50, p95, p99 = (console.milliseconds(every.durations, each) for each in (50, 95, 99))
    running = sum(each.running for each in answer.processes)
    threads = [each.threads for each in answer.processes]
    rates = [each.durations.nb / answer.step for each in steps]
    failures = [each.failed / answer.step for each in steps]
    return [
        {
            "colour": "",
            "title": "Requests",
            "big": f"{rate(number / answer.covered)} /s",
            "small": f"{number:,} in {span}",
            "picture": console.picture([("accent", rates)], f"Requests a second, up to {max(rates, default=0):.1f}"),
        },
        {
            "title": "Failed",
            "big": percent(every.failed / number if number else 0.0),
            "small": f"{every.failed:,}{of_them}",
            "colour": "bad" if every.failed else "",
            "picture": console.picture([("bad", failures)], f"Failures a second, up to {max(failures, default=0):.2f}"),
        },
        {
            "colour": "",
            "title": "p95",
            "big": f"{ms(p95)} ms" if number else "-",
            "small": f"p50 {ms(p50)} ms, p99 {ms(p99)} ms" if number else "no requests yet",
            "picture": console.picture([("warn", _percentiles(steps, 95))], "95th percentile of response times"),
        },
        {
            "colour": "",
            "title": "Busy threads" if all(threads) and threads else "Requests in progress",
            "big": f"{running} / {sum(threads)}" if all(threads) and threads else str(running),
            "small": _saturation(answer),
            "picture": console.picture([("good", answer.busy[:-1])], "Requests in progress"),
        },
    ]


def _saturation(answer: Any) -> str:
    words = []
    if answer.all.queue.nb:
        words.append(f"queue p95 {ms(console.milliseconds(answer.all.queue, 95))} ms")
    pools = [each.pool for each in answer.processes if each.pool is not None]
    if pools:
        words.append(f"DB pool {sum(used for used, _ in pools)} / {sum(most for _, most in pools)}")
    count = len(answer.processes)
    return ", ".join([*words, f"{count} process{'' if count == 1 else 'es'}"])


def _chart(answer: Any) -> dict[str, Any]:
    steps = answer.steps[:-1]
    curves = [(colour, _percentiles(steps, each)) for colour, each in (("bad", 99), ("warn", 95), ("soft", 50))]
    top = max((value for _, values in curves for value in values if value), default=0.0)
    times = [datetime.fromtimestamp(answer.start + index * answer.step, timezone.utc) for index in (0, len(steps))]
    return {
        "picture": console.picture(curves, f"Percentiles of response times, up to {top:.0f} ms", filled=False),
        "top": f"{ms(top)} ms",
        "from": times[0].strftime("%H:%M"),
        "until": times[1].strftime("%H:%M"),
        "empty": not top,
    }


def _percentiles(steps: list[Any], share: int) -> list[float | None]:
    return [console.milliseconds(each.durations, share) if each.durations.nb else None for each in steps]


def _newest(request: Request, answer: Any) -> list[dict[str, Any]] | None:
    """The newest requests that failed, were slow or stalled; None without the flight recorder."""
    flight = telemetry_of(request.registry).flight
    if flight is None or not flight.keeps:
        return None
    states = ("failed", "slow", "stalled", "died")
    searches = [flight_search.Filters(state=state, since=answer.start, limit=_NEWEST) for state in states]
    searches.append(flight_search.Filters(state="running", min_ms=1000, limit=_NEWEST))
    asking = str(getattr(request, "c2c_request_id", ""))
    answers = flight_search.find_several(flight, searches, asking)
    unique = {
        (each["host"], each["pid"], each["id"], each["start"]): each for one in answers for each in one["requests"]
    }
    return sorted(unique.values(), key=lambda each: str(each["start"]), reverse=True)[:_NEWEST]
