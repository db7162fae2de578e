"""The transport over a `Link`: what its peer cannot take now waits."""

import errno
import logging
import os
import time
from collections.abc import Callable, Sequence

from opentelemetry.exporter.statsd._backlog import LIMIT, Backlog
from opentelemetry.exporter.statsd._lines import pack
from opentelemetry.exporter.statsd._links import MAX_STREAM_PACKET, Link

_logger = logging.getLogger("opentelemetry.exporter.statsd")

SEND_BUDGET = 1.0
"""Seconds that one `send` may wait for a connection, and again for a peer that is slow."""
LAST_BUDGET = 0.5
"""The same for the last attempt, when the transport is closed."""
FIRST_WAIT = 0.25
"""Seconds until a failed connection is tried again; doubled at each failure."""


class KeepingTransport:
    """A transport over a link; while its peer is away or takes nothing, lines wait in a `Backlog`.

    The connection is made at the first `send`. A process forked from the one that made it opens one of its own, and
    leaves what waited to its parent. Not safe for several threads at once: the exporter locks.

    Args:
        link: The connection.
        name: Name of the server, for the log.
        max_packet: Bytes of a datagram that is made of lines that waited, 8192 by default.
        limit: Lines that may wait, 50,000 by default.
        clock: As `time.monotonic`.

    Attributes:
        sent: Datagrams handed over.
        oversized: Datagrams dropped because the network takes none of that size.
    """

    def __init__(
        self,
        link: Link,
        name: str,
        *,
        max_packet: int = MAX_STREAM_PACKET,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sent = self.oversized = 0
        self._link = link
        self._name = name
        self._max_packet = max_packet
        self._backlog = Backlog(limit)
        self._clock = clock
        self._wait = 0.0
        self._retry_at = 0.0
        self._is_down = self._is_drop_logged = self._closed = False
        self._dropped_before_outage = 0
        self._pid = os.getpid()

    @property
    def dropped(self) -> int:
        """Lines given up: too many waited, one was too long, or the transport was closed before they could be sent."""
        return self._backlog.dropped + self.oversized

    def send(self, datagrams: Sequence[bytes]) -> bool:
        """Send what waited and then these, in order; False if some of it waits now. Never raises."""
        if self._closed:
            return False
        self._begin()
        if not self._is_down:
            self._dropped_before_outage = self.dropped
        if self._clock() < self._retry_at:
            self._keep(datagrams)
            return False
        return self._send(datagrams, SEND_BUDGET)

    def close(self) -> None:
        """Try once more to send what waits, and close the connection; a later `send` returns False."""
        if self._closed:
            return
        self._begin()
        self._send((), LAST_BUDGET)
        self._closed = True
        self._keep(self._link.unfinished())
        self._link.close()
        if self._backlog:
            self._backlog.dropped += len(self._backlog)
            _logger.warning("StatsD at %s did not come back: %d lines are lost", self._name, len(self._backlog))

    def _begin(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._link.close()
            self._backlog.forget()

    def _send(self, datagrams: Sequence[bytes], budget: float) -> bool:
        if not datagrams and not self._backlog and not self._link.unfinished():
            return True
        waiting = [*pack(self._backlog.take(), self._max_packet), *datagrams]
        for attempt in (1, 2):
            try:
                self._link.open(budget)
                taken = self._put_all(waiting, budget)
            except (OSError, UnicodeError) as error:
                waiting[:0] = self._link.unfinished()
                self._link.close()
                # A peer that was there a moment ago is tried once more: it may have been restarted.
                if attempt == 1 and isinstance(error, ConnectionError):
                    continue
                self._keep(waiting)
                self._down(error)
                return False
            if taken:
                self._up()
                return True
            self._keep(waiting)
            self._down(TimeoutError("it takes nothing"))
            self._retry_at = 0.0  # it is connected: the next attempt costs no more than a look
            return False
        return False

    def _put_all(self, waiting: list[bytes], budget: float) -> bool:
        """Hand over datagrams, and take each that was out of the list; False if time was up before."""
        deadline = self._clock() + budget
        done = 0
        try:
            for datagram in waiting:
                try:
                    if not self._link.put(datagram, deadline - self._clock()):
                        return False
                    self.sent += 1
                except OSError as error:
                    if error.errno != errno.EMSGSIZE:
                        raise
                    self._too_long(datagram)
                done += 1
        finally:
            del waiting[:done]
        return self._link.finish(deadline - self._clock())

    def _keep(self, datagrams: Sequence[bytes]) -> None:
        self._backlog.keep(datagrams)
        if self._backlog.dropped and not self._is_drop_logged:
            self._is_drop_logged = True
            _logger.warning(
                "Too many lines wait for StatsD at %s; the oldest are dropped until it is back (logged once)",
                self._name,
            )

    def _too_long(self, datagram: bytes) -> None:
        if not self.oversized:
            _logger.warning("A line of %d bytes does not fit a datagram and is dropped (logged once)", len(datagram))
        self.oversized += 1

    def _down(self, error: Exception) -> None:
        self._wait = min(max(2 * self._wait, FIRST_WAIT), self._link.longest_wait)
        self._retry_at = self._clock() + self._wait
        if not self._is_down:
            self._is_down = True
            _logger.warning(
                "StatsD at %s is unreachable (%s); measurements wait until it is back (logged once)", self._name, error
            )

    def _up(self) -> None:
        self._wait = self._retry_at = 0.0
        if self._is_down:
            self._is_down = False
            lost = self.dropped - self._dropped_before_outage
            _logger.info("StatsD at %s is reached again; %d measurements were lost meanwhile", self._name, lost)
