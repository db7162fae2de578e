"""The flight recorder in one process (contract, section 13)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

from c2cotel import stats
from c2cotel.host.records import Record
from c2cotel.otel.sdk_private import forget_global_providers
from tests.apps.application import Application, view
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver
from tests.unit.secrets_table import SAMPLES, SECRET

log = logging.getLogger("app")


@pytest.fixture(autouse=True)
def recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")


def records(app: Application) -> list[Record]:
    """Every record, the oldest first."""
    app.telemetry.flush()
    flight = app.telemetry.flight
    assert flight is not None
    assert flight.store is not None
    entries, _ = flight.store.find(limit=1000)
    return [flight.store.get(entry["id"])[0] for entry in reversed(entries)]


def only(app: Application) -> Record:
    (record,) = records(app)
    return record


def hello(_: Request) -> Response:
    return Response("x")


def fail(_: Request) -> Response:
    log.warning("about to fail for %s", "order 7")
    raise ValueError("no stock")


def test_a_failed_request_is_kept_with_error_logs_and_spans() -> None:
    app = Application(configure=view(fail))
    answer = app.http.get("/hello?page=2&password=hunter2", status=500)
    record = only(app)
    assert record.id == answer.headers["X-Request-ID"]
    assert record.id.replace("-", "") == record.trace_id
    assert record.kept == ("failed",)
    assert (record.method, record.path, record.route, record.status) == ("GET", "/hello", "fail", 500)
    assert record.query == "page=2&password=REDACTED"
    assert record.error is not None
    assert (record.error["type"], record.error["message"]) == ("ValueError", "no stock")
    assert "in fail" in record.error["stack"]
    assert (record.logs[0]["level"], record.logs[0]["message"]) == ("WARNING", "about to fail for order 7")
    assert record.spans[0]["name"] == "GET /hello"
    assert record.spans[0]["status"]["code"] == "ERROR"
    assert 0 <= record.logs[0]["ms"] <= record.duration_ms


def test_an_exception_that_nobody_answers_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_DISABLE_EXCEPTION_HANDLING", "1")
    app = Application(configure=view(fail))
    with pytest.raises(ValueError, match="no stock"):
        app.http.get("/hello")
    record = only(app)
    assert (record.kept, record.status) == (("failed",), 500)
    assert record.error is not None
    assert record.error["type"] == "ValueError"


def test_a_slow_request_is_kept_by_the_time_of_its_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_SLOW", "0ms, report:30s")

    def report(_: Request) -> Response:
        return Response("x")

    def both(config: Configurator) -> None:
        view(hello)(config)
        view(report, "/report")(config)

    app = Application(configure=both)
    app.http.get("/hello")
    app.http.get("/report")
    assert {record.route: record.kept for record in records(app)} == {"hello": ("slow",), "report": ("recent",)}


def test_the_last_20_of_each_route_stay() -> None:
    def rare(_: Request) -> Response:
        return Response("x")

    def both(config: Configurator) -> None:
        view(hello)(config)
        view(rare, "/rare")(config)

    app = Application(configure=both)
    app.http.get("/rare")
    ids = [app.http.get("/hello").headers["X-Request-ID"] for _ in range(70)]
    kept = records(app)
    assert [record.route for record in kept].count("rare") == 1
    assert [record.id for record in kept if record.route == "hello"] == ids[-20:]


def test_head_sampling_does_not_matter(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    app = Application(configure=view(fail))
    app.http.get("/hello", status=500)
    assert [span["name"] for span in only(app).spans] == ["GET /hello"]
    app.finish()
    assert not otlp.spans


def test_what_is_exported_is_the_same_with_the_recorder(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    app = Application(configure=view(hello))
    app.http.get("/hello")
    assert len(records(app)) == 1
    app.finish()
    assert list(otlp.span_names().elements()) == ["GET /hello"]


@pytest.mark.parametrize("tracer", ["c2c", "sdk"])
def test_nested_spans_are_in_the_record(tracer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_TRACER", tracer)

    def nested(_: Request) -> Response:
        with stats.timer_context(["outer"]), stats.timer_context(["inner"]):
            pass
        return Response("x")

    app = Application(configure=view(nested))
    app.http.get("/hello")
    names = {span["span_id"]: span["name"] for span in only(app).spans}
    parents = {span["name"]: names.get(span["parent_id"] or "") for span in only(app).spans}
    assert parents == {"GET /hello": None, "outer": "GET /hello", "inner": "outer"}


def test_spans_of_somebody_elses_provider_are_in_the_record() -> None:
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    try:
        app = Application(configure=view(fail))
        app.http.get("/hello", status=500)
        record = only(app)
        app.finish()
    finally:
        forget_global_providers(provider, None)
    assert [span["name"] for span in record.spans] == ["GET /hello"]
    assert record.error is not None
    assert record.logs


def test_without_opentelemetry_there_are_records_without_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    app = Application(configure=view(fail))
    app.http.get("/hello", status=500)
    record = only(app)
    assert record.spans == []
    assert record.error is not None
    assert record.error["message"] == "no stock"
    assert record.logs[0]["message"] == "about to fail for order 7"


def test_a_late_thread_of_a_request_adds_to_its_record() -> None:
    threads: list[threading.Thread] = []
    may_log = threading.Event()

    def work(current: context.Context) -> None:
        context.attach(current)
        may_log.wait(10)
        with stats.timer_context(["late"]):
            log.warning("late")

    def starting(_: Request) -> Response:
        threads.append(threading.Thread(target=work, args=(context.get_current(),)))
        threads[0].start()
        return Response("x")

    app = Application(configure=view(starting))
    app.http.get("/hello")
    assert only(app).logs == []
    may_log.set()
    threads[0].join(10)
    assert [each["message"] for each in only(app).logs] == ["late"]
    assert [span["name"] for span in only(app).spans] == ["GET /hello", "late"]


def test_a_body_that_fails_while_it_is_sent_is_kept() -> None:
    def body() -> Iterator[bytes]:
        yield b"x"
        log.warning("in the body")
        raise OSError("disk gone")

    def streaming(_: Request) -> Response:
        return Response(app_iter=body())

    app = Application(configure=view(streaming))
    with pytest.raises(OSError, match="disk gone"):
        app.http.get("/hello")
    record = only(app)
    assert record.kept == ("failed",)
    assert record.error is not None
    assert record.error["type"] == "OSError"
    assert [each["message"] for each in record.logs] == ["in the body"]


def test_the_application_keeps_and_annotates_a_request() -> None:
    def asking(request: Request) -> Response:
        request.c2c_keep("customer complains")
        stats.annotate(order=7, customer="acme", password="hunter2", odd={"token": "hunter2"})
        return Response("x")

    app = Application(configure=view(asking))
    app.http.get("/hello")
    record = only(app)
    assert (record.kept, record.reason) == (("debug",), "customer complains")
    expected = {"order": 7, "customer": "acme", "password": "REDACTED", "odd": "{'token': 'REDACTED'}"}
    assert record.attributes == expected
    assert record.spans[0]["attributes"].items() >= expected.items()


def test_keeping_without_a_recorder_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("C2C_FLIGHT_RECORDER")

    def asking(request: Request) -> Response:
        request.c2c_keep("why")
        stats.annotate(order=7)
        return Response("x")

    app = Application(configure=view(asking))
    assert app.http.get("/hello").status_int == 200
    assert app.telemetry.flight is None


def test_not_found_is_no_failure() -> None:
    def missing(_: Request) -> Response:
        raise HTTPNotFound("no such thing")

    app = Application(configure=view(missing))
    app.http.get("/hello", status=404)
    assert (only(app).kept, only(app).status) == (("recent",), 404)


def test_a_subrequest_is_a_part_of_its_request() -> None:
    def outer(request: Request) -> Any:
        return request.invoke_subrequest(Request.blank("/inner"), use_tweens=True)

    def both(config: Configurator) -> None:
        view(outer)(config)
        view(fail, "/inner")(config)

    app = Application(configure=both)
    app.http.get("/hello", status=500)
    record = only(app)
    assert record.route == "outer"
    assert [span["name"] for span in record.spans][:2] == ["GET /hello", "GET /inner"]


def test_a_running_request_has_a_record() -> None:
    seen: list[Record] = []

    def looking(request: Request) -> Response:
        log.warning("first line")
        assert app.telemetry.flight is not None
        seen.extend(app.telemetry.flight.live(request.c2c_request_id))
        return Response("x")

    app = Application(configure=view(looking))
    answer = app.http.get("/hello")
    (record,) = seen
    assert (record.id, record.state, record.status) == (answer.headers["X-Request-ID"], "running", None)
    assert record.route == "looking"
    assert [each["message"] for each in record.logs] == ["first line"]
    assert app.telemetry.flight is not None
    assert app.telemetry.flight.live(record.id) == []


def test_what_goes_beyond_the_bounds_is_counted() -> None:
    def busy(_: Request) -> Response:
        for n in range(1100):
            with stats.timer_context(["step"]):
                log.warning("%d", n)
        raise ValueError("x")

    app = Application(configure=view(busy))
    app.http.get("/hello", status=500)
    record = only(app)
    assert (len(record.spans), len(record.logs)) == (1000, 500)
    assert record.dropped["spans"] >= 100
    assert record.dropped["logs"] >= 600


class _HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("argument", [_HostileError(), object(), "\ud800", "x" * 400_000, {"a": {"b": [1]}}])
def test_any_log_argument_may_be_in_a_record(argument: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "propagate", False)  # the test's own handler would raise
    monkeypatch.setattr(log, "handlers", [logging.NullHandler()])

    def logging_view(_: Request) -> Response:
        log.warning("got %s", argument)
        raise _HostileError

    app = Application(configure=view(logging_view))
    app.http.get("/hello", status=500)
    record = only(app)
    assert record.logs
    assert record.error is not None
    assert record.error["type"].endswith("_HostileError")


def test_no_secret_is_in_the_bytes_of_the_folder(tmp_path: Path) -> None:
    def leaking(request: Request) -> Response:
        for text, *_ in SAMPLES:
            log.warning("%s", text)
            stats.annotate(note=text)
            with trace.get_tracer("app").start_as_current_span(text) as span:
                span.set_attribute("text", text)
        request.c2c_keep(SAMPLES[0].text)
        raise ValueError(f"password={SECRET}")

    app = Application(configure=view(leaking, "/hello/password=hunter2"))
    app.http.get("/hello/password=hunter2?token=hunter2", status=500)
    record = only(app)
    app.finish()
    assert len(record.logs) >= len(SAMPLES)
    shown = repr(record)
    for sample in SAMPLES:
        for secret in sample.secrets:
            assert secret not in shown, sample.text
    for file in (tmp_path / "state").rglob("*"):
        if file.is_file():
            assert b"hunter2" not in file.read_bytes(), file


def test_a_folder_that_cannot_be_had_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("C2C_STATE_DIR", str(tmp_path / "file"))
    app = Application(configure=view(fail))
    for _ in range(3):
        app.http.get("/hello", status=500)
    app.telemetry.flush()
    assert app.telemetry.flight is not None
    assert app.telemetry.flight.store is None
    assert len([record for record in caplog.records if "cannot be made" in record.getMessage()]) == 1


class _Outgoing:
    """What a call of the application to another service carries."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def __call__(self, _: Request) -> Response:
        propagate.inject(self.headers)
        return Response("x")


