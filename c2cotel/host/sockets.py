"""Unix sockets as calls need them: short addresses, the other end's user, one line in and one answer out."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

LARGEST = 64 * 1024 * 1024
"""Bytes of a message, such as the totals of a large process."""
_CREDENTIALS = struct.Struct("3i")


class PendingCall:
    """A call that waits for its answer."""

    def __init__(self, name: str, connection: socket.socket, *, failed: bool = False) -> None:
        self.name = name
        self.connection = connection
        self.failed = failed
        self.answers: list[Any] | None = None
        self._received = bytearray()

    def read(self) -> bool:
        """Take what has arrived; returns whether that was all."""
        try:
            piece = self.connection.recv(65_536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        self._received += piece
        if piece and len(self._received) <= LARGEST:
            return False
        try:
            answers = json.loads(self._received)
        except (ValueError, RecursionError):
            return True
        if isinstance(answers, list):
            self.answers = answers
        return True


class short_address:  # noqa: N801  # used as a statement
    """A path that fits into a socket's address, which has room for 108 bytes: below the descriptor of its folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> str:
        self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)


def is_ours(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as our user, or as root."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(raw)[1] in (os.getuid(), 0)


def read_line(connection: socket.socket) -> bytes:
    """The first line that arrives, or as much of it as does."""
    received = bytearray()
    while not received.endswith(b"\n"):
        piece = connection.recv(65_536)
        if not piece or len(received) > LARGEST:
            break
        received += piece
    return bytes(received)


def reply(connection: socket.socket, answers: list[Any]) -> None:
    """Answer and hang up; a caller that is gone is none of our business."""
    with connection:
        try:
            connection.settimeout(5)
            connection.sendall(json.dumps(answers, default=str).encode())
            connection.shutdown(socket.SHUT_WR)  # a process that was forked meanwhile has the connection open, too
        except OSError:
            return
