"""Log records as CEE for syslog, a datagram each."""

from __future__ import annotations

import logging
import socket
import sys
import time
from typing import Any

import orjson

from c2cotel.logs.formatter import line_of
from c2cotel.logs.record import syslog_level

_LARGEST = 65_000
"""Bytes of a datagram; UDP over IPv4 carries 65,507."""
_LOOK_UP_AGAIN = 30.0
"""Seconds from one look-up of a server that is away to the next: each may take seconds of a request."""
_CUT = " [cut]"
_FACILITY_USER = 1


class PyramidCeeSysLogHandler(logging.Handler):
    """Sends records as CEE to syslog, a datagram each: ``<{pri}>: @cee: {json}`` and a NUL, facility user.

    A record too large for a datagram loses the ends of its longest texts. A server that is away costs the application
    nothing, and is logged once on the standard error.

    Args:
        address: host and port of the syslog server.
    """

    def __init__(self, address: tuple[str, int] = ("localhost", 514)) -> None:
        super().__init__()
        self.address = (address[0], int(address[1]))
        self._away = False
        self._target: tuple[socket.socket, Any] | None = None
        self._look_up_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; it never raises."""
        try:
            # The first colon keeps @cee out of the tag (RFC 3164).
            start = b"<%d>: @cee: " % (_FACILITY_USER * 8 + syslog_level(record.levelno))
            message = start + _datagram(line_of(record), _LARGEST - len(start)) + b"\0"
            if (self._target is None or self._away) and time.monotonic() >= self._look_up_at:
                self._look_up()
            if self._target is None:
                return
            connection, address = self._target
            connection.sendto(message, address)
            self._away = False
        except OSError as error:
            if not self._away:
                self._away = True
                # Not through logging: this may be all the logging there is.
                print(f"syslog at {self.address} cannot be reached: {error} (logged once)", file=sys.stderr)
        except Exception:  # noqa: BLE001  # as the standard library's handlers do
            self.handleError(record)

    def close(self) -> None:
        """Release the socket."""
        self._forget()
        super().close()

    def _look_up(self) -> None:
        self._look_up_at = time.monotonic() + _LOOK_UP_AGAIN
        family, kind, protocol, _, address = socket.getaddrinfo(*self.address, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        self._forget()
        self._target = made, address

    def _forget(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target[0].close()


def _datagram(line: bytes, largest: int) -> bytes:
    """A JSON object of at most `largest` bytes: its longest texts lose their ends, with a mark."""
    if len(line) <= largest:
        return line
    fields: dict[str, Any] = orjson.loads(line)
    for _ in fields:
        texts = {name: len(orjson.dumps(value)) for name, value in fields.items() if isinstance(value, str)}
        longest = max(texts, key=texts.__getitem__)
        fields[longest] = _shortened(fields[longest], texts[longest] - (len(line) - largest))
        line = orjson.dumps(fields)
        if len(line) <= largest:
            break
    return line


def _shortened(text: str, size: int) -> str:
    """The start of a text, with a mark, whose JSON has at most `size` bytes, or the mark alone."""
    size = max(0, size - len(_CUT) - 2)
    low, high = 0, min(len(text), size)
    while low < high:
        middle = (low + high + 1) // 2
        if len(orjson.dumps(text[:middle])) - 2 <= size:
            low = middle
        else:
            high = middle - 1
    return text[:low] + _CUT
