"""The transport over UDP. Nothing here raises into the caller or waits longer than its budget."""

import errno
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from opentelemetry.exporter.statsd._endpoint import Endpoint
from opentelemetry.exporter.statsd._lookup import Address, Lookup, Resolver

_logger = logging.getLogger("opentelemetry.exporter.statsd")

MAX_UDP_PAYLOAD = 65_507
SECONDS_A_LINE = 9e-6
"""Time given to the receiver for each line. Etsy's server needs some 2.5 microseconds, when it has a core to itself."""
SECONDS_A_DATAGRAM = 1e-4
"""Time given to the receiver for each datagram, beside its lines."""
AHEAD = 0.004
"""Seconds that sending may be ahead of the receiver: some 5 full datagrams, where its default buffer of 212,992 bytes
holds 92. The rest is for other processes that send at the same time, and for a receiver that has to wait for a core."""
LONGEST = 1.0
"""Seconds over which one `send` is spread at most; what has more to send goes faster, or it would pile up here."""
SHORTEST = 0.1
"""Seconds over which many datagrams are spread in any case, however short the timeout of an export is."""
SEND_BUDGET = 0.1
"""Seconds one `send` may wait altogether for room in the socket's buffer."""
RESOLVE_INTERVAL = 300.0
"""Seconds after which a name is looked up again: an UDP socket never says that the server has moved."""
LOOKUP_TIMEOUT = 2.0
"""Seconds that a `send` waits for a name server."""
RETRY_INTERVAL = 30.0
"""Seconds until a look-up that failed is tried again, while there are older addresses: one may take seconds."""


class Transport(Protocol):
    """A way for the datagrams of an exporter to the server."""

    def send(self, datagrams: Sequence[bytes]) -> bool:
        """Send datagrams in order; False if one is known not to have arrived. Never raises.

        Without any: try again what waits, if something does, and say how things stand.
        """

    def close(self) -> None:
        """Close the connection; a later `send` returns False."""


