"""Log records as CEE for syslog, a datagram each."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from logging.handlers import SYSLOG_UDP_PORT, SysLogHandler
from typing import Any

import orjson

from c2cotel.logs.formatter import line_of
from c2cotel.logs.record import syslog_level

_LARGEST = 65_000
"""Bytes of a datagram; UDP over IPv4 carries 65,507."""
_LOOK_UP_AGAIN = 30.0
"""Seconds from one look-up of a server that is away to the next: each may take seconds of a request."""
_CUT = " [cut]"
_CONNECTING = 5.0
"""Seconds that a connection may take, in a thread of its own."""
_MOST_WAITING = 1000
"""Records that wait for the first look-up of the server."""


Address = tuple[str, int] | str


class PyramidCeeSysLogHandler(logging.Handler):
    """Sends records as CEE to syslog, a message each: ``<{pri}>: @cee: {json}`` and a NUL.

    A record too large for a datagram loses the ends of its longest texts. A server that is away costs the application
    nothing, and is reported once on the standard error. Its name is looked up by a thread of its own: a resolver that
    hangs holds no request; up to 1,000 records wait for the first answer.

    Args:
        address: Host and port of the syslog server, or the path of its Unix socket, such as ``/dev/log``.
        facility: As of `logging.handlers.SysLogHandler`: a number or a name, such as ``local1``.
        socktype: `socket.SOCK_DGRAM` or `socket.SOCK_STREAM`; if None, UDP, and what the Unix socket takes.
    """

    def __init__(
        self,
        address: Address = ("localhost", SYSLOG_UDP_PORT),
        facility: int | str = SysLogHandler.LOG_USER,
        socktype: int | None = None,
    ) -> None:
        super().__init__()
        self.address: Address = address if isinstance(address, str) else (address[0], int(address[1]))
        self.facility = SysLogHandler.facility_names[facility] if isinstance(facility, str) else facility
        self.socktype = socktype
        self._away = False
        self._target: tuple[socket.socket, Any] | None = None
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._look_up_at = 0.0
        self._looking_up: threading.Thread | None = None
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; it never raises."""
        try:
            if self._pid != os.getpid():
                self._begin_in_child()
            # The first colon keeps @cee out of the tag (RFC 3164).
            start = b"<%d>: @cee: " % (self.facility * 8 + syslog_level(record.levelno))
            message = start + _datagram(line_of(record), _LARGEST - len(start)) + b"\0"
            if (self._target is None or self._away) and time.monotonic() >= self._look_up_at:
                self._look_up()
            self._waiting.append(message)
            if self._send_waiting():
                self._away = False
        except OSError as error:
            self._complain(error)
        except Exception:  # noqa: BLE001  # as the standard library's handlers do
            self.handleError(record)

    def close(self) -> None:
        """Release the socket."""
        self._forget()
        super().close()

    def _begin_in_child(self) -> None:
        """Leave to the parent what is the parent's: its records that wait, its connection, its look-up."""
        self._pid = os.getpid()
        self._waiting.clear()
        self._looking_up, self._look_up_at = None, 0.0
        self._forget()

    def _look_up(self) -> None:
        """Look the server up: an address at once; a name, and a server to connect to, in a thread."""
        self._look_up_at = time.monotonic() + _LOOK_UP_AGAIN
        if isinstance(self.address, str):
            self._use(_unix(self.address, self.socktype), None)
            return
        try:
            if self.socktype != socket.SOCK_STREAM:
                self._resolve(self.address, socket.AI_NUMERICHOST)
                return
        except (socket.gaierror, UnicodeError):
            pass
        if self._looking_up is None or not self._looking_up.is_alive():
            self._looking_up = threading.Thread(
                target=self._resolve_name, args=(self.address,), name="c2cotel syslog", daemon=True
            )
            self._looking_up.start()

    def _resolve_name(self, address: tuple[str, int]) -> None:
        try:
            self._resolve(address, 0)
            self._send_waiting()
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one of a host
            self._complain(error)

    def _resolve(self, address: tuple[str, int], flags: int) -> None:
        kind = self.socktype or socket.SOCK_DGRAM
        family, kind, protocol, _, peer = socket.getaddrinfo(*address, type=kind, flags=flags)[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(_CONNECTING)
            if kind == socket.SOCK_STREAM:
                made.connect(peer)
        except OSError:
            made.close()
            raise
        self._use(made, None if kind == socket.SOCK_STREAM else peer)

    def _use(self, made: socket.socket, peer: Any) -> None:
        """Send to a peer from now on; None: the socket is connected."""
        made.setblocking(False)
        self._forget()
        self._target = made, peer

    def _send_waiting(self) -> bool:
        """Send what waits for the server's address; returns whether that is there."""
        while (target := self._target) is not None:
            try:
                message = self._waiting.popleft()
            except IndexError:
                return True
            connected, peer = target
            if connected.type == socket.SOCK_STREAM:
                self._send_all(connected, message)
            elif peer is not None:
                connected.sendto(message, peer)
            else:
                connected.send(message)
        return False

    def _send_all(self, connected: socket.socket, message: bytes) -> None:
        """Send into a stream, which must never begin with the rest of a message: after trouble, another is made."""
        try:
            if connected.send(message) < len(message):
                raise BlockingIOError("the server is slower than the records")
        except OSError:
            self._forget()
            raise

    def _complain(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            # Not through logging: this may be all the logging there is.
            with suppress(Exception):  # a closed standard error, say
                print(f"syslog at {self.address} cannot be reached: {error} (logged once)", file=sys.stderr)

    def _forget(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target[0].close()


def _unix(path: str, socktype: int | None) -> socket.socket:
    """A connected Unix socket of the kind that is asked for, else of the one that the server takes."""
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM) if socktype is None else (socktype,)
    for kind in kinds:
        made = socket.socket(socket.AF_UNIX, kind)
        try:
            made.setblocking(False)  # a server that hangs, with a full queue, is an error at once
            made.connect(path)
            return made
        except OSError as error:
            made.close()
            if error.errno != errno.EPROTOTYPE or kind == kinds[-1]:
                raise
    raise AssertionError("unreachable")


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
