"""Redis commands and pipelines (contract, section 3, ruling 1), on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
import redis.asyncio
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from redis.backoff import NoBackoff
from redis.retry import Retry

import c2cotel
from c2cotel.testing import ScriptedClock
from tests.servers.databases import Valkey
from tests.servers.local import free_tcp_port
from tests.servers.otlp import OtlpReceiver, plain
from tests.servers.udp import UdpListener

pytestmark = pytest.mark.server


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def statsd(udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch) -> UdpListener:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    return udp_listener


def lines(telemetry: Any, statsd: UdpListener) -> list[str]:
    telemetry.close()
    statsd.settle(0.1)
    return statsd.lines()


def use(client: redis.Redis) -> None:
    client.set("key", "value")
    client.config_get("maxmemory")
    with pytest.raises(redis.ResponseError):
        client.incr("key")


def test_commands_are_timed_successes_and_failures_alike(client: redis.Redis, statsd: UdpListener) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())
    use(client)
    assert lines(telemetry, statsd) == ["redis.SET:1|ms", "redis.CONFIG_GET:1|ms", "redis.INCRBY:1|ms"]


def test_with_tags(client: redis.Redis, statsd: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_USE_TAGS", "1")
    telemetry = c2cotel.setup(clock=ScriptedClock())
    use(client)
    assert lines(telemetry, statsd) == [
        "redis:1|ms|#cmd:SET",
        "redis:1|ms|#cmd:CONFIG_GET",
        "redis:1|ms|#cmd:INCRBY",
    ]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("0", ["redis.SET.success:1|ms", "redis.CONFIG_GET.success:1|ms", "redis.INCRBY.failure:1|ms"]),
        (
            "1",
            [
                "redis:1|ms|#cmd:SET,success:1",
                "redis:1|ms|#cmd:CONFIG_GET,success:1",
                "redis:1|ms|#cmd:INCRBY,success:0",
            ],
        ),
    ],
)
def test_the_2018_names_tell_the_outcome(
    client: redis.Redis, statsd: UdpListener, monkeypatch: pytest.MonkeyPatch, tags: str, expected: list[str]
) -> None:
    monkeypatch.setenv("STATSD_2018_NAMES", "1")
    monkeypatch.setenv("STATSD_USE_TAGS", tags)
    telemetry = c2cotel.setup(clock=ScriptedClock())
    use(client)
    assert lines(telemetry, statsd) == expected


def test_a_pipeline_is_one_timer_and_an_empty_one_is_none(client: redis.Redis, statsd: UdpListener) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())
    with client.pipeline() as pipeline:
        pipeline.set("a", 1)
        pipeline.incr("a")
        pipeline.get("a")
        assert pipeline.execute() == [True, 2, b"2"]
        pipeline.execute()
    assert lines(telemetry, statsd) == ["redis.PIPELINE:1|ms"]


def test_what_a_watching_pipeline_sends_at_once_is_timed(client: redis.Redis, statsd: UdpListener) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())
    untyped: Any = client
    with untyped.pipeline() as pipeline:
        pipeline.watch("a")
        assert pipeline.get("a") is None
        pipeline.multi()
        pipeline.set("a", 1)
        assert pipeline.execute() == [True]
    found = lines(telemetry, statsd)
    assert "redis.GET:1|ms" in found
    assert found.count("redis.PIPELINE:1|ms") == 1


def test_a_transaction_that_is_tried_again_has_a_timer_each_time(client: redis.Redis, statsd: UdpListener) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())
    tries = []

    def change(pipeline: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            client.set("a", "changed by somebody else")
        pipeline.multi()
        pipeline.set("a", 1)

    client.transaction(change, "a")
    assert lines(telemetry, statsd).count("redis.PIPELINE:1|ms") == 2


def test_the_asynchronous_client_is_timed_as_the_other_one_is(
    client: redis.Redis, valkey: Valkey, statsd: UdpListener
) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())

    async def use_it() -> None:
        async with redis.asyncio.from_url(valkey.url) as other:
            await other.set("a", 1)
            untyped: Any = other
            async with untyped.pipeline() as pipeline:
                await pipeline.get("a").get("b").execute()

    asyncio.run(use_it())
    assert client.connection_pool is not None
    assert sorted(lines(telemetry, statsd)) == ["redis.PIPELINE:1|ms", "redis.SET:1|ms"]


def test_subscribing_has_no_timer_and_publishing_has_one(client: redis.Redis, statsd: UdpListener) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())
    untyped: Any = client
    with untyped.pubsub() as pubsub:
        pubsub.subscribe("channel")
        client.publish("channel", "hello")
    assert lines(telemetry, statsd) == ["redis.PUBLISH:1|ms"]


def test_it_can_be_switched_off(
    client: redis.Redis, statsd: UdpListener, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2C_TRACK_REDIS", "0")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    use(client)
    assert lines(telemetry, statsd) == []
    assert otlp.spans == []


def test_spans_and_metrics_name_the_command_and_never_a_key_or_a_value(
    client: redis.Redis, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    with trace.get_tracer("test").start_as_current_span("parent"):
        client.set("a-key", "a-value")
        with client.pipeline() as pipeline:
            pipeline.set("a-key", "a-value")
            pipeline.get("a-key")
            pipeline.execute()
    telemetry.close()
    spans = {cast("Span", received.item).name: received.item for received in otlp.spans}
    assert set(spans) == {"parent", "SET", "SET GET"}
    assert {spans[name].parent_span_id for name in ("SET", "SET GET")} == {spans["parent"].span_id}
    assert "a-key" not in str(spans)
    assert "a-value" not in str(spans)
    assert otlp.metric_names() == {"db.client.operation.duration"}
    points = [plain(point.attributes) for point in otlp.metrics[0].item.histogram.data_points]
    assert points == [
        {"db.system.name": "redis", "db.operation.name": "SET"},
        {"db.system.name": "redis", "db.operation.name": "PIPELINE"},
    ]


def test_a_server_that_is_away_is_counted_and_raises(statsd: UdpListener) -> None:
    telemetry = c2cotel.setup(clock=ScriptedClock())
    with redis.Redis(port=free_tcp_port(), retry=Retry(NoBackoff(), 0)) as client, pytest.raises(redis.ConnectionError):
        client.get("key")
    assert lines(telemetry, statsd) == ["redis.GET:1|ms"]


def test_close_takes_everything_out(client: redis.Redis, statsd: UdpListener) -> None:
    before = redis.Redis.execute_command, redis.client.Pipeline.execute
    telemetry = c2cotel.setup()
    c2cotel.setup()
    client.ping()
    assert [line.partition(":")[0] for line in lines(telemetry, statsd)] == ["redis.PING"]
    assert (redis.Redis.execute_command, redis.client.Pipeline.execute) == before
