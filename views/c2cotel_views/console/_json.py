"""The JSON behind the console's pages."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request

from c2cotel.plugin import request_history
from c2cotel_views.console._figures import milliseconds, shares
from c2cotel_views.console._switch import WINDOW, overview_of, statements_of


def overview(request: Request) -> dict[str, Any]:
    """Rates, failures, percentiles and where the time goes, of all processes."""
    view: request_history.Overview = overview_of(request)
    series: dict[str, list[float]] = {
        "requests": [each.durations.nb for each in view.steps],
        "failed": [each.failed for each in view.steps],
    }
    for percent in (50, 95, 99):
        series[f"p{percent}_ms"] = [milliseconds(each.durations, percent) for each in view.steps]
    return {
        "window": WINDOW(request),
        "step_s": view.step,
        "series": series,
        "routes": [
            {
                "method": method,
                "route": name,
                "rate": round(totals.durations.nb / view.covered, 4),
                "failed": totals.failed,
                **{f"p{percent}_ms": milliseconds(totals.durations, percent) for percent in (50, 95, 99)},
                "share": shares(totals),
            }
            for (method, name), totals in by_total_time(view.routes.routes)
        ],
        "processes": [
            {
                "host": each.host,
                "pid": each.pid,
                "version": each.version,
                "up_s": round(max(0.0, view.now - each.start), 1),
                "memory_bytes": each.memory,
                "running": each.running,
                "threads": each.threads,
                "rate": each.rate,
            }
            for each in view.processes
        ],
        "deaths": view.deaths,
        "overflowing": view.overflowing,
    }


def statements(request: Request) -> dict[str, Any]:
    """The statements of all processes, by total time."""
    executed, _ = statements_of(request)
    return {
        "statements": [
            {
                "query": query,
                "n": each.durations.nb,
                "total_ms": round(each.durations.total * 1000, 3),
                "p95_ms": milliseconds(each.durations, 95),
                "max_repeats": each.max_repeats,
                "routes": list(each.routes),
            }
            for query, each in by_total_time(executed)
        ]
    }


def by_total_time(totals: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Routes or statements, those first on which most time was spent."""
    return sorted(totals.items(), key=lambda each: (-each[1].durations.total, each[0]))
