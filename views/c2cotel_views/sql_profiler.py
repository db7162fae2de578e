"""`EXPLAIN ANALYZE` of every distinct `SELECT`, switched on and off in all processes while they run.

The plan is made on a connection of its own, in a transaction that is rolled back, so that the application's
transaction cannot notice; what that transaction has not committed is not seen there either.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import sqlparse
from opentelemetry import trace
from pyramid.request import Request

from c2cotel import broadcast, redaction
from c2cotel.plugin import Telemetry, process_state, verbose_request
from c2cotel_views import _plans
from c2cotel_views._parameters import flag

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

ENABLE = flag("enable", "Whether to turn it on or off in all processes. Leave empty to show the state.", default=None)

_logger = logging.getLogger("c2cotel.sql_profiler")
_CHANNEL = "c2c_sql_profiler"
_TIMEOUTS = "SET LOCAL statement_timeout = 10000; SET LOCAL lock_timeout = 1000"
_MOST_STATEMENTS = 10_000
_MOST_PLANS = 50
"""Plans of one request."""


class Profiler:
    """The profiler of this process."""

    def __init__(self) -> None:
        self._listening = False
        self.reset()

    def reset(self) -> None:
        """Off, with no statement seen."""
        self.enabled = False
        self._seen: set[Any] = set()

    def switch(self, enable: bool) -> dict[str, Any]:
        """Turn it on, with no statement seen yet, or off."""
        if enable:
            self.listen()
        if enable and not self.enabled:
            self._seen = set()
        if enable is not self.enabled:
            _logger.warning("The SQL profiler is turned %s", "on" if enable else "off")
        self.enabled = enable
        return {"enabled": enable}

    def listen(self) -> None:
        """See every statement, once for all: a listener cannot go while other threads run statements."""
        if not self._listening and "sqlalchemy" in sys.modules:
            from sqlalchemy import event  # noqa: PLC0415  # an application may have none
            from sqlalchemy.engine import Engine  # noqa: PLC0415

            self._listening = True
            event.listen(Engine, "after_cursor_execute", self._executed)

    def _executed(
        self, connection: Connection, _: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        if executemany or not statement.lstrip()[:7].upper().startswith("SELECT"):
            return
        if not (self._is_new(connection.dialect.name, statement) if self.enabled else _is_wanted(statement)):
            return
        try:
            self._explain(connection, statement, parameters)
        except Exception as error:  # noqa: BLE001  # the application's statement has worked
            shown = redaction.anywhere(f"{type(error).__name__}: {error}")
            _logger.error(  # noqa: TRY400  # the statement's own error says it all
                "No plan could be made: %s\nstatement:\n%s", shown, redaction.anywhere(_pretty(statement))
            )

    def _is_new(self, dialect: str, statement: str) -> bool:
        key = dialect, statement
        if key in self._seen or len(self._seen) >= _MOST_STATEMENTS:
            return False
        self._seen.add(key)
        return True

    def _explain(self, connection: Connection, statement: str, parameters: Any) -> None:
        if connection.dialect.name != "postgresql":
            _logger.warning(
                "%s has no EXPLAIN ANALYZE, only PostgreSQL; statement:\n%s",
                connection.dialect.name,
                redaction.anywhere(_pretty(statement)),
            )
            return
        pool = connection.engine.pool.recreate()  # the same server, and never a connection that the application needs
        try:
            with closing(pool.connect()) as separate, closing(separate.cursor()) as cursor:
                try:
                    cursor.execute(_TIMEOUTS)
                    cursor.execute(f"EXPLAIN ANALYZE {statement}", parameters)
                    plan = "\n".join(row[0] for row in cursor.fetchall())
                finally:
                    separate.rollback()
        finally:
            pool.dispose()
        pretty, values, plan = map(redaction.anywhere, (_pretty(statement), repr(parameters), plan))
        _logger.info("statement:\n%s\nparameters: %s\nplan:\n%s", pretty, values, plan)
        _plans.keep(pretty, plan)
        span = trace.get_current_span()
        if span.is_recording():
            attributes = {"db.query.text": pretty, "c2c.sql_profiler.parameters": values}
            span.add_event("c2c.sql_profiler", {**attributes, "c2c.sql_profiler.plan": plan})


def _is_wanted(statement: str) -> bool:
    """Whether the current request wants the plan of a statement, as a token has asked for."""
    entry = verbose_request()
    if entry is None:
        return False
    if entry.explained is None:
        entry.explained = set()
    if statement in entry.explained or len(entry.explained) >= _MOST_PLANS:
        return False
    entry.explained.add(statement)
    return True


def explain_verbose(telemetry: Telemetry) -> Callable[[], None]:
    """Explain the statements of requests that a token asks everything of; returns what ends that."""
    flight = telemetry.flight
    if flight is None:
        return lambda: None
    listen = process_state(Profiler).listen
    flight.verbose.when.append(listen)
    return lambda: flight.verbose.when.remove(listen)


def _pretty(statement: str) -> str:
    return str(sqlparse.format(statement, reindent=True, keyword_case="upper"))


def _switch(enable: bool) -> dict[str, Any]:
    return process_state(Profiler).switch(enable)


CHANNELS: dict[str, Callable[..., Any]] = {_CHANNEL: _switch, **_plans.CHANNELS}


def install(_: Telemetry) -> Callable[[], None]:
    """Explain nothing before the profiler is switched on; returns what switches it off."""
    return process_state(Profiler).reset


def changes(request: Request) -> bool:
    """Whether a request turns it on or off."""
    return ENABLE(request) is not None


def view(request: Request) -> dict[str, Any]:
    """Tell whether it is on in this process, or switch it in all of them."""
    enable = ENABLE(request)
    if enable is not None:
        broadcast.broadcast(_CHANNEL, {"enable": enable}, expect_answers=True)
    return {"status": 200, "enabled": process_state(Profiler).enabled}
