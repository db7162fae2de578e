"""Log records over OTLP (contract, sections 4 and 6)."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from pyramid.request import Request

import c2cotel
from tests.apps.application import Application, view
from tests.servers.local import environment
from tests.servers.otlp import OtlpReceiver, Received, plain

LOGGER = logging.getLogger("app.part")


@pytest.fixture
def collector(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.INFO)
    yield otlp
    logging.getLogger().setLevel(level)


def ours(otlp: OtlpReceiver) -> list[LogRecord]:
    """What the loggers of the tests have sent."""
    return [received.item for received in otlp.logs if received.scope.startswith("app")]


def attributes(record: LogRecord) -> dict[str, object]:
    return plain(record.attributes)


def test_a_record_has_its_message_its_place_its_extras_and_its_severity(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    LOGGER.warning("hello %s", "world", extra={"n": 1, "odd": [1], "big": 2**70, "cut\ud800": "x\ud800"})
    LOGGER.debug("too low")
    logging.getLogger("app.other").critical("help")
    telemetry.close()
    first, second = ours(collector)
    assert (first.body.string_value, first.severity_text, first.severity_number) == ("hello world", "WARN", 13)
    assert (second.body.string_value, second.severity_text, second.severity_number) == ("help", "FATAL", 21)
    held = attributes(first)
    assert held["code.file.path"] == __file__
    assert held["code.function.name"] == "test_a_record_has_its_message_its_place_its_extras_and_its_severity"
    assert (held["n"], held["odd"], held["big"]) == (1, "[1]", str(2**70))
    assert time.time_ns() - first.time_unix_nano < 60e9
    (scope, _) = [received.scope for received in collector.logs if received.scope.startswith("app")]
    assert scope == "app.part"


def test_extras_are_those_of_the_call_whatever_becomes_of_them(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    held = [1]
    LOGGER.warning("x", extra={"held": held, 7: "n", "api_key": "s3cret"})  # type: ignore[dict-item]
    held.append(2)
    telemetry.close()
    (record,) = ours(collector)
    found = attributes(record)
    assert (found["held"], found["7"], found["api_key"]) == ("[1]", "n", "REDACTED")


def test_inside_a_request_it_has_the_trace_and_the_request(collector: OtlpReceiver) -> None:
    def hello(_: Request) -> dict[str, str]:
        LOGGER.info("in the view")
        return {}

    app = Application(configure=view(hello, "/hello/{x}", renderer="json"))
    app.http.get("/hello/1", headers={"X-Request-ID": "42 is the answer"})
    app.finish()
    (record,) = ours(collector)
    (span,) = (received.item for received in collector.spans if received.item.name == "GET /hello/{x}")
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    held = attributes(record)
    assert held["c2c.request_id"] == "42 is the answer"
    assert (held["http.request.method"], held["url.path"], held["c2c.route.name"]) == ("GET", "/hello/1", "hello")


def test_an_exception_is_in_the_attributes_and_secrets_are_hidden(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    try:
        int("postgresql://me:s3cret@db/x")
    except ValueError:
        LOGGER.exception("no database, secret=s3cret")
    telemetry.close()
    (record,) = ours(collector)
    held = attributes(record)
    assert held["exception.type"] == "ValueError"
    assert "Traceback" in str(held["exception.stacktrace"])
    assert record.body.string_value == "no database, secret=REDACTED"
    assert b"s3cret" not in record.SerializeToString()


def test_a_signal_may_be_chosen_alone(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    telemetry = c2cotel.setup()
    LOGGER.error("x")
    telemetry.close()
    assert otlp.logs == []
    otlp.requests.clear()
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    monkeypatch.delenv("OTEL_LOGS_EXPORTER")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"{otlp.url}/v1/logs")
    telemetry = c2cotel.setup()
    LOGGER.error("y")
    telemetry.close()
    assert [record.body.string_value for record in ours(otlp)] == ["y"]
    assert set(otlp.requests) == {"/v1/logs"}


def test_the_export_falls_silent_after_the_last_record(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    logging.getLogger().setLevel(logging.DEBUG)
    telemetry = c2cotel.setup()
    LOGGER.debug("the last one")
    telemetry.flush()
    before = collector.requests["/v1/logs"]
    time.sleep(0.5)
    assert (before, collector.requests["/v1/logs"]) == (1, 1)
    telemetry.close()
    assert [record.body.string_value for record in ours(collector)] == ["the last one"]


def test_loggers_of_gunicorn_take_part(collector: OtlpReceiver) -> None:
    logger = logging.getLogger("gunicorn.error")
    propagate, level = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        telemetry = c2cotel.setup()
        logger.info("Booting worker")
        telemetry.close()
        assert logger.handlers == []
    finally:
        logger.propagate = propagate
        logger.setLevel(level)
    assert "Booting worker" in [received.item.body.string_value for received in collector.logs]


def test_closing_leaves_no_handler_and_setup_twice_adds_none(collector: OtlpReceiver) -> None:
    before = list(logging.getLogger().handlers)
    telemetry = c2cotel.setup()
    c2cotel.setup()
    assert len(logging.getLogger().handlers) == len(before) + 1
    LOGGER.info("once")
    telemetry.close()
    assert logging.getLogger().handlers == before
    assert len(ours(collector)) == 1


def test_warnings_still_reach_the_console_of_a_process_without_logging(otlp: OtlpReceiver) -> None:
    code = "import c2cotel, logging\nt = c2cotel.setup()\nlogging.warning('seen'); logging.info('not seen')\nt.close()"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment({"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == "seen\n"
    assert [received.item.body.string_value for received in otlp.logs] == ["seen"]


def test_a_child_sends_its_own_records_only(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    LOGGER.info("parent")
    child = os.fork()
    if child == 0:
        try:
            LOGGER.info("child")
            telemetry.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    telemetry.close()
    found: list[Received] = [received for received in collector.logs if received.scope == "app.part"]
    assert sorted(received.item.body.string_value for received in found) == ["child", "parent"]
    assert len({received.instance for received in found}) == 2, "each process has its own instance id"


def test_a_full_queue_drops_and_says_so_once(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    collector.delay = 1.0
    telemetry = c2cotel.setup()
    LOGGER.info("first")
    deadline = time.monotonic() + 10
    while not collector.requests["/v1/logs"] and time.monotonic() < deadline:
        time.sleep(0.01)
    for n in range(100):
        LOGGER.info("%d", n)
    told = [record.getMessage() for record in caplog.records if "are dropped" in record.getMessage()]
    limit = "OTEL_BLRP_MAX_QUEUE_SIZE sets the limit"
    assert told == [f"otlp export of logs: 10 log records are waiting, more are dropped ({limit}; logged once)"]
    collector.delay = 0
    telemetry.close(timeout=5)


@pytest.mark.parametrize("exporter", ["otlp", "none"])
def test_without_any_handler_a_warning_is_shown_all_the_same(exporter: str) -> None:
    code = (
        "import logging, c2cotel\n"
        "telemetry = c2cotel.setup()\n"
        "logging.getLogger('app').warning('look')\n"
        "logging.getLogger('app').info('too low')\n"
        "telemetry.close(timeout=0)\n"
    )
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_LOGS_EXPORTER": exporter}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(variables), capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines().count("look") == 1
    assert "too low" not in done.stderr


KEEPING = """
import gc, logging, weakref
import c2cotel
telemetry = c2cotel.setup()

class Basket(dict):
    "An object of the application."

def fail():
    local = Basket()
    baskets.append(weakref.ref(local))
    try:
        raise ValueError(local)
    except ValueError as error:
        {call}

baskets = []
log = logging.getLogger("app")
for _ in range(10):
    fail()
gc.collect()
print([basket() for basket in baskets if basket() is not None])
telemetry.close(timeout=0)
"""


@pytest.mark.parametrize(
    "call",
    [
        "log.exception('failed')",
        "log.error('failed', exc_info=error)",
        "log.error('%s', local)",
        "log.error('failed', extra={'basket': local})",
        "log.error(local)",
        "log.error('failed', stack_info=True, exc_info=(type(error), error, error.__traceback__))",
    ],
)
def test_what_waits_for_export_keeps_no_object_of_the_application(call: str, otlp: OtlpReceiver) -> None:
    otlp.delay = 5.0
    env = environment({"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url, "OTEL_BLRP_SCHEDULE_DELAY": "60000"})
    code = KEEPING.replace("{call}", call)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
