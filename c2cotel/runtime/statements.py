"""SQL statements that a request sends again and again, and those that are slow, with the application's own line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any

from opentelemetry import trace
from pyramid.threadlocal import manager

from c2cotel import redaction
from c2cotel.config.settings import SqlSettings
from c2cotel.delivery.guard import Guard
from c2cotel.metrics.instruments import SQL_REPEATS
from c2cotel.metrics.recorder import Recorder, Series
from c2cotel.runtime.call_site import CallSite, CallSites
from c2cotel.runtime.flight.entry import ENTRY
from c2cotel.runtime.request_scope import SCOPE, Scope
from c2cotel.stats.on_purpose import is_on_purpose

_logger = logging.getLogger("c2cotel.sql")

_HOUR = 3600.0
_MOST_SITES = 1000
_MOST_STATEMENTS = 1000
_LONGEST_STATEMENT = 2000
_ROWS_OF_A_PAGE = 20
"""Rows from which on a statement that comes again reads pages: what is loaded one by one has few."""


class Repeated:
    """How often a request has sent a statement.

    Attributes:
        n: Number of times.
        seconds: Their time together.
        site: The line that sends it, once it came often.
        is_meant: Whether that is as it should be.
    """

    __slots__ = ("is_meant", "n", "seconds", "site")

    def __init__(self) -> None:
        self.is_meant = False
        self.n = 0
        self.seconds = 0.0
        self.site: CallSite | None = None


class Statements:
    """Watches the statements of all requests.

    Args:
        settings: What is too often, and what is slow.
        recorder: Counts repeated statements.
        measures: Tells whether anything reads measurements.

    Attributes:
        counts: Whether the statements of each request are counted.
    """

    def __init__(self, settings: SqlSettings, recorder: Recorder, measures: Callable[[], bool]) -> None:
        self._measures = measures
        self._limit = settings.repeats
        self.counts = bool(settings.repeats)
        self._slow = settings.slow
        self._slow_from = settings.slow or inf
        self._sites = CallSites(settings.own_packages)
        self._logged: dict[tuple[str, CallSite | None], float] = {}
        self._counter = recorder.series(SQL_REPEATS, {})
        self._guard = Guard(_logger, "Repeated statements could not be looked at")

    def note(self, series: Series, seconds: float, cursor: Any, statement: str) -> None:
        """Note a statement of the current request.

        Args:
            series: Tells statements of one name from others.
            seconds: Its time.
            cursor: Knows its rows.
            statement: Its text.
        """
        if seconds >= self._slow_from:
            self._tell_slow(seconds, statement)
        stack = manager.stack
        if not stack or not self.counts:
            return
        try:
            scope: Scope = stack[-1]["request"].environ[SCOPE]
        except (AttributeError, KeyError):  # no request, or one of a test
            return
        statements = scope.statements
        if statements is None:
            statements = scope.statements = {}
        if series in statements:
            repeated = statements[series]
            repeated.n += 1
            repeated.seconds += seconds
        else:
            if series.overflow or len(statements) >= _MOST_STATEMENTS:
                return
            repeated = statements[series] = Repeated()
            repeated.n, repeated.seconds = 1, seconds
        if repeated.n == self._limit:
            self._look_at(repeated, cursor, statement)

    def finish(self, environ: dict[str, Any], scope: Scope, span: trace.Span | None) -> None:
        """Tell what a request that has ended sent too often."""
        statements, scope.statements = scope.statements, None
        if not self._limit or not statements:
            return
        repeats = [each for each in statements.items() if each[1].n >= self._limit and not each[1].is_meant]
        if not repeats:
            return
        with self._guard:
            shown = []
            for series, each in repeats:
                query = str(series.attributes.get("db.query.summary", ""))
                if self._measures():
                    self._counter.record(each.n)
                self._tell_repeated(environ, scope, query, each)
                site = each.site
                shown.append(
                    {
                        "query": query,
                        "n": each.n,
                        "ms": round(each.seconds * 1000, 3),
                        "file": None if site is None else site.file,
                        "line": None if site is None else site.line,
                    }
                )
            shown.sort(key=lambda repeat: -float(repeat["n"] or 0))
            entry = environ.get(ENTRY)
            if entry is not None:
                entry.local.attributes = {**(entry.local.attributes or {}), "c2c.sql.repeats": shown}
            if span is not None and span.is_recording():
                worst = shown[0]
                attributes: dict[str, Any] = {"c2c.sql.repeats": worst["n"], "db.query.summary": worst["query"]}
                if worst["file"] is not None:
                    attributes |= {"code.file.path": worst["file"], "code.line.number": worst["line"]}
                span.set_attributes(attributes)

    def _look_at(self, repeated: Repeated, cursor: Any, statement: str) -> None:
        """A statement has come often enough: is that meant, and who sends it?"""
        with self._guard:
            rows = getattr(cursor, "rowcount", -1)
            reads_pages = isinstance(rows, int) and rows >= _ROWS_OF_A_PAGE
            if reads_pages or " offset " in statement[-_LONGEST_STATEMENT:].lower() or is_on_purpose():
                repeated.is_meant = True
            else:
                repeated.site = self._sites.current()

    def _tell_repeated(self, environ: dict[str, Any], scope: Scope, query: str, repeated: Repeated) -> None:
        if self._is_due("repeated", repeated.site):
            route = getattr(scope.request, "matched_route", None)
            _logger.warning(
                "%s %s (route %s) sent the same statement %d times, %.0f ms in all, from %s: %s (C2C_SQL_REPEATS=%d; "
                "logged once an hour for this line)",
                environ["REQUEST_METHOD"],
                redaction.path(environ),
                "none" if route is None else route.name,
                repeated.n,
                repeated.seconds * 1000,
                repeated.site or "a line that is not the application's",
                query,
                self._limit,
            )

    def _tell_slow(self, seconds: float, statement: str) -> None:
        with self._guard:
            site = self._sites.current()
            if self._is_due("slow", site):
                _logger.warning(
                    "A statement took %.2f s, from %s (C2C_SLOW_SQL=%gs; logged once an hour for this line): %s",
                    seconds,
                    site or "a line that is not the application's",
                    self._slow,
                    redaction.cut(statement, _LONGEST_STATEMENT),
                )

    def _is_due(self, kind: str, site: CallSite | None) -> bool:
        """Whether a line of code was not told of within the hour."""
        now = monotonic()
        key = kind, site
        if now - self._logged.get(key, -_HOUR) < _HOUR:
            return False
        if len(self._logged) >= _MOST_SITES:
            self._logged.clear()
        self._logged[key] = now
        return True
