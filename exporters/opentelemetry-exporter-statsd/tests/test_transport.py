"""Datagrams on the loopback: refusals, several addresses, names that resolve late, sizes, pace, fork."""

import logging
import os
import socket
from typing import Any

import pytest
from opentelemetry.exporter.statsd import Endpoint, StatsdMetricExporter, UdpTransport, parse_endpoint
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope


@pytest.fixture
def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def transport(server: Any) -> Any:
    transport = UdpTransport(parse_endpoint(server.endpoint))
    yield transport
    transport.close()


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("localhost:1", Endpoint("localhost", 1)),
        ("statsd", Endpoint("statsd", 8125)),
        ("10.0.0.1", Endpoint("10.0.0.1", 8125)),
        ("[::1]:8126", Endpoint("::1", 8126)),
        ("[::1]", Endpoint("::1", 8125)),
        ("[fe80::1%lo]:8125", Endpoint("fe80::1%lo", 8125)),
        ("udp://h:1", Endpoint("h", 1)),
        ("udp://[::1]:65535", Endpoint("::1", 65535)),
        ("tcp://h", Endpoint("h", 8125, "tcp")),
        ("tcp://[::1]:1", Endpoint("::1", 1, "tcp")),
        ("unix:///run/statsd.sock", Endpoint("", 0, "unix", "/run/statsd.sock")),
        ("unixstream:///run/a b", Endpoint("", 0, "unixstream", "/run/a b")),
        (" h:1 ", Endpoint("h", 1)),
    ],
)
def test_an_endpoint_is_understood(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("::1:8125", "needs brackets"),
        ("", "host is empty"),
        (":8125", "host is empty"),
        ("udp://", "host is empty"),
        ("h:", "not a port"),
        ("h:0", "not a port"),
        ("h:65536", "not a port"),
        ("h:٣", "not a port"),
        ("h:80a", "not a port"),
        ("[::1", "brackets"),
        ("[::1]8125", "brackets"),
        ("[h]:1", "brackets"),
        ("a b:1", "not a host"),
        ("udp://h/x", "not a host"),
        ("tcp://", "host is empty"),
        ("unix://run/statsd", "not an absolute path"),
        ("unix:///", "not an absolute path"),
        ("unixstream://", "not an absolute path"),
        ("http://h:1", "unknown scheme"),
    ],
)
def test_a_bad_endpoint_is_refused_with_value_and_expectation(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_endpoint(text)
    assert repr(text) in str(caught.value)
    assert "host:port" in str(caught.value)


def test_localhost_is_reached_on_ipv4_when_ipv6_refuses(server: Any) -> None:
    def resolver(*_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", server.port, 0, 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", server.port)),
        ]

    transport = UdpTransport(Endpoint("localhost", server.port), resolver=resolver)
    assert transport.send([b"a", b"b"])
    assert transport.send([b"c"])
    assert server.datagrams() == [b"a", b"b", b"c"]
    assert (transport.sent, transport.errors) == (3, 0)
    transport.close()


def test_ipv6_is_reached(start_server: Any) -> None:
    server = start_server("::1")
    transport = UdpTransport(parse_endpoint(server.endpoint))
    assert transport.send([b"a"])
    assert server.datagrams() == [b"a"]
    transport.close()


