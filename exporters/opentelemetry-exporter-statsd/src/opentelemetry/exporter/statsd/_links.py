"""Connections that know whether their peer is there: Unix sockets and TCP."""

import socket
import struct
import time
from typing import Protocol

from opentelemetry.exporter.statsd._endpoint import Endpoint
from opentelemetry.exporter.statsd._lookup import Lookup

MAX_STREAM_PACKET = 8192
"""Bytes of one packet by default: the buffer of Datadog's Agent."""


class Link(Protocol):
    """A connection to one server. A method may raise `OSError` or `UnicodeError`; `close` is then due.

    Attributes:
        longest_wait: Seconds between two attempts to connect, at most.
    """

    longest_wait: float

    def open(self, timeout: float) -> None:
        """Connect within `timeout` seconds."""

    def put(self, datagram: bytes, timeout: float) -> bool:
        """Take a datagram; False if the peer took nothing within `timeout` seconds. If it raises, it took nothing.

        What a stream has begun it has taken: the rest goes with the next call, or is `unfinished`.
        """

    def finish(self, timeout: float) -> bool:
        """Hand over the rest of what was begun; returns whether that is out."""

    def unfinished(self) -> list[bytes]:
        """What was taken and did not get through, from the first line that was cut. To be called before `close`."""

    def close(self) -> None:
        """Close the connection."""


class UnixDatagramLink:
    """A link of datagrams to a Unix socket. The reader's queue is short (10 datagrams on Linux): a send waits for room.

    Args:
        path: Path of the socket.
    """

    longest_wait = 0.0  # it is on this machine: asking costs nothing

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def open(self, timeout: float) -> None:
        if self._socket is None:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                opened.connect(self._path)
            except OSError:
                opened.close()
                raise
            self._socket = opened

    def put(self, datagram: bytes, timeout: float) -> bool:
        if self._socket is None:
            raise ConnectionError("not connected")
        self._socket.settimeout(max(timeout, 0.001))
        try:
            self._socket.send(datagram)
        except TimeoutError:
            return False
        return True

    def finish(self, timeout: float) -> bool:
        return True

    def unfinished(self) -> list[bytes]:
        return []

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class StreamLink:
    """A link of a stream: TCP, where a newline ends each line, or a Unix stream, where its length begins each packet.

    Args:
        endpoint: Place of scheme ``tcp`` or ``unixstream``.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._prefixed = endpoint.scheme == "unixstream"
        self.longest_wait = 0.0 if self._prefixed else 30.0
        self._socket: socket.socket | None = None
        self._frame = b""
        self._gone = 0
        self._lookup = Lookup(endpoint, socket.SOCK_STREAM)

    def open(self, timeout: float) -> None:
        if self._socket is not None:
            self._check_peer(self._socket)
            return
        if self._prefixed:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            opened.settimeout(timeout)
            try:
                opened.connect(self._endpoint.path)
            except OSError:
                opened.close()
                raise
        else:
            opened = self._connect(timeout)
        self._socket = opened

    def put(self, datagram: bytes, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        if not self.finish(timeout):
            return False
        self._frame = struct.pack("<I", len(datagram)) + datagram if self._prefixed else datagram + b"\n"
        self._gone = 0
        try:
            self.finish(deadline - time.monotonic())
        except OSError:
            if not self._gone:
                self._frame = b""
                raise
        if self._frame and not self._gone:
            self._frame = b""
            return False
        return True

    def _connect(self, timeout: float) -> socket.socket:
        deadline = time.monotonic() + timeout
        failure = OSError("no address")
        for family, address in self._lookup.addresses(timeout):
            opened = socket.socket(family, socket.SOCK_STREAM)
            opened.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                opened.connect(address)
            except OSError as error:
                opened.close()
                failure = error
            else:
                return opened
        raise failure

    def unfinished(self) -> list[bytes]:
        if not self._frame:
            return []
        if self._prefixed:
            return [self._frame[4:]]
        # What ends within a line was never a line to the server.
        return [self._frame[self._frame.rfind(b"\n", 0, self._gone) + 1 : -1]]

    def close(self) -> None:
        self._frame = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def finish(self, timeout: float) -> bool:
        if self._socket is None:
            raise ConnectionError("not connected")
        deadline = time.monotonic() + timeout
        while self._gone < len(self._frame):
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                self._gone += self._socket.send(memoryview(self._frame)[self._gone :])
            except TimeoutError:
                return False
        self._frame = b""
        return True

    @staticmethod
    def _check_peer(connection: socket.socket) -> None:
        """Raise if the server has closed the connection: what is sent now would be lost without an error."""
        connection.settimeout(0.0)
        try:
            while connection.recv(4096):
                pass
        except BlockingIOError:
            return
        raise ConnectionResetError("the server closed the connection")
