"""What newcomers and attackers met, one test a kind (contract 1, 3, 4, 5, 6)."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Generator, Iterator
from enum import Enum
from io import StringIO
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.metrics import Observation
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel import SettingsError, stats
from c2cotel.logs import JsonFormatter
from c2cotel.testing import Recorded, ScriptedClock
from tests.apps.application import Application, view
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver


def hello(request: Request) -> Response:
    return Response("hello")


# ---- timers of every kind of function


def test_a_coroutine_is_timed_to_its_end(c2cotel_recorded: Recorded, c2cotel_clock: ScriptedClock) -> None:
    @stats.timer_context(["co"])
    async def work() -> int:
        await asyncio.sleep(0)
        c2cotel_clock.advance(0.02)
        return 7

    c2cotel.setup()
    assert asyncio.run(work()) == 7
    assert c2cotel_recorded.lines == ["co:20|ms"]


def test_a_generator_is_timed_while_it_runs(c2cotel_recorded: Recorded, c2cotel_clock: ScriptedClock) -> None:
    @stats.timer_context(["gen"])
    def work() -> Generator[int, str, None]:
        c2cotel_clock.advance(0.01)
        received = yield 1
        assert received == "x"
        c2cotel_clock.advance(0.01)
        yield 2

    c2cotel.setup()
    generator: Any = work()
    assert next(generator) == 1
    c2cotel_clock.advance(5)  # the consumer's own time
    assert [generator.send("x"), *generator] == [2]
    assert c2cotel_recorded.lines == ["gen:20|ms"]


def test_an_asynchronous_generator_is_timed(c2cotel_recorded: Recorded, c2cotel_clock: ScriptedClock) -> None:
    @stats.outcome_timer_context(["agen"])
    async def work() -> AsyncIterator[int]:
        c2cotel_clock.advance(0.01)
        yield 1
        raise ValueError("no more")

    async def consume() -> list[int]:
        return [item async for item in work()]

    c2cotel.setup()
    with pytest.raises(ValueError, match="no more"):
        asyncio.run(consume())
    assert c2cotel_recorded.lines == ["agen.failure:10|ms"]


def test_a_generator_that_is_closed_early_is_no_failure(c2cotel_recorded: Recorded) -> None:
    @stats.outcome_timer_context(["gen"])
    def work() -> Iterator[int]:
        yield 1
        yield 2

    c2cotel.setup()
    with trace.get_tracer("test").start_as_current_span("around"):
        generator: Any = work()
        next(generator)
        generator.close()
    assert [line.partition(":")[0] for line in c2cotel_recorded.lines] == ["gen.success"]
    assert {span.status.status_code for span in c2cotel_recorded.spans} == {trace.StatusCode.UNSET}


def test_a_decorated_function_measures_nothing_after_close(c2cotel_recorded: Recorded) -> None:
    @stats.timer_context(["work"])
    def work() -> None: ...

    work()
    telemetry = c2cotel.setup()
    work()
    telemetry.close()
    work()
    assert [line.partition(":")[0] for line in c2cotel_recorded.lines] == ["work"]


@pytest.mark.parametrize("key", [5, None, [object()], ["a", {"b": 1}]])
def test_no_key_raises_inside_the_application(key: Any, c2cotel_recorded: Recorded) -> None:
    c2cotel.setup()
    stats.increment_counter(key)
    stats.set_gauge(key, 1)
    with stats.timer_context(key):
        pass
    assert stats.timer(key).stop() >= 0
    stats.increment_counter(["good"])
    assert "good:1|c" in c2cotel_recorded.lines


def test_values_of_several_types_are_several_series(c2cotel_recorded: Recorded) -> None:
    c2cotel.setup()
    for value in (True, 1, 1.0):
        stats.increment_counter(["c"], tags={"v": value})
    assert sorted(c2cotel_recorded.lines) == ["c:1|c|#v:1", "c:1|c|#v:1_0", "c:1|c|#v:True"]


# ---- OpenTelemetry


def test_ids_do_not_follow_the_seed_of_an_application(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def seeding(request: Request) -> Response:
        random.seed(42)
        return Response(request.c2c_request_id)

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    app = Application(configure=view(seeding))
    assert len({app.http.get("/hello").text for _ in range(10)}) == 10


def test_keys_of_one_name_are_one_point(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    stats.increment_counter(["a", "b"])
    stats.increment_counter(["a.b"])
    telemetry.close()
    (metric,) = (received.item for received in otlp.metrics if received.item.name == "a.b")
    assert [point.as_int for point in metric.sum.data_points] == [2]


def test_the_resource_names_the_host(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    stats.increment_counter(["c"])
    telemetry.close()
    assert otlp.metrics[0].resource["host.name"]


def test_a_bad_metric_costs_itself_alone(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    meter = metrics.get_meter("their\udcffs")
    meter.create_counter("huge").add(2**64)
    meter.create_observable_gauge("odd", [lambda _: [Observation(True)]])
    meter.create_counter("good", description="d\udcff").add(1, {"name\udcff": "v"})
    stats.increment_counter(["ours"])
    telemetry.close()
    assert {"good", "ours", "huge"} <= otlp.metric_names()


def test_a_bad_span_costs_itself_alone(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    for tracer in (trace.get_tracer("good"), trace.get_tracer("b\udcff")):
        odd: Any = tracer.start_span
        odd(123).end()
        odd("kind", kind=None).end()
        odd("past", start_time=-5).end()
        tracer.start_span("good").end()
    telemetry.close()
    assert otlp.span_names()["good"] == 2


def test_a_bad_log_record_costs_itself_alone(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    for name in ("b\udcff", "good"):
        logging.getLogger(name).warning("hello", extra={"a\udcff": "v\udcff", "n": 2**70})
    telemetry.close()
    assert len([log for log in otlp.logs if log.item.body.string_value == "hello"]) == 2


def test_a_callback_that_exits_ends_no_thread(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    c2cotel.setup()
    calls: list[int] = []

    def exits(_: Any) -> Any:
        calls.append(1)
        raise SystemExit

    metrics.get_meter("theirs").create_observable_gauge("exits", [exits])
    wait_until(lambda: len(calls) >= 3, "the thread goes on")


def test_an_exported_record_names_its_exception(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    logging.getLogger("app").error("oops", exc_info=json.JSONDecodeError("bad\nin two lines", "", 0))
    telemetry.close()
    (record,) = (log.item for log in otlp.logs if log.item.body.string_value == "oops")
    attributes = {pair.key: pair.value.string_value for pair in record.attributes}
    assert attributes["exception.type"] == "json.decoder.JSONDecodeError"
    assert attributes["exception.message"] == "bad\nin two lines: line 1 column 1 (char 0)"


def test_totals_are_there_once_asked_for() -> None:
    telemetry = c2cotel.setup()
    telemetry.totals()
    stats.increment_counter(["c"], 3)
    assert telemetry.totals()["counters"] == {"c": 3}


@pytest.mark.parametrize(("host", "address", "port"), [("::1", "::1", None), ("[::1]:8080", "[::1]", 8080)])
def test_the_address_of_a_server_by_ipv6(host: str, address: str, port: int | None, c2cotel_recorded: Recorded) -> None:
    Application(configure=view(hello)).http.get("/hello", headers={"Host": host})
    (span,) = c2cotel_recorded.spans
    assert span.attributes is not None
    assert (span.attributes["server.address"], span.attributes.get("server.port")) == (address, port)


# ---- log lines


def line(**fields: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"name": "app", "msg": "hello", "levelno": 40, "levelname": "ERROR", **fields})
    parsed: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return parsed


def test_a_traceback_that_another_formatter_shortened_is_whole() -> None:
    info = (ValueError, ValueError("inside"), None)
    assert "ValueError: inside" in line(exc_info=info, exc_text="[cut]")["full_message"]


def test_a_record_with_true_for_its_exception_is_a_line() -> None:
    assert line(exc_info=True)["msg"] == "hello"


def test_levels_and_processes_are_those_of_each_record() -> None:
    place = {"pathname": "x.py", "lineno": 3}
    assert line(**place, processName="one")["process_name"] == "one"
    assert line(**place, processName="two")["process_name"] == "two"
    assert line(**place, levelname="NOTICE")["level_name"] == "NOTICE"


def test_a_text_of_an_enumeration_is_its_value() -> None:
    class Status(str, Enum):
        PAID = "paid"

    for beside in (1, 2**70):
        assert line(status=Status.PAID, beside=beside)["status"] == "paid"


@pytest.mark.parametrize("character", ["\u009b", "\u202e", "\u2028", "\x7f"])
def test_no_character_of_a_line_steers_a_terminal(character: str) -> None:
    record = logging.makeLogRecord({"name": "app", "msg": f"a{character}b", "levelno": 20, "levelname": "INFO"})
    text = JsonFormatter().format(record)
    assert character not in text
    assert json.loads(text)["msg"] == f"a{character}b"


def test_a_client_address_is_an_address_or_nothing(c2cotel_recorded: Recorded) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("addresses")
    logger.addHandler(handler)

    def logging_view(request: Request) -> Response:
        logger.warning("hello")
        return Response("")

    app = Application(configure=view(logging_view))
    for given in ("10.1.2.3", "<script>", "::1"):
        app.http.get("/hello", headers={"X-Forwarded-For": given}, extra_environ={"REMOTE_ADDR": "nowhere"})
    logger.removeHandler(handler)
    addresses = [json.loads(text).get("client_addr") for text in stream.getvalue().splitlines()]
    assert addresses == ["10.1.2.3", None, "::1"]


# ---- settings and routes


@pytest.mark.parametrize("path", ["http://x/c2c", "/c2c?x", "a//b", "/{x}", "/a b"])
def test_a_base_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match=r"c2c\.base_path="):
        Application({"c2c.base_path": path})


def test_a_namesake_of_one_of_our_routes_is_an_error_that_names_both() -> None:
    def configure(config: Configurator) -> None:
        config.add_route("c2c_read_stats_json", "/mine")

    with pytest.raises(ConfigurationError, match=r"/c2c/stats\.json.*/mine"):
        Application({"c2c.base_path": "/c2c", "c2c.stats_view": "1"}, configure)


def test_views_stand_inside_the_route_prefix_of_an_application() -> None:
    with Configurator(route_prefix="/api", settings={"c2c.base_path": "/c2c", "c2c.stats_view": "1"}) as config:
        c2cotel.setup(config)
    app = config.make_wsgi_app()
    assert Request.blank("/api/c2c/stats.json").get_response(app).status_int == 200
    assert Request.blank("/c2c/stats.json").get_response(app).status_int == 404
