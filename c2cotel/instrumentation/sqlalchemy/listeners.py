"""SQL through SQLAlchemy: a timer for each statement and each commit, spans, the request's id in PostgreSQL's log.

One pair of listeners on the `Engine` class serves every engine, also those made before `setup`; what a statement needs
between them is kept on its execution context, so that a failed one leaves nothing behind.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any
from weakref import ref

from opentelemetry.metrics import NoOpMeterProvider
from pyramid.threadlocal import get_current_request
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from c2cotel.config.settings import SqlSettings, StatsdSettings
from c2cotel.delivery.guard import Guard
from c2cotel.instrumentation.sqlalchemy.names import sql_name
from c2cotel.instrumentation.sqlalchemy.pools import observe_pools
from c2cotel.metrics.instruments import COMMIT, SQL
from c2cotel.metrics.recorder import Series
from c2cotel.otel.contrib import free_instrumentor
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.runtime.telemetry import Telemetry

_logger = logging.getLogger(__name__)

_SYSTEMS = {"postgresql": "postgresql", "sqlite": "sqlite", "mysql": "mysql", "mariadb": "mariadb"}
_START = "_c2c_start"
_NOTED = "_c2c_noted"
_REQUEST_ID = "_c2c_request_id"
"""Where the info of a connection has the id that its transaction is still to carry."""
_SET = re.compile(r"\s*(?:/\*.*?\*/\s*)?SET\s", re.IGNORECASE | re.DOTALL)
_PLACEHOLDERS = {"format": "%s", "pyformat": "%s", "numeric_dollar": "$1", "qmark": "?"}
_MOST_STATEMENTS = 2000
_LONGEST_STATEMENT = 10_000
_LONGEST_NAME = 63
"""Bytes that PostgreSQL keeps of an `application_name`."""


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Measure every engine of this process; returns what takes it out again."""
    listeners = [*_timers(telemetry), *_guarded(_commit_timers(telemetry), "A commit could not be measured")]
    if telemetry.settings.section(SqlSettings).request_id:
        listeners += _guarded(_request_id_setters(), "The id of a request could not be told to PostgreSQL")
    # Without a lock, which a fork could leave locked in the child.
    engines: dict[int, ref[Engine]] = {}
    guard = Guard(_logger, "A statement could not be measured")
    remove_spans = _no_spans
    if telemetry.tracer is not None:
        attach, remove_spans = _spans(telemetry)
    else:
        attach = _nothing

    def first_use(connection: Connection) -> None:
        engine = getattr(connection.engine, "_proxied", connection.engine)
        key = id(engine)
        if key not in engines:
            ours = ref(engine, lambda _: engines.pop(key, None))
            if engines.setdefault(key, ours) is ours:
                with guard:
                    attach(engine)

    listeners.append((Engine, "engine_connect", first_use))
    for target, name, listener in listeners:
        event.listen(target, name, listener)

    def used() -> list[Engine]:
        return [engine for each in list(engines.values()) if (engine := each()) is not None]

    stop_observing = observe_pools(telemetry, used)

    def undo() -> None:
        stop_observing()
        for target, name, listener in listeners:
            event.remove(target, name, listener)
        remove_spans()

    return undo


def _timers(telemetry: Telemetry) -> list[tuple[Any, str, Callable[..., None]]]:
    clock = telemetry.clock
    recorder = telemetry.recorder
    literals = telemetry.settings.section(StatsdSettings).names_2018
    statements: dict[tuple[str, str], Series] = {}
    note = telemetry.statements.note
    guard = Guard(_logger, "A statement could not be measured")

    def series_of(statement: str, dialect: str) -> Series:
        summary = sql_name(statement, literals=literals)
        system = _SYSTEMS.get(dialect, dialect)
        series = recorder.series(SQL, {"db.query.summary": summary, "db.system.name": system})
        if len(statements) >= _MOST_STATEMENTS:
            statements.clear()
        if len(statement) <= _LONGEST_STATEMENT:
            statements[statement, dialect] = series
        return series

    def before_execute(_: Any, __: Any, ___: str, ____: Any, context: Any, _____: bool) -> None:
        if context is not None and not is_suppressed():
            setattr(context, _START, clock())

    def after_execute(connection: Connection, cursor: Any, statement: str, _: Any, context: Any, __: bool) -> None:
        start = getattr(context, _START, None)
        if start is not None:
            try:
                seconds = clock() - start
                dialect = connection.dialect.name
                series = statements.get((statement, dialect)) or series_of(statement, dialect)
                if telemetry.measures:
                    series.record(seconds)
                if not hasattr(context, _NOTED):  # one execution may send its rows in many statements
                    setattr(context, _NOTED, True)
                    note(series, seconds, cursor, statement)
            except Exception as error:  # noqa: BLE001  # the statement has succeeded
                guard.about(error)

    return [(Engine, "before_cursor_execute", before_execute), (Engine, "after_cursor_execute", after_execute)]