@pytest.mark.parametrize("several_addresses", [False, True])
def test_an_outage_is_one_warning_and_its_end_one_line(
    start_server: Any, free_port: int, caplog: pytest.LogCaptureFixture, several_addresses: bool
) -> None:
    caplog.set_level(logging.INFO, "opentelemetry.exporter.statsd")
    transport = UdpTransport(Endpoint("localhost" if several_addresses else "127.0.0.1", free_port))
    for _ in range(5):
        assert not transport.send([b"lost", b"lost"])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(free_port) in caplog.text
    assert transport.errors >= 5

    server = start_server(port=free_port)
    assert transport.send([b"first"])
    assert transport.send([b"second"])
    assert server.datagrams() == [b"first", b"second"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    server.close()
    for _ in range(3):
        assert not transport.send([b"lost"])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    transport.close()


def test_a_refusal_of_an_earlier_datagram_does_not_cost_the_next_one(server: Any, free_port: int) -> None:
    """A far host refuses later: the socket then fails a send that it has not transmitted."""
    transport = UdpTransport(Endpoint("127.0.0.1", server.port))
    assert transport.send([b"a"])
    assert transport._socket is not None
    transport._socket.connect(("127.0.0.1", free_port))
    transport._socket.send(b"refused")
    transport._socket.connect(("127.0.0.1", server.port))
    transport.send([b"b"])
    assert server.datagrams() == [b"a", b"b"]
    transport.close()


def test_a_name_is_looked_up_until_it_resolves_and_when_it_moves(
    start_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "opentelemetry.exporter.statsd")
    first, second = start_server(), start_server()
    now = 0.0
    answers: list[Any] = []
    asked = 0

    def resolver(host: str, port: int, **_: Any) -> Any:
        nonlocal asked
        asked += 1
        assert host == "statsd.example"
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", answers[-1].port))]

    transport = UdpTransport(Endpoint("statsd.example", 8125), resolver=resolver, clock=lambda: now)
    assert asked == 0
    assert not transport.send([b"lost"])
    assert not transport.send([b"lost"])
    assert len(caplog.records) == 1
    answers.append(first)
    assert transport.send([b"a"])
    answers.append(second)
    assert transport.send([b"b"])
    assert asked == 3
    now = 301.0
    assert transport.send([b"c"])
    answers.clear()
    now = 602.0
    assert transport.send([b"d"]), "an old address is better than none"
    assert first.datagrams() == [b"a", b"b"]
    assert second.datagrams() == [b"c", b"d"]
    transport.close()


def test_a_host_that_cannot_be_looked_up_is_an_outage() -> None:
    transport = UdpTransport(Endpoint("a" * 70 + ".example", 8125))
    assert not transport.send([b"lost"])
    transport.close()


def test_a_datagram_too_large_for_udp_costs_itself_alone(server: Any, transport: Any) -> None:
    assert not transport.send([b"a", b"x" * 70_000, b"b" * 3000])
    assert server.datagrams() == [b"a", b"b" * 3000]
    assert (transport.sent, transport.oversized, transport.errors) == (2, 1, 0)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def transport(self, server: Any) -> UdpTransport:
        return UdpTransport(parse_endpoint(server.endpoint), sleep=self.sleep, clock=lambda: self.now)


FULL = b"\n".join([b"timer:12345|ms"] * 95)
"""A datagram of 95 lines: 0.955 ms of the receiver's time."""


def test_the_receiver_is_given_time_for_every_line_and_datagram(server: Any) -> None:
    time = Time()
    transport = time.transport(server)
    for _ in range(4):
        transport.send([FULL])
    transport.send([FULL])
    assert time.pauses == []
    transport.send([FULL])
    assert time.pauses == [pytest.approx(5 * 0.955e-3)]
    transport.send([b"x"] * 40)
    assert len(time.pauses) == 2, "short datagrams take less time, but some"
    time.now += 1
    transport.send([FULL] * 5)
    time.now += 1
    transport.send([FULL])
    assert len(time.pauses) == 2, "time that has passed anyway is not waited for again"
    transport.close()


def test_one_send_takes_no_longer_than_a_second_however_much_there_is(server: Any) -> None:
    time = Time()
    transport = time.transport(server)
    transport.send([FULL] * 1000)
    assert 0.9 < time.now < 1
    time.now = 10.0
    transport.send([FULL] * 3000)
    assert 10.9 < time.now < 11.1
    transport.close()


def test_after_close_nothing_is_sent_and_nothing_raised(server: Any, transport: Any) -> None:
    transport.send([b"a"])
    transport.close()
    transport.close()
    assert not transport.send([b"b"])
    assert server.datagrams() == [b"a"]


def test_a_forked_child_sends_through_a_socket_of_its_own(server: Any, transport: Any) -> None:
    def source() -> tuple[bytes, Any]:
        received: tuple[bytes, Any] = server.socket.recvfrom(100)
        return received

    server.socket.settimeout(5)
    transport.send([b"parent"])
    before = source()
    child = os.fork()
    if not child:
        transport.send([b"child"])
        os._exit(0)
    of_child = source()
    os.waitpid(child, 0)
    transport.send([b"parent"])
    assert before == source()
    assert of_child[0] == b"child"
    assert of_child[1] != before[1]


def test_an_export_without_time_is_paced_all_the_same(server: Any) -> None:
    time = Time()
    exporter = StatsdMetricExporter(transport=time.transport(server))
    points = [NumberDataPoint({"number": number}, 0, 0, 1) for number in range(50_000)]
    metric = Metric("c", "", "", Sum(points, AggregationTemporality.DELTA, is_monotonic=True))
    scopes = [ScopeMetrics(InstrumentationScope("m"), [metric], "")]
    exporter.export(MetricsData([ResourceMetrics(Resource({}), scopes, "")]), timeout_millis=0)
    exporter.shutdown()
    assert 0.09 < time.now < 0.11
