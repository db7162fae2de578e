"""Three hosts with two workers each, one Redis and one collector: what is lost is told, what is kept is exact."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.hosts import FleetHost, fleet, inside, listen_and_be_silent, may_be_made
from tests.servers.client import Load, get
from tests.servers.databases import Valkey
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, plain

pytestmark = [pytest.mark.server, pytest.mark.fleet]

AWAY = float(os.environ.get("FLEET_AWAY", "5"))
"""Seconds for which the collector is away."""

APPLICATION = "tests.apps.broadcasting:application()"
EVERYWHERE = ("0.0.0.0",)  # in a network namespace of this test


@dataclass
class Fleet:
    """What runs.

    Attributes:
        hosts: the hosts.
        services: gunicorn on each of them.
        redis: the one Redis.
        collector: the one collector.
        folder: of the test.
    """

    hosts: list[FleetHost]
    services: list[Gunicorn]
    redis: Valkey
    collector: OtlpReceiver
    folder: Path

    def answers(self, of: int = 0) -> list[Any]:
        """What a broadcast from a host brings."""
        answer = get(f"{self.services[of].url}/ask")
        assert answer is not None
        assert answer.status == 200, answer.body
        found: list[Any] = answer.json()["answers"]
        return found

    def names(self, of: int = 0) -> Counter[str]:
        """How many processes of each host answer."""
        return Counter(answer["hostname"] for answer in self.answers(of) if answer)

    def wait_whole(self) -> None:
        """Wait until all six processes hear each other."""
        expected = {host.name: 2 for host in self.hosts}
        wait_until(lambda: all(self.names(n) == expected for n in range(3)), f"all answer: {self.names()}", 60)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Starts the fleet."""
    if not may_be_made():
        pytest.fail("Network namespaces cannot be made here: they need root, iproute2 and the module veth.")
    with ExitStack() as stack:
        hosts = stack.enter_context(fleet(tmp_path, 3))

        def start(redis: str = "{host.servers}", resolver: str = "") -> Fleet:
            valkey = stack.enter_context(closing(Valkey(tmp_path, addresses=EVERYWHERE)))
            collector = stack.enter_context(closing(OtlpReceiver(host=EVERYWHERE[0])))
            services = []
            for host in hosts:
                host.resolver.write_text(resolver.format(host=host))
                folder = tmp_path / host.name
                folder.mkdir()
                env = {
                    "C2C_REDIS_URL": f"redis://{redis.format(host=host)}:{valkey.port}/0",
                    "C2C_BROADCAST_PREFIX": "fleet:",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{host.servers}:{collector.port}",
                    "OTEL_SERVICE_NAME": "fleet",
                }
                with inside(host.namespace):
                    server = Gunicorn(APPLICATION, folder, env=env, host=host.address, wrapper=host.wrapper)
                services.append(stack.enter_context(closing(server)))
            for server in services:
                server.wait_ready()
            return Fleet(hosts, services, valkey, collector, tmp_path)

        yield start


def test_a_host_that_is_cut_off_is_missed_and_comes_back(whole: Callable[..., Fleet]) -> None:
    everything = whole()
    everything.wait_whole()
    cut = everything.hosts[2]
    cut.cut()
    start = time.monotonic()
    assert everything.names() == {"host1": 2, "host2": 2}
    assert time.monotonic() - start < 12, "the timeout of the broadcast, 5 s, and not much more"
    assert everything.answers().count(None) in {0, 2}, "those that Redis still counts are null"
    cut.mend()
    everything.wait_whole()
    told = [line["msg"] for line in everything.services[0].events() if "Redis is away" in line["msg"]]
    assert told == [], "the others never lost Redis"


def test_redis_starts_again(whole: Callable[..., Fleet], tmp_path: Path) -> None:
    everything = whole()
    everything.wait_whole()
    everything.redis.signal(signal.SIGKILL)
    wait_until(everything.redis.ended, "Redis ends")
    wait_until(lambda: len(everything.answers()) == 1, "the process that is asked answers alone")
    with closing(Valkey(tmp_path, everything.redis.port, addresses=EVERYWHERE)):
        everything.wait_whole()
        for server in everything.services:
            lines = Counter(line["msg"].partition(",")[0] for line in server.events() if "Redis is" in line["msg"])
            assert lines["Redis is away"] == lines["Redis is back"] == 2, "once a worker"


def test_a_resolver_that_hangs_holds_nobody(whole: Callable[..., Fleet]) -> None:
    with ExitStack() as stack:

        def silence(everything: list[str]) -> None:
            for address in everything:
                stack.enter_context(closing(listen_and_be_silent(address, 53)))

        silence([f"10.77.{n}.1" for n in (1, 2, 3)])
        everything = whole("redis.example", "nameserver {host.servers}\noptions timeout:5 attempts:3\n")
        start = time.monotonic()
        assert [each["hostname"] for each in everything.answers() if each] == ["host1"]
        assert time.monotonic() - start < 12
        answer = get(f"{everything.services[1].url}/n/1", timeout=2)
        assert answer is not None, "requests do not wait for a name"


def test_a_collector_that_is_away_gets_everything_later(whole: Callable[..., Fleet]) -> None:
    everything = whole()
    everything.wait_whole()
    collector = everything.collector
    collector.refuse()
    until = time.monotonic() + AWAY
    asked: Counter[str] = Counter()
    number = 0
    while time.monotonic() < until:
        for host, server in zip(everything.hosts, everything.services, strict=True):
            load = Load(lambda n, url=server.url: f"{url}/missing/{n}", range(number, number + 10)).start().join()  # type: ignore[misc]
            assert load.unanswered == []
            asked[host.name] += 10
        number += 10
        time.sleep(0.2)
    collector.listen()

    def arrived() -> Counter[str]:
        paths = ((received, plain(received.item.attributes).get("url.path", "")) for received in collector.spans)
        return Counter(str(received.resource["host.name"]) for received, path in paths if "/missing/" in path)

    wait_until(lambda: arrived() == asked, f"{asked}, arrived: {arrived()}", 60)
    assert len({received.item.span_id for received in collector.spans}) == len(collector.spans), "none came twice"
    for server in everything.services:
        told = Counter(
            line["msg"].partition(":")[0] for line in server.events() if "otlp export of traces" in line["msg"]
        )
        assert told["otlp export of traces fails"] == told["otlp export of traces works again"] == 2, told
