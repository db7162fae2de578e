"""What runs inside the application's call neither raises, nor replaces an exception, nor ends silently."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler
from pyramid.request import Request
from pyramid.response import Response
from pyramid.threadlocal import manager
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

import c2cotel
from c2cotel import sentry, stats
from c2cotel.delivery.lines import Lines
from c2cotel.delivery.worker import Worker
from c2cotel.logs import PyramidCeeSysLogHandler
from c2cotel.plugin import Observation
from c2cotel.sentry import tween_factory
from tests.apps.application import Application, start_response, view
from tests.servers.local import environment, wait_until
from tests.servers.otlp import OtlpReceiver


class Broken(Exception):  # noqa: N818  # the application's
    """What an application raises."""


class _Sampler(Sampler):
    def should_sample(self, *_: Any, **__: Any) -> Any:
        raise self.error("sampler")

    def __init__(self, error: type[Exception] = FloatingPointError) -> None:
        self.error = error

    def get_description(self) -> str:
        return "broken"


class _AtStart(SpanProcessor):
    def on_start(self, *_: Any, **__: Any) -> None:
        raise ZeroDivisionError("start")


class _AtEnd(SpanProcessor):
    def on_end(self, *_: Any) -> None:
        raise ZeroDivisionError("end")


def hello(request: Request) -> Any:
    with stats.timer_context(["work"]):
        with Session(create_engine("sqlite://")) as session:
            session.execute(text("SELECT 1"))
        if "fail" in request.params:
            raise Broken
    return {}


def answers_and_fails(app: Application) -> None:
    """The view answers, and its exception comes out as it was raised."""
    assert app.http.get("/hello").json == {}
    with pytest.raises(Broken):
        app.http.get("/hello?fail=1")


QUIET = {"c2c.disable_exception_handling": "1"}


@pytest.mark.parametrize("processor", [_AtStart, _AtEnd])
def test_a_span_processor_that_raises_costs_no_answer(
    processor: type[SpanProcessor], otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    app = Application(QUIET, configure=view(hello, renderer="json"))
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(processor())
    answers_and_fails(app)
    app.finish()
    assert otlp.span_names()["GET /hello"] == 2, "they are exported all the same"


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "the SDK's"])
def test_a_sampler_that_raises_costs_no_answer(
    ours: bool, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    if ours:
        monkeypatch.setattr("opentelemetry.sdk.trace.sampling._get_from_env_or_default", _Sampler)
    else:
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=_Sampler(OverflowError)))
    app = Application(QUIET, configure=view(plain, renderer="json"))
    assert app.http.get("/hello").json == {}
    app.finish()
    assert "Error: sampler" in caplog.text


def plain(_: Request) -> Any:
    with stats.timer_context(["work"]):
        return {}


def test_a_stack_of_somebodys_own_costs_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    c2cotel.setup()
    manager.push({"registry": None})
    try:
        logging.getLogger("shop").error("hello")
    finally:
        manager.pop()
    with trace.use_span(_ForeignSpan(trace.INVALID_SPAN_CONTEXT)):
        logging.getLogger("shop").error("again")
    assert caplog.messages[-2:] == ["hello", "again"]


class _ForeignSpan(trace.NonRecordingSpan):
    def get_span_context(self) -> Any:
        raise ZeroDivisionError


def test_the_id_for_postgresql_costs_no_statement(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("C2C_SQL_REQUEST_ID", "1")
    engine = create_engine("sqlite://")
    engine.dialect.name = "postgresql"  # which knows `set_config`, and SQLite does not

    def numbers(_: Request) -> Any:
        with Session(engine) as session:
            return list(session.execute(text("SELECT 1")).scalars())

    assert Application(configure=view(numbers, renderer="json")).http.get("/hello").json == [1]
    assert "The id of a request could not be told to PostgreSQL (logged once a kind)" in caplog.text


def test_a_gauge_that_cannot_be_observed_costs_itself(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()

    def broken() -> Iterator[Observation]:
        yield Observation("before", "1", {}, 1)
        raise ZeroDivisionError

    telemetry.observe(broken)
    telemetry.observe(lambda: [Observation("after", "1", {}, 1)])
    stats.set_gauge(["mine"], 1)
    telemetry.close()
    assert {"after", "mine"} <= otlp.metric_names()


def test_what_is_no_request_is_refused_by_requests_itself(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    c2cotel.setup()
    nothing: Any = requests.Request("GET", "http://localhost:1/")
    with requests.Session() as session, pytest.raises(ValueError, match="PreparedRequest"):
        session.send(nothing)


def test_code_without_a_name_may_call_requests(otlp: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    code = "import requests\nanswer = requests.get(url, timeout=None)"
    names: dict[str, Any] = {"__name__": None, "url": f"{otlp.url}/ready"}
    exec(code, names)  # as a template engine does
    assert names["answer"] is not None
    telemetry.close()


def test_a_body_of_no_bytes_is_the_servers_to_refuse() -> None:
    def odd(_: Request) -> Response:
        chunks: Any = iter([None, b"x"])
        return Response(app_iter=chunks)

    app = Application(configure=view(odd))
    environ = Request.blank("/hello").environ
    assert list(app.wsgi(environ, start_response)) == [None, b"x"]


def test_a_library_of_another_make_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "sqlalchemy.py").write_text("VERSION = (99,)\n")
    code = "import c2cotel\nc2cotel.setup()\nimport sqlalchemy\nprint(sqlalchemy.VERSION)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment({"PYTHONPATH": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "(99,)\n", done.stderr
    assert "sqlalchemy is not instrumented" in done.stderr


def test_sentry_costs_no_exception_of_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    sentry_sdk = pytest.importorskip("sentry_sdk")

    def fails(_: object) -> None:
        raise ZeroDivisionError

    def raises(_: object) -> None:
        raise Broken

    monkeypatch.setenv("SENTRY_URL", "http://key@localhost:1/1")
    telemetry = c2cotel.setup()
    monkeypatch.setattr(sentry_sdk, "capture_exception", fails)
    with pytest.raises(Broken), sentry.capture_exceptions():
        raise Broken
    request = Request.blank("/")
    with pytest.raises(Broken):
        tween_factory(raises, None)(request)
    request.exception = Broken()
    strange = object()
    assert tween_factory(lambda _: strange, None)(request) is strange
    telemetry.close(timeout=0.1)


def test_a_host_that_is_no_name_costs_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    handler = PyramidCeeSysLogHandler(("a" * 70 + ".example", 514))
    record = logging.LogRecord("shop", logging.INFO, "", 0, "hello", (), None)
    shown = ""

    def complained() -> bool:
        nonlocal shown
        shown += capsys.readouterr().err
        return "cannot be reached" in shown

    for _ in range(3):
        handler.emit(record)
    wait_until(complained, "a line")
    handler.close()
    assert "Traceback" not in shown


def test_a_closed_standard_error_costs_no_log_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = (tmp_path / "x").open("w")
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    handler = PyramidCeeSysLogHandler(str(tmp_path / "nobody"))
    handler.emit(logging.LogRecord("shop", logging.INFO, "", 0, "hello", (), None))
    handler.close()


class _Exits(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit(record.name)


@pytest.fixture
def exits() -> Iterator[None]:
    """A log handler of the application that ends whoever logs an error of ours."""
    handler = _Exits()
    logger = logging.getLogger("c2cotel")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("exits")
def test_a_log_handler_that_exits_ends_no_background_thread() -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        raise Broken(str(len(ticks)))

    worker = Worker("test worker", tick, 0.01)
    worker.start()
    wait_until(lambda: len(ticks) > 3, "it goes on")
    worker.stop()
    assert worker.join(5)


@pytest.mark.usefixtures("exits")
def test_a_log_handler_that_exits_ends_no_channel() -> None:
    done = threading.Event()

    def work(message: str) -> None:
        if message == "last":
            done.set()
        raise Broken

    lines = Lines("test", work)
    assert lines.put("a", "first")
    wait_until(lambda: lines.put("a", "last") and done.wait(0.1), "later messages are worked off")
