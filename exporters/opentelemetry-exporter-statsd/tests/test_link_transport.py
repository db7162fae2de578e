"""Unix sockets and TCP: peers that are slow, away, or start anew."""

import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.statsd import (
    Endpoint,
    KeepingTransport,
    StatsdMetricExporter,
    StreamLink,
    UnixDatagramLink,
)
from opentelemetry.exporter.statsd._link_transport import SEND_BUDGET
from opentelemetry.exporter.statsd._links import MAX_STREAM_PACKET
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader


class Stream:
    """A server of a stream, TCP or Unix, that reads all it is sent once `reading` is set."""

    def __init__(self, address: Any) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(address)
        self._listener.listen()
        self.address = self._listener.getsockname()
        self.reading = threading.Event()
        self.reading.set()
        self.received: list[bytes] = []
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def data(self) -> bytes:
        return b"".join(self.received)

    @property
    def lines(self) -> list[str]:
        """The whole lines."""
        return self.data.decode().split("\n")[:-1]

    def wait_for(self, count: int) -> list[str]:
        deadline = time.monotonic() + 20
        while len(self.lines) < count:
            assert time.monotonic() < deadline, self.lines[-3:]
            time.sleep(0.005)
        return self.lines

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.reading.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while self.reading.wait(20) and (data := connection.recv(65_536)):
                self.received.append(data)