class UdpTransport:
    """A transport of datagrams over UDP, paced.

    The name is resolved at the first `send`, after errors and every five minutes; every address it has is tried. A
    process forked from the one that made it opens a socket of its own. Not safe for several threads at once: the
    exporter locks.

    Args:
        endpoint: Host and port.
        resolver: As `socket.getaddrinfo`; None: that one.
        sleep: As `time.sleep`.
        clock: As `time.monotonic`.

    Attributes:
        sent: Datagrams handed to the network.
        dropped: Lines known to be lost.
        errors: Datagrams known to be lost to an error of the network.
        oversized: Datagrams dropped because the network takes none of that size.
        longest: Seconds over which one `send` is spread at most.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        resolver: Resolver | None = None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sent = self.dropped = self.errors = self.oversized = 0
        self.longest = LONGEST
        self._endpoint = endpoint
        self._lookup = Lookup(endpoint, socket.SOCK_DGRAM, resolver)
        self._sleep = sleep
        self._clock = clock
        self._addresses: list[Address] = []
        self._current = 0
        self._resolve_at: float | None = None
        self._socket: socket.socket | None = None
        self._pid = os.getpid()
        self._receiver_done = 0.0
        self._budget = 0.0
        self._failure: Exception | None = None
        self._is_down = False
        self._closed = False
        self._lines_on_the_way = 0
        self._dropped_before_outage = 0

    def send(self, datagrams: Sequence[bytes]) -> bool:
        """Send datagrams in order; False if one is known not to have arrived. Never raises.

        Without any: whether the server was there when it was last sent something.
        """
        if self._closed:
            return False
        if not datagrams:
            return not self._is_down
        self._begin()
        try:
            self._resolve()
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that no name server can be asked for
            self.errors += len(datagrams)
            self.dropped += sum(map(_lines, datagrams))
            self._down(error)
            return False
        complete = True
        last = len(datagrams) - 1
        costs = [_cost(datagram) for datagram in datagrams]
        hurry = min(1.0, self.longest / sum(costs))
        for position, (datagram, cost) in enumerate(zip(datagrams, costs, strict=True)):
            self._pace(cost * hurry)
            complete &= self._send_one(datagram, ask=position == last)
        # Judged once a call: far refusals come back a while after the datagram, so that a single good send proves
        # nothing.
        if self._failure is not None:
            self._down(self._failure)
            return False
        if complete:
            self._up()
        return complete

    def close(self) -> None:
        """Close the socket; a later `send` returns False."""
        self._closed = True
        self._disconnect()

    def _begin(self) -> None:
        if self._pid != os.getpid():
            self._disconnect()
            self._pid = os.getpid()
        self._budget = SEND_BUDGET
        self._failure = None
        if not self._is_down:
            self._dropped_before_outage = self.dropped

    def _resolve(self) -> None:
        now = self._clock()
        if self._resolve_at is not None and now < self._resolve_at:
            return
        try:
            addresses = self._lookup.addresses(LOOKUP_TIMEOUT)
        except (OSError, UnicodeError):
            if not self._addresses:
                raise
            self._resolve_at = now + RETRY_INTERVAL  # the old addresses may well still be good
            return
        current = self._addresses[self._current] if self._addresses else None
        if current in addresses:
            self._current = addresses.index(current)
        else:
            self._disconnect()
            self._current = 0
        self._addresses = addresses
        self._resolve_at = now + RESOLVE_INTERVAL

    def _send_one(self, datagram: bytes, *, ask: bool) -> bool:
        if len(datagram) > MAX_UDP_PAYLOAD:
            return self._too_long(datagram)
        failure: Exception | None = None
        for _ in range(len(self._addresses) + 1):
            ask = ask or self._socket is None
            try:
                connection = self._put(datagram)
            except ConnectionRefusedError as error:
                # It was an earlier datagram that was refused, and this one was not transmitted: try again.
                self.errors += 1
                self.dropped += self._lines_on_the_way
                self._lines_on_the_way = 0
                self._failure = failure = error
            except BlockingIOError as error:
                failure = error
                break
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    return self._too_long(datagram)
                failure = error
                self._disconnect()
            else:
                # On the same host a refusal is known at once. Asking costs a fifth of a
                # send: a new socket is asked, to find the address that listens, and any after the last datagram.
                code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ask else 0
                if not code:
                    self.sent += 1
                    self._lines_on_the_way = _lines(datagram)
                    return True
                failure = OSError(code, os.strerror(code))
            if len(self._addresses) > 1:
                self._disconnect()
                self._current = (self._current + 1) % len(self._addresses)
        self.errors += 1
        self.dropped += _lines(datagram)
        self._failure = failure
        return False

    def _put(self, datagram: bytes) -> socket.socket:
        connection = self._socket or self._connect()
        while True:
            try:
                connection.send(datagram)
            except BlockingIOError:
                if self._budget <= 0:
                    raise
                self._wait_for_room(connection)
            else:
                return connection

    def _wait_for_room(self, connection: socket.socket) -> None:
        start = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_WRITE)
            selector.select(self._budget)
        self._budget -= time.monotonic() - start

    def _connect(self) -> socket.socket:
        family, address = self._addresses[self._current]
        connection = socket.socket(family, socket.SOCK_DGRAM)
        try:
            connection.setblocking(False)
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        self._socket = connection
        return connection

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _pace(self, cost: float) -> None:
        """Wait when the receiver, given `cost` seconds for each datagram, would be too far behind."""
        now = self._clock()
        ahead = self._receiver_done - now
        if ahead >= AHEAD:
            self._sleep(ahead)
            now = self._clock()
        self._receiver_done = max(self._receiver_done, now) + cost

    def _too_long(self, datagram: bytes) -> bool:
        if not self.oversized:
            _logger.warning("A line of %d bytes does not fit a datagram and is dropped (logged once)", len(datagram))
        self.oversized += 1
        self.dropped += _lines(datagram)
        return False

    def _down(self, error: Exception) -> None:
        self._resolve_at = None
        if not self._is_down:
            self._is_down = True
            _logger.warning(
                "StatsD at %s is unreachable (%s); measurements are lost until it is back (logged once)",
                self._endpoint,
                error,
            )

    def _up(self) -> None:
        if self._is_down:
            self._is_down = False
            lost = self.dropped - self._dropped_before_outage
            _logger.info("StatsD at %s is reached again; %d measurements were lost meanwhile", self._endpoint, lost)


def _lines(datagram: bytes) -> int:
    return datagram.count(b"\n") + 1


def _cost(datagram: bytes) -> float:
    return SECONDS_A_DATAGRAM + SECONDS_A_LINE * _lines(datagram)
