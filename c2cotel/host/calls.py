"""Calls from one process of a host to all others of its service, over Unix sockets in the service's folder.

Each process that serves listens on a stream socket of its own. A call is a line of JSON, and so is the answer; both
ends look at the other's user. Who is dead is cleaned away by whoever notices; who hangs costs a caller its timeout
once, and is named.
"""

from __future__ import annotations

import json
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c2cotel.delivery.guard import Guard
from c2cotel.delivery.lines import Lines
from c2cotel.host.directory import StateFolder
from c2cotel.host.process import is_alive, own_name
from c2cotel.host.sockets import PendingCall, is_ours, read_line, reply, short_address

_logger = logging.getLogger(__name__)

_FOLDER = "calls"
_FOR_THE_SILENT = 0.2
"""Seconds for which a process that was silent at the last call is waited for, once all others have answered."""

Answer = Callable[[str, Mapping[str, Any]], list[Any]]


@dataclass
class Replies:
    """What the processes of a host answered.

    Attributes:
        answers: Their answers; None for each process that was silent or failed.
        silent: The processes that gave none in time, as ``host/pid``.
    """

    answers: list[Any] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)


class HostCalls:
    """Reaches every process of this service on this host.

    Args:
        folder: The folder of the service.
        answer: Gives the answers of this process to a message on a channel.
        serves: Whether this process has a handler for a channel.
    """

    def __init__(self, folder: StateFolder, answer: Answer, serves: Callable[[str], bool]) -> None:
        self._folder = folder
        self._answer = answer
        self._serves = serves
        self._serving = False
        self._made_to_serve = False
        self._silent: set[str] = set()
        self._guard = Guard(_logger, "A call of another process could not be answered")
        self._listening: socket.socket | None = None
        self._path: Path | None = None
        self._begin()

    def call(self, channel: str, params: Mapping[str, Any], *, timeout: float) -> Replies:
        """Call every process, this one as well, and collect their answers.

        Args:
            channel: Any text.
            params: Arguments of the handlers.
            timeout: Seconds to wait for the others; 0 to wait for nobody.
        """
        deadline = time.monotonic() + timeout
        folder = self._folder.below(_FOLDER)
        if folder is None:
            return Replies(self._answer(channel, params))
        line = json.dumps({"channel": channel, "params": params, "answers": timeout > 0}).encode() + b"\n"
        calls = [call for path in sorted(folder.glob("*.sock")) if (call := self._send(path, line)) is not None]
        try:
            ours = self._answer(channel, params)
            replies = self._collect(calls, deadline, timeout) if timeout > 0 else Replies()
            return Replies(ours + replies.answers, replies.silent)
        finally:
            for call in calls:
                call.connection.close()

    def listen(self) -> None:
        """Let others call this process."""
        if self._listening is None:
            with self._guard:
                self._listen()

    def serve(self) -> None:
        """Let others call this process, also once it has forked: it is no mere parent of those that serve."""
        if not self._serving:
            self._serving = True
            self.listen()

    def close(self) -> None:
        """Listen no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            self._unlink()
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes the thread
            listening.close()

    def before_fork(self) -> None:
        """A process that forks before it has served anything makes others work: it is no part of the service."""
        self._made_to_serve = self._listening is not None and not self._serving
        if self._made_to_serve:
            self.close()

    def after_fork(self) -> None:
        """Forget the parent's socket; a worker of a process that served nobody listens from its start."""
        if self._listening is not None:
            self._listening.close()
        self._serving = False
        self._begin()
        if self._made_to_serve:
            self.listen()

    def _begin(self) -> None:
        self._listening = None
        self._path = None
        self._own_name = own_name()
        self._lines = Lines("call", self._work)
        self._silent.clear()

    def _listen(self) -> None:
        folder = self._folder.below(_FOLDER)
        if folder is None:
            return
        self._path = folder / f"{self._own_name}.sock"
        self._unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_address(self._path) as address:
            listening.bind(address)
        self._path.chmod(0o600)
        listening.listen(64)
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), name="c2cotel calls", daemon=True).start()

    def _unlink(self) -> None:
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
            except OSError:
                return

    def _accept(self, listening: socket.socket) -> None:
        while listening is self._listening:
            try:
                connection, _ = listening.accept()
            except OSError:
                if listening is not self._listening:
                    return
                time.sleep(0.1)  # such as too many open files
                continue
            with self._guard:
                if is_ours(connection):
                    connection.settimeout(5)
                    self._hear(connection)
                else:
                    connection.close()

    def _hear(self, connection: socket.socket) -> None:
        try:
            channel, params, wanted = _call(json.loads(read_line(connection)))
        except Exception:
            connection.close()
            raise
        if not self._serves(channel):
            reply(connection, [])
        elif not self._lines.put(channel, (connection, channel, params, wanted)):
            reply(connection, [None])

    def _work(self, call: tuple[socket.socket, str, Mapping[str, Any], bool]) -> None:
        connection, channel, params, wanted = call
        try:
            answers = self._answer(channel, params)
        except BaseException:
            reply(connection, [None])
            raise
        if wanted:
            reply(connection, answers)
        else:
            connection.close()

    def _send(self, path: Path, line: bytes) -> PendingCall | None:
        name = path.stem
        if name == self._own_name:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(1)
        try:
            with short_address(path) as address:
                connection.connect(address)
            if not is_ours(connection):
                raise PermissionError("the socket belongs to another user")
            connection.sendall(line)
            connection.setblocking(False)
            return PendingCall(name, connection)
        except OSError:
            connection.close()
            if not is_alive(name):
                try:
                    path.unlink(missing_ok=True)
                except OSError:
                    return None
                return None
            return PendingCall(name, connection, failed=True)

    def _collect(self, calls: list[PendingCall], deadline: float, timeout: float) -> Replies:
        replies = Replies()
        with selectors.DefaultSelector() as selector:
            for call in calls:
                if not call.failed:
                    selector.register(call.connection, selectors.EVENT_READ, call)
            while selector.get_map():
                waiting: list[PendingCall] = [key.data for key in selector.get_map().values()]
                if all(call.name in self._silent for call in waiting):
                    deadline = min(deadline, time.monotonic() + _FOR_THE_SILENT)
                events = selector.select(max(0.0, deadline - time.monotonic()))
                if not events:
                    break
                for key, _ in events:
                    if key.data.read():
                        selector.unregister(key.fileobj)
        for call in calls:
            if call.answers is None:
                replies.answers.append(None)
                replies.silent.append(f"{socket.gethostname()}/{call.name.partition('-')[0]}")
                if call.name not in self._silent:
                    _logger.warning(
                        "The process %s did not answer within %g s: it hangs, or is stopped",
                        replies.silent[-1],
                        timeout,
                    )
                self._silent.add(call.name)
            else:
                self._silent.discard(call.name)
                replies.answers += call.answers
        return replies


def _call(message: Any) -> tuple[str, dict[str, Any], bool]:
    """Channel, parameters and whether answers are wanted.

    Raises:
        TypeError, KeyError: it is no call of ours.
    """
    channel, params = message["channel"], message["params"]
    if not isinstance(channel, str) or not isinstance(params, dict):
        raise TypeError("expected a channel and its parameters")
    return channel, params, bool(message["answers"])
