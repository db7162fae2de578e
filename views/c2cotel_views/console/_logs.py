"""The loggers of all processes as a tree, with levels that can be set for a time; what the kept requests logged."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import flight_lines, telemetry_of
from c2cotel_views._formats import Texts
from c2cotel_views._frame import framed
from c2cotel_views._overrides import ROOT
from c2cotel_views._parameters import choice, text
from c2cotel_views._request_rows import RECORD, url
from c2cotel_views._tables import FILTER
from c2cotel_views._view import SERVED
from c2cotel_views.console._figures import span
from c2cotel_views.console._loggers import loggers_of_all

__all__ = ["CHOSEN", "FILTER", "LEAST", "ROUTE", "page"]

ROUTE = "c2c_logs"
CHOSEN = text("name", "The logger whose level the form sets.", "", most=500)
_SETTER = "c2c_logging_level"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LEAST = choice("least", "Lowest level of the lines of kept requests.", "WARNING", *_LEVELS)
_MOST_LINES = 100
_MANY = 40
"""Loggers from which on a group is split."""

_MOST_PARTS = 4
_FEW = 12
"""Loggers up to which all groups are open."""


def page(request: Request) -> Response:
    """What is overridden, a form, all loggers by the first part of their names, and lines of kept requests."""
    loggers, silent = loggers_of_all()
    texts = Texts()
    wanted = FILTER(request).strip().lower()
    rows = [_row(each, texts) for each in loggers if wanted in each["name"].lower()]
    groups = _groups(rows)
    is_served = any(row.route == _SETTER for row in request.registry[SERVED])
    return framed(
        request,
        "logs.html",
        ROUTE,
        title="Logs",
        overrides=[_row(each, texts) for each in loggers if each["override"]],
        groups=[
            {
                "name": name,
                "rows": members,
                "open": (bool(wanted) and len(rows) <= _MANY)
                or len(rows) <= _FEW
                or any(each["override"] for each in members),
            }
            for name, members in groups.items()
        ],
        count=len(loggers),
        shown=len(rows),
        filter=FILTER(request),
        chosen=CHOSEN(request),
        names=[texts.line(each["name"], 200) for each in loggers[:1000]],
        levels=_LEVELS,
        set_url=request.route_path(_SETTER) if is_served else None,
        logs_url=request.route_path(ROUTE),
        silent=silent,
        least=LEAST(request),
        lines=_lines(request, wanted, texts),
    )


def _lines(request: Request, wanted: str, texts: Texts) -> list[dict[str, Any]] | None:
    """What the newest kept requests logged; None where none is kept."""
    flight = telemetry_of(request.registry).flight
    if flight is None or not flight.keeps or not any(row.route == RECORD for row in request.registry[SERVED]):
        return None
    return [
        {
            **each,
            "url": url(request, each, RECORD, several=True),
            "logger": texts.line(each["logger"], 100),
            "message": texts.cut(each["message"], 500),
            "request": texts.line(each["request"], 100),
            "is_bad": each["level"] in {"ERROR", "CRITICAL"},
        }
        for each in flight_lines.lines(flight, LEAST(request), wanted)[:_MOST_LINES]
    ]


def _groups(rows: list[dict[str, Any]], parts: int = 1) -> dict[str, list[dict[str, Any]]]:
    """The loggers by the first part of their names; those of a large group by the first two, and so on."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(".".join(row["name"].split(".")[:parts]), []).append(row)
    if parts >= _MOST_PARTS:
        return groups
    split: dict[str, list[dict[str, Any]]] = {}
    for name, members in groups.items():
        split |= _groups(members, parts + 1) if len(members) > _MANY else {name: members}
    return split


def _row(logger: dict[str, Any], texts: Texts) -> dict[str, Any]:
    override = logger["override"]
    left = None if override is None else override["expires_s"]
    return {
        "name": texts.line(logger["name"], 200),
        "depth": 0 if logger["name"] == ROOT else min(6, logger["name"].count(".")),
        "level": logger["level"],
        "is_set": logger["level"] != "NOTSET",
        "effective_level": logger["effective_level"],
        "override": override,
        "is_unknown": bool(logger.get("unknown")),
        "left": "until it is reset" if left is None else f"{span(left)} left",
    }