class Datagrams:
    """A Unix socket of datagrams."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.path = path

    def take(self) -> list[bytes]:
        received: list[bytes] = []
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                received.append(self.socket.recv(65_536))
        return received

    def close(self) -> None:
        self.socket.close()
        Path(self.path).unlink(missing_ok=True)


@pytest.fixture
def stream() -> Iterator[Callable[[Any], Stream]]:
    made: list[Stream] = []

    def start(address: Any = ("127.0.0.1", 0)) -> Stream:
        made.append(Stream(address))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "statsd.socket")


@pytest.fixture
def datagrams(path: str) -> Iterator[Callable[[], Datagrams]]:
    made: list[Datagrams] = []

    def start() -> Datagrams:
        made.append(Datagrams(path))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def keeping() -> Iterator[Callable[..., KeepingTransport]]:
    made: list[KeepingTransport] = []

    def make(link: Any, **options: Any) -> KeepingTransport:
        made.append(KeepingTransport(link, "server", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def tcp(server: Stream) -> StreamLink:
    return StreamLink(Endpoint(server.address[0], server.address[1], "tcp"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_over_tcp_each_line_ends_with_a_newline(stream: Any, keeping: Any) -> None:
    server = stream()
    transport = keeping(tcp(server))
    assert transport.send([b"a:1|c\nb:2|c", b"c:3|c"])
    assert transport.send([])
    server.wait_for(3)
    assert server.data == b"a:1|c\nb:2|c\nc:3|c\n"
    assert transport.sent == 2


def test_over_a_unix_stream_each_packet_begins_with_its_length(stream: Any, keeping: Any, path: str) -> None:
    server = stream(path)
    assert keeping(StreamLink(Endpoint("", 0, "unixstream", path))).send([b"a:1|c\nb:2|c", b"c:3|c"])
    wanted = struct.pack("<I", 11) + b"a:1|c\nb:2|c" + struct.pack("<I", 5) + b"c:3|c"
    while len(server.data) < len(wanted):
        time.sleep(0.005)
    assert server.data == wanted


@pytest.mark.parametrize("form", ["unix", "unixgram"])
def test_a_plain_sdk_sends_over_a_unix_socket_in_its_larger_packets(datagrams: Any, path: str, form: str) -> None:
    server = datagrams()
    exporter = StatsdMetricExporter(f"{form}://{path}")
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)])
    histogram = provider.get_meter("m").create_histogram("h", unit="ms")
    for number in range(2000):
        histogram.record(number)
    reader = threading.Thread(target=provider.force_flush)
    reader.start()
    received: list[bytes] = []
    while reader.is_alive() or not received:
        received += server.take()
        time.sleep(0.001)
    received += server.take()
    assert b"\n".join(received).decode().split("\n") == [f"h:{number}|ms" for number in range(2000)]
    assert 8000 < max(map(len, received)) <= MAX_STREAM_PACKET
    provider.shutdown()


def test_a_slow_reader_of_a_unix_socket_gets_every_datagram(datagrams: Any, keeping: Any, path: str) -> None:
    server = datagrams()
    transport = keeping(UnixDatagramLink(path))
    wanted = [b"%d:1|c" % number for number in range(416)]
    sending = threading.Thread(target=transport.send, args=(wanted,))
    sending.start()
    received: list[bytes] = []
    while len(received) < len(wanted):
        received.append(server.socket.recv(100))
        time.sleep(0.0002)
    sending.join()
    assert received == wanted


def test_what_waits_for_a_stuck_reader_arrives_later(datagrams: Any, keeping: Any, path: str) -> None:
    server = datagrams()
    transport = keeping(UnixDatagramLink(path))
    start = time.monotonic()
    assert not transport.send([b"t%d:1|ms" % number for number in range(50)] + [b"c:1|c"])
    assert time.monotonic() - start < 2 * SEND_BUDGET + 1
    received = server.take()
    assert 0 < len(received) < 50
    assert transport.send([b"c:2|c"])
    lines = b"\n".join(received + server.take()).decode().split("\n")
    assert sorted(lines) == sorted([*(f"t{number}:1|ms" for number in range(50)), "c:1|c", "c:2|c"])


def test_a_socket_that_is_not_there_yet_or_bound_anew_is_found(
    datagrams: Any, keeping: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "opentelemetry.exporter.statsd")
    transport = keeping(UnixDatagramLink(path))
    for _ in range(3):
        assert not transport.send([b"c:1|c"])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    server = datagrams()
    assert transport.send([b"c:1|c"])
    assert server.take() == [b"c:3|c", b"c:1|c"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    server.close()
    server = datagrams()
    assert transport.send([b"d:1|c"]), "the refused send is repeated on a new connection"
    assert server.take() == [b"d:1|c"]
    assert len(caplog.records) == 2


def test_while_a_tcp_server_is_away_lines_wait(stream: Any, keeping: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "opentelemetry.exporter.statsd")
    now = 0.0
    port = free_port()
    transport = keeping(StreamLink(Endpoint("127.0.0.1", port, "tcp")), clock=lambda: now)
    for number in (1, 2, 3):
        assert not transport.send([b"c:%d|c\ng:%d|g\nt:%d|ms" % (number, number, number)])
    server = stream(("127.0.0.1", port))
    assert not transport.send([b"c:4|c"]), "it is asked again only after a while"
    now = 60.0
    assert transport.send([b"last:1|c"])
    assert server.wait_for(6) == ["c:10|c", "g:3|g", "t:1|ms", "t:2|ms", "t:3|ms", "last:1|c"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_tcp_server_that_starts_anew_gets_the_very_next_lines(stream: Any, keeping: Any) -> None:
    server = stream()
    transport = keeping(tcp(server))
    assert transport.send([b"a:1|c"])
    server.wait_for(1)
    server.close()
    again = stream(server.address)
    assert transport.send([b"b:1|c"])
    assert again.wait_for(1) == ["b:1|c"]


def test_the_waits_between_two_attempts_grow_to_half_a_minute(keeping: Any) -> None:
    asked: list[float] = []
    now = 0.0

    class Nowhere:
        longest_wait = 30.0

        def open(self, timeout: float) -> None:
            asked.append(now)
            raise OSError("nowhere")

        def put(self, datagram: bytes, timeout: float) -> bool:
            return False

        def finish(self, timeout: float) -> bool:
            return True

        def unfinished(self) -> list[bytes]:
            return []

        def close(self) -> None:
            """Nothing to close."""

    transport = keeping(Nowhere(), clock=lambda: now)
    for _ in range(2000):
        transport.send([b"c:1|c"])
        now += 0.05
    waits = [after - before for before, after in pairwise(asked)]
    assert waits[:3] == pytest.approx([0.25, 0.5, 1.0], abs=0.06)
    assert max(waits) == pytest.approx(30, abs=0.06)


def test_a_line_that_a_stuck_server_took_in_part_goes_on_where_it_stopped(stream: Any, keeping: Any) -> None:
    server = stream()
    server.reading.clear()
    transport = keeping(tcp(server))
    sent = 0
    while transport.send([b"\n".join(b"t%d:1|ms" % number for number in range(sent, sent + 20_000))]):
        sent += 20_000
        assert sent < 10_000_000
    sent += 20_000
    server.reading.set()
    deadline = time.monotonic() + 20
    while not transport.send([]) and time.monotonic() < deadline:
        time.sleep(0.01)
    transport.send([b"last:1|c"])
    server.wait_for(sent + 1)
    # What did not fit goes to the backlog, which gives up the oldest beyond its limit: none here.
    assert transport.dropped == 0
    assert set(server.lines) == {*(f"t{number}:1|ms" for number in range(sent)), "last:1|c"}
    assert len(server.lines) == sent + 1


def test_a_line_that_was_cut_is_sent_again() -> None:
    link = StreamLink(Endpoint("h", 1, "tcp"))
    link._frame, link._gone = b"a:1|c\nb:22|c\nc:3|c\n", 9
    assert link.unfinished() == [b"b:22|c\nc:3|c"]
    link._gone = 6
    assert link.unfinished() == [b"b:22|c\nc:3|c"]
    link._frame, link._gone = b"", 0
    assert link.unfinished() == []


def test_a_server_that_ends_in_a_datagram_costs_no_line_it_did_not_get(stream: Any, keeping: Any) -> None:
    server = stream()
    server.reading.clear()
    transport = keeping(tcp(server))
    count = 1_500_000  # more than the buffers of both ends hold
    assert not transport.send([b"\n".join(b"t%d:1|ms" % number for number in range(count))])
    (unfinished,) = transport._link.unfinished()
    left = unfinished.count(b"\n") + 1
    assert 0 < left < count
    server.close()
    again = stream(server.address)
    assert transport.send([b"last:1|c"])
    lines = again.wait_for(left + 1)
    assert lines == [*(f"t{number}:1|ms" for number in range(count - left, count)), "last:1|c"]


def test_lines_given_up_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture, keeping: Any, path: str) -> None:
    transport = keeping(UnixDatagramLink(path), limit=3)
    for number in range(5):
        transport.send([b"t:%d|ms" % number])
    assert transport.dropped == 2
    assert caplog.text.count("the oldest are dropped") == 1
    transport.close()
    transport.close()
    assert transport.dropped == 5
    assert "3 lines are lost" in caplog.text
    assert not transport.send([b"late:1|c"])


def test_the_last_attempt_is_made_at_the_end(stream: Any, keeping: Any) -> None:
    port = free_port()
    transport = keeping(StreamLink(Endpoint("127.0.0.1", port, "tcp")), clock=lambda: 0.0)
    transport.send([b"c:1|c"])
    server = stream(("127.0.0.1", port))
    transport.send([b"c:2|c"])
    transport.close()
    assert server.wait_for(1) == ["c:3|c"]
    assert transport.dropped == 0


def test_a_datagram_too_large_for_a_socket_costs_itself_alone(datagrams: Any, keeping: Any, path: str) -> None:
    server = datagrams()
    transport = keeping(UnixDatagramLink(path))
    assert transport.send([b"x" * 10_000_000, b"a:1|c"])
    assert server.take() == [b"a:1|c"]
    assert transport.oversized == 1


def test_a_forked_child_leaves_what_waits_to_its_parent(stream: Any, keeping: Any) -> None:
    server = stream()
    transport = keeping(tcp(server))
    assert transport.send([b"parent:1|c"])
    transport._backlog.keep([b"parent:2|c"])
    child = os.fork()
    if not child:
        sent = transport.send([b"child:1|c"])
        transport.close()
        os._exit(0 if sent else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert transport.send([b"parent:3|c"])
    assert sorted(server.wait_for(4)) == ["child:1|c", "parent:1|c", "parent:2|c", "parent:3|c"]


def test_a_forked_child_that_sends_nothing_loses_nothing_of_its_parent(
    keeping: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport = keeping(UnixDatagramLink(path))
    assert not transport.send([b"parent:1|c"])
    caplog.clear()
    child = os.fork()
    if not child:
        transport.close()
        os._exit(1 if transport.dropped or caplog.records else 0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    "endpoint", ["unix:///nowhere/statsd", "unixstream:///nowhere/statsd", "tcp://no.such.invalid"]
)
def test_the_constructor_connects_nowhere_and_an_export_fails_quietly(endpoint: str) -> None:
    exporter = StatsdMetricExporter(endpoint)
    provider = MeterProvider([reader := PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)])
    results: list[MetricExportResult] = []
    export = exporter.export

    def watched(*args: Any, **kwargs: Any) -> MetricExportResult:
        results.append(export(*args, **kwargs))
        return results[-1]

    exporter.export = watched  # type: ignore[method-assign]
    provider.get_meter("m").create_counter("c").add(3)
    reader.collect()
    assert results == [MetricExportResult.FAILURE]
    provider.shutdown()
    assert exporter.dropped == 1
