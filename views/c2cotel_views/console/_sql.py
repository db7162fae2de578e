"""The statements of all processes: which cost most, which are sent again and again."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import request_history
from c2cotel_views import _plans
from c2cotel_views._formats import Texts, ms
from c2cotel_views._frame import framed
from c2cotel_views._request_rows import LIST
from c2cotel_views._tables import Column, table
from c2cotel_views._view import SERVED
from c2cotel_views.console._figures import milliseconds
from c2cotel_views.console._switch import WINDOW, statements_of

ROUTE = "c2c_sql"
_PROFILER = "c2c_sql_profiler"
_MANY = 10
_COLUMNS = {
    "query": Column("statement", lambda each: each["query"], numeric=False),
    "total": Column("total", lambda each: each["total_ms"]),
    "share": Column("share", lambda each: each["share"], spare=True),
    "n": Column("calls", lambda each: each["n"]),
    "mean": Column("mean ms", lambda each: each["mean_ms"], spare=True),
    "p95": Column("p95 ms", lambda each: each["p95_ms"], spare=True),
    "repeats": Column("most in one request", lambda each: each["max_repeats"]),
    "routes": Column("routes", lambda each: each["routes"], numeric=False, spare=True),
}


def page(request: Request) -> Response:
    """The statements."""
    executed, silent = statements_of(request)
    texts = Texts()
    has_profiler = _serves(request, _PROFILER)
    whole = sum(each.durations.total for each in executed.values()) or 1.0
    rows = [_row(query, each, whole, texts) for query, each in executed.items()]
    return framed(
        request,
        "sql.html",
        ROUTE,
        title="SQL",
        window=WINDOW(request),
        windows=request_history.WINDOWS,
        table=table(request, rows, _COLUMNS, lambda each: f"{each['query']} {' '.join(each['routes'])}", "total"),
        silent=silent,
        requests_url=request.route_path(LIST),
        profiler_url=request.route_path(_PROFILER) if has_profiler else None,
        plans=[
            {"at": each["at"], "statement": texts.cut(each["statement"]), "plan": texts.cut(each["plan"], 8000)}
            for each in (_plans.latest() if has_profiler else ())
        ],
    )


def _row(query: str, totals: Any, whole: float, texts: Texts) -> dict[str, Any]:
    durations = totals.durations
    p95 = milliseconds(durations, 95)
    mean = durations.total * 1000 / durations.nb if durations.nb else 0.0
    return {
        "query": texts.cut(query, 500),
        "total_ms": durations.total * 1000,
        "share": durations.total / whole,
        "n": durations.nb,
        "mean_ms": mean,
        "mean": ms(mean),
        "p95_ms": p95,
        "p95": ms(p95),
        "max_repeats": totals.max_repeats,
        "repeats": totals.max_repeats >= _MANY,
        "routes": [texts.line(name, 80) for name in totals.routes],
    }


def _serves(request: Request, route: str) -> bool:
    return any(row.route == route for row in request.registry[SERVED])