def test_unexported_spans_are_no_parents_of_other_services() -> None:
    outgoing = _Outgoing()

    def calling(request: Request) -> Response:
        return outgoing(request)

    app = Application(configure=view(calling))
    app.http.get("/hello")
    assert outgoing.headers == {}
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    app.http.get("/hello", headers={"traceparent": caller})
    assert outgoing.headers == {"traceparent": caller}


def test_logs_need_no_handler_and_survive_dictconfig(request: pytest.FixtureRequest) -> None:
    root = logging.getLogger()
    handlers = root.handlers[:]
    request.addfinalizer(lambda: setattr(root, "handlers", handlers))
    root.handlers = []
    app = Application(configure=view(fail))
    assert root.handlers == []
    app.http.get("/hello", status=500)
    assert only(app).logs[0]["message"] == "about to fail for order 7"


def test_the_end_of_the_process_writes_what_is_left() -> None:
    app = Application(configure=view(hello))
    answer = app.http.get("/hello")
    app.finish()
    monitor = Application(configure=view(hello))
    assert monitor.telemetry.flight is not None
    store: Any = monitor.telemetry.flight.store
    wait_until(lambda: store.get(answer.headers["X-Request-ID"]), "the record of the closed application")


@pytest.mark.parametrize("streamed", [False, True], ids=["", "streamed"])
def test_a_request_whose_measuring_fails_is_not_running_for_ever(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2C_ACCESS_LOG", "1")

    def broken(_: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the application")

    access = logging.getLogger("c2cotel.access")
    monkeypatch.setattr(access, "filters", [broken])
    monkeypatch.setattr(access, "level", logging.INFO)
    access.manager._clear_cache()  # type: ignore[attr-defined]  # `setLevel` does it

    def either(_: Request) -> Response:
        return Response(app_iter=iter([b"x"])) if streamed else Response("x")

    app = Application(configure=view(either))
    answer = app.http.get("/hello")
    assert app.telemetry.flight is not None
    assert app.telemetry.flight.live(answer.headers["X-Request-ID"]) == []
