"""Messages worked off in their order, a line for each channel, by threads that are there while there is work."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from c2cotel.delivery.once import Once

_logger = logging.getLogger(__name__)

_LONGEST_LINE = 100
"""Messages of one channel that may wait behind a handler that hangs."""


class Lines:
    """One line of messages for each channel: a handler that hangs delays its own channel only.

    Args:
        what: Name for threads and log lines.
        work: Takes one message; what it raises ends nothing.
    """

    def __init__(self, what: str, work: Callable[[Any], None]) -> None:
        self._what = what
        self._work = work
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Any]] = {}
        self._complaints = Once()

    def put(self, channel: str, message: Any) -> bool:
        """Add a message at the end of its line; returns whether it will be worked off."""
        with self._lock:
            has_room = True
            line = self._waiting.get(channel)
            if line is not None:
                has_room = len(line) < _LONGEST_LINE
                if has_room:
                    line.append(message)
            else:
                self._waiting[channel] = deque([message])
        if line is not None:
            if not has_room:  # told without the lock: a log handler may send a message, too
                self._complain(channel, "its handler hangs, and too many messages wait")
            return has_room
        thread = threading.Thread(
            target=self._run, args=(channel,), name=f"c2cotel {self._what} {channel}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter ends
            with self._lock:
                self._waiting.pop(channel, None)
            self._complain(channel, str(error))
            return False
        return True

    def _run(self, channel: str) -> None:
        while True:
            with self._lock:
                line = self._waiting[channel]
                if not line:
                    del self._waiting[channel]
                    return
                message = line.popleft()
            try:
                self._work(message)
            except BaseException:  # whatever a handler raises, SystemExit too: the line goes on
                with suppress(BaseException):  # a log handler of the application's may do the same
                    if self._complaints.first(channel):
                        _logger.exception("%s on channel %s failed; later messages are worked off", self._what, channel)

    def _complain(self, channel: str, reason: str) -> None:
        if self._complaints.first((channel, reason)):
            _logger.error("%s on channel %s: a message is dropped: %s (logged once)", self._what, channel, reason)
