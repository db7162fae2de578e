"""SQL through SQLAlchemy on SQLite (contract, sections 3 and 4); PostgreSQL is in the modules beside it."""

from __future__ import annotations

import gc
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

import c2cotel
from c2cotel.testing import ScriptedClock
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, plain
from tests.servers.udp import UdpListener


@pytest.fixture
def statsd(udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch) -> UdpListener:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    return udp_listener


def memory_engine() -> Engine:
    return create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def used_twice(engine: Engine) -> None:
    for _ in range(2):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    engine.dispose()


def sent(telemetry: Any, statsd: UdpListener) -> list[str]:
    telemetry.close()
    statsd.settle(0.1)
    return statsd.lines()


def test_statements_and_commits_are_timed_on_every_engine(statsd: UdpListener) -> None:
    clock = ScriptedClock()
    older = memory_engine()
    telemetry = c2cotel.setup(clock=clock)
    for engine in (older, memory_engine()):
        with Session(engine) as session:
            session.execute(text("CREATE TABLE t (a INT)"))
            session.execute(text("INSERT INTO t (a) VALUES (1)"))
            session.execute(text("SELECT a FROM t WHERE a = :a"), {"a": 1})
            session.commit()
    assert sorted(sent(telemetry, statsd)) == sorted(
        2
        * [
            "sql.CREATE_TABLE_t__a_INT_:1|ms",
            "sql.INSERT_INTO_t:1|ms",
            "sql.SELECT_FROM_t_WHERE_a____:1|ms",
            "sql.commit:1|ms",
        ]
    )


def test_the_time_is_that_of_the_statement(statsd: UdpListener) -> None:
    clock = ScriptedClock()
    telemetry = c2cotel.setup(clock=clock)
    engine = memory_engine()

    @event.listens_for(engine, "connect")
    def slow(connection: Any, _: Any) -> None:
        connection.create_function("wait", 1, clock.advance)

    with engine.connect() as connection:
        connection.execute(text("SELECT wait(0.25)"))
    assert sent(telemetry, statsd) == ["sql.SELECT_wait___:250|ms"]