def _guarded(
    listeners: list[tuple[Any, str, Callable[..., None]]], message: str
) -> list[tuple[Any, str, Callable[..., None]]]:
    """The listeners, none of which can raise into the application's transaction."""
    guard = Guard(_logger, message)

    def quiet(listener: Callable[..., None]) -> Callable[..., None]:
        def listen(*args: Any) -> None:
            try:
                listener(*args)
            except Exception as error:  # noqa: BLE001  # whatever it is, the application's statement goes on
                guard.about(error)

        return listen

    return [(target, name, quiet(listener)) for target, name, listener in listeners]


def _commit_timers(telemetry: Telemetry) -> list[tuple[Any, str, Callable[..., None]]]:
    clock = telemetry.clock
    recorder = telemetry.recorder
    commits: dict[str, Series] = {}

    def before_commit(session: Session) -> None:
        if not session.in_nested_transaction() and not is_suppressed():  # a savepoint is no commit
            session.info[_START] = clock()

    def after_commit(session: Session) -> None:
        if session.in_nested_transaction():
            return
        start = session.info.pop(_START, None)
        if start is not None and telemetry.measures:
            system = _system_of(session)
            series = commits.get(system)
            if series is None:
                attributes = {"db.operation.name": "COMMIT", "db.system.name": system}
                series = commits[system] = recorder.series(COMMIT, attributes)
            series.record(clock() - start)

    return [(Session, "before_commit", before_commit), (Session, "after_commit", after_commit)]


def _system_of(session: Session) -> str:
    bind = getattr(session, "c2c_rw_bind", None) or session.bind
    dialect = getattr(getattr(bind, "dialect", None), "name", "other_sql")
    return _SYSTEMS.get(dialect, dialect)


def _request_id_setters() -> list[tuple[Any, str, Callable[..., None]]]:
    """Listeners that make the request's id the `application_name` of each transaction in PostgreSQL.

    It is set just before the transaction's first statement other than a ``SET``: ``SET TRANSACTION ISOLATION LEVEL``
    must be the first of all. By the driver itself: no timer, no span.
    """

    def after_begin(_: Session, __: Any, connection: Connection) -> None:
        if connection.dialect.name == "postgresql" and (request := get_current_request()) is not None:
            request_id = getattr(request, "c2c_request_id", None)
            if request_id is not None:  # else a dummy request of a test
                connection.info[_REQUEST_ID] = request_id

    def before_execute(connection: Connection, _: Any, statement: str, *__: Any) -> None:
        if _REQUEST_ID in connection.info and not _SET.match(statement):
            _set_application_name(connection, connection.info.pop(_REQUEST_ID))

    def forget(connection: Connection) -> None:
        connection.info.pop(_REQUEST_ID, None)

    return [
        (Session, "after_begin", after_begin),
        (Engine, "before_cursor_execute", before_execute),
        (Engine, "commit", forget),
        (Engine, "rollback", forget),
    ]


def _set_application_name(connection: Connection, request_id: str) -> None:
    """Set it until the end of the transaction, so that a pooled connection never carries a past id."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(
            f"SELECT set_config('application_name', {_PLACEHOLDERS[connection.dialect.paramstyle]}, true)",
            (request_id.encode()[:_LONGEST_NAME].decode("ascii", "ignore"),),
        )
    finally:
        cursor.close()


def _spans(telemetry: Telemetry) -> tuple[Callable[[Engine], None], Callable[[], None]]:
    """Contrib's tracer for each engine; not its instrumentor, which reaches only engines that are made later."""
    if free_instrumentor("sqlalchemy", "SQLAlchemyInstrumentor") is None:
        return _nothing, _no_spans
    from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer  # noqa: PLC0415  # the extra is there

    usage = NoOpMeterProvider().get_meter("c2cotel").create_up_down_counter("db.client.connections.usage")

    def attach(engine: Engine) -> None:
        make: Any = EngineTracer
        make(telemetry.tracer, engine, usage)

    return attach, EngineTracer.remove_all_event_listeners


def _nothing(_: Engine) -> None:
    return None


def _no_spans() -> None:
    return None
