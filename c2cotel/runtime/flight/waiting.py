"""Requests that have ended and are kept, until the worker writes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from c2cotel.runtime.flight.entry import Entry

_MANY = 1000
"""Requests that wait, from which on the worker does not wait for its next tick."""

_TOO_MANY = 5000
"""Requests that may wait; further ones are counted alone."""

_MUCH_TEXT = 3 * 1024 * 1024
"""Characters of waiting log records, from which on those of further requests are counted alone."""


class Waiting:
    """A bounded queue of requests; only `take` is for one thread.

    Args:
        wake: Called when much waits.

    Attributes:
        lost: Number of requests that found no room.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self.lost = 0
        self._wake = wake
        self._entries: deque[Entry] = deque()
        self._text = 0

    def put(self, entry: Entry) -> None:
        """Let a request wait."""
        entry.thread = threading.current_thread().name
        waiting = len(self._entries)
        local = entry.local
        if local.text:
            self._text += local.text
            if self._text > _MUCH_TEXT:
                local.drop_logs()
        if waiting >= _MANY or self._text > _MUCH_TEXT // 4:
            self._wake()
            if waiting >= _TOO_MANY:
                self.lost += 1
                local.close()
                return
        self._entries.append(entry)

    def take(self) -> list[Entry]:
        """The requests that wait."""
        entries = self._entries
        self._text = 0
        return [entries.popleft() for _ in range(len(entries))]

    def reset(self) -> None:
        """Forget them."""
        self._entries = deque()
        self._text = 0