def test_with_tags(statsd: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_USE_TAGS", "1")
    telemetry = c2cotel.setup(clock=ScriptedClock())
    with Session(memory_engine()) as session:
        session.execute(text("SELECT 1"))
        session.commit()
    assert sent(telemetry, statsd) == ["sql:1|ms|#query:SELECT__", "sql.commit:1|ms"]


def test_the_2018_names_keep_literals(statsd: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_2018_NAMES", "1")
    telemetry = c2cotel.setup(clock=ScriptedClock())
    with memory_engine().connect() as connection:
        connection.execute(text("SELECT 42"))
    assert sent(telemetry, statsd) == ["sql.SELECT_42:1|ms"]


def test_a_failed_statement_is_not_timed_and_not_charged_to_the_next(statsd: UdpListener) -> None:
    clock = ScriptedClock()
    telemetry = c2cotel.setup(clock=clock)
    with memory_engine().connect() as connection:
        for _ in range(3):
            with pytest.raises(OperationalError):
                connection.execute(text("SELECT a FROM missing"))
            clock.advance(5)
        connection.execute(text("SELECT 1"))
    assert sent(telemetry, statsd) == ["sql.SELECT__:1|ms"]


def test_the_number_of_listeners_stays_the_same_and_close_takes_all_out(statsd: UdpListener) -> None:
    engine = memory_engine()
    before = len(list(engine.dispatch.before_cursor_execute))
    telemetry = c2cotel.setup()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        during = len(list(engine.dispatch.before_cursor_execute))
        for _ in range(100):
            connection.execute(text("SELECT 1"))
        assert len(list(engine.dispatch.before_cursor_execute)) == during
    telemetry.close()
    assert during == before + 1
    assert len(list(engine.dispatch.before_cursor_execute)) == before


def test_spans_of_statements_are_children_on_old_and_new_engines(
    otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "")
    older = memory_engine()
    telemetry = c2cotel.setup()
    with trace.get_tracer("test").start_as_current_span("parent"):
        for engine in (older, memory_engine()):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                connection.execution_options(stream_results=True).execute(text("SELECT 2"))
    telemetry.close()
    spans = [cast("Span", received.item) for received in otlp.spans]
    (parent,) = (span for span in spans if span.name == "parent")
    children = [span for span in spans if span is not parent]
    assert len(children) == 4
    assert {child.parent_span_id for child in children} == {parent.span_id}
    assert {plain(child.attributes)["db.system.name"] for child in children} == {"sqlite"}
    assert {plain(child.attributes)["db.query.text"] for child in children} == {"SELECT 1", "SELECT 2"}


def test_engines_that_come_and_go_are_each_traced_once(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that lies in memory where an earlier one lay."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    with trace.get_tracer(__name__).start_as_current_span("parent"):
        for _ in range(20):
            used_twice(memory_engine())
            gc.collect()
    telemetry.close()
    assert sum(number for name, number in otlp.span_names().items() if name.startswith("SELECT")) == 40


def test_metrics_have_standard_names_and_the_pool_is_for_otlp_only(
    otlp: OtlpReceiver, statsd: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup(clock=ScriptedClock())
    engine = create_engine("sqlite:///file::memory:?cache=shared&uri=true")
    with Session(engine) as session:
        session.execute(text("SELECT 1"))
        session.commit()
        session.execute(text("SELECT 1"))
        telemetry.flush()
    lines = sent(telemetry, statsd)
    found = {received.item.name: received.item for received in otlp.metrics}
    assert {line.partition(":")[0] for line in lines} == {"sql.SELECT__", "sql.commit"}
    assert set(found) >= {"db.client.operation.duration", "db.client.connection.count"}
    points = [plain(point.attributes) for point in found["db.client.operation.duration"].histogram.data_points]
    assert {"db.query.summary": "SELECT ?", "db.system.name": "sqlite"} in points
    assert {"db.operation.name": "COMMIT", "db.system.name": "sqlite"} in points
    first = next(received.item for received in otlp.metrics if received.item.name == "db.client.connection.count")
    states = {plain(p.attributes)["db.client.connection.state"]: p.as_int for p in first.gauge.data_points}
    assert states == {"used": 1, "idle": 0}


def test_a_savepoint_is_no_commit(statsd: UdpListener) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())
    with Session(memory_engine()) as session:
        with session.begin_nested():
            session.execute(text("SELECT 1"))
        session.commit()
    assert [line for line in sent(telemetry, statsd) if "commit" in line] == ["sql.commit:1|ms"]


def test_the_pools_name_holds_no_password(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{otlp.url}/v1/metrics")
    telemetry = c2cotel.setup()
    engine = create_engine("sqlite:///file::memory:?uri=true&password=hunter2&check_same_thread=false")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        telemetry.flush()
    telemetry.close()
    assert "db.client.connection.count" in otlp.metric_names()
    assert "hunter2" not in str(otlp.metrics)


def test_an_engine_that_is_gone_is_not_kept_alive(statsd: UdpListener) -> None:
    import weakref

    telemetry = c2cotel.setup()
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    gone = weakref.ref(engine)
    engine.dispose()
    del engine, connection

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    wait_until(is_gone, "it is let go, also by the thread that looks at the pools once a second")
    telemetry.close()


def test_sqlalchemy_is_not_imported_for_an_application_without_it() -> None:
    import subprocess
    import sys

    code = (
        "import sys, c2cotel; t = c2cotel.setup(); t.keep_totals(); assert 'sqlalchemy' not in sys.modules\n"
        "import sqlalchemy as s; e = s.create_engine('sqlite://')\n"
        "with e.connect() as c: c.execute(s.text('SELECT 1'))\n"
        "print(sorted(t.totals()['timers']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("['sql/SELECT ?']\n", 0), done.stderr


def test_what_is_suppressed_has_no_timer(statsd: UdpListener) -> None:
    """As OpenTelemetry's own instrumentations have it."""
    telemetry = c2cotel.setup()
    engine = memory_engine()
    with suppress_instrumentation(), Session(engine) as session:
        session.execute(text("SELECT 1"))
        session.commit()
    with engine.connect() as connection:
        connection.execute(text("SELECT 2"))
    assert [line.partition(":")[0] for line in sent(telemetry, statsd)] == ["sql.SELECT__"]
