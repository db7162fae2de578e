"""Which requests are kept: those that failed, were slow or are asked for, and the last ones of each route."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import monotonic

from c2cotel.config.parsers import Slow
from c2cotel.delivery.guard import Guard
from c2cotel.host.records import Record
from c2cotel.otel.http import OTHER_VERB, VERBS
from c2cotel.runtime.flight.entry import Entry
from c2cotel.runtime.flight.making import RecordMaker
from c2cotel.runtime.request_scope import OWN_ROUTES

_logger = logging.getLogger(__name__)

_LAST_OF_A_ROUTE = 20
_RECENT_A_TICK = 50
"""Requests that are written at a tick for being recent alone: on a busy service each would be another one."""

_MOST_RECENT = 400
"""The same of the last tick."""

_WAITING_AGAIN = 2
"""Requests of a route that wait for another tick when there were too many."""

_MOST_RECENT_TEXT = 1024 * 1024
"""Characters of log records of requests that wait; those of further ones are counted alone."""

_LATE = 30.0
"""Seconds after its end for which a kept request gets spans and log records of threads that go on."""

_MOST_LATE = 200
_MOST_LATE_TEXT = 2 * 1024 * 1024
_BATCH = 50
"""Records that are made at once."""

_BATCH_TEXT = 1024 * 1024
"""Characters of log records in records that are made at once."""


class _Late:
    """A written request that may still get spans and log records.

    Args:
        entry: The request.
        kept: Why it is kept.
        until: End of the time in which it gets any, monotonic seconds.
    """

    __slots__ = ("entry", "kept", "size", "text", "until")

    def __init__(self, entry: Entry, kept: tuple[str, ...], until: float) -> None:
        self.entry = entry
        self.kept = kept
        self.until = until
        self.size = _size(entry)
        self.text = entry.local.text


class Keeper:
    """Decides on requests that have ended; used by one thread.

    Args:
        slow: What counts as slow.
        maker: Makes records.
    """

    def __init__(self, slow: Slow, maker: RecordMaker) -> None:
        self._slow = slow
        self._maker = maker
        self._guard = Guard(_logger, "A request could not be kept, others are")
        self.reset()

    def reset(self) -> None:
        """Forget every request."""
        self._recent: dict[tuple[str, str], deque[Entry]] = {}
        self._recent_text = 0
        self._written: dict[tuple[str, str], int] = {}
        self._ticks = 0
        self._late: deque[_Late] = deque()
        self._late_text = 0

    def reasons(self, entry: Entry) -> tuple[str, ...]:
        """Why a request is kept, words of `KEPT`; empty if for nothing but being recent."""
        reasons = entry.kept
        if entry.failed:
            reasons += ("failed",)
        if entry.seconds >= self._slow.routes.get(entry.route, self._slow.seconds):
            reasons += ("slow",)
        if entry.reason is not None and "died" not in reasons:
            reasons += ("debug",)
        return reasons

    def decide(self, entries: Iterable[Entry], *, last: bool) -> Iterator[list[Record]]:
        """The records of requests that are kept, in batches, and of earlier ones that have grown.

        Args:
            entries: Requests that ended since the last call.
            last: Whether there is no further call.
        """
        batch: list[Record] = []
        text = 0
        for entry, kept in self._kept(entries, last=last):
            text += entry.local.text
            batch += self._made(entry, kept)
            if len(batch) >= _BATCH or text >= _BATCH_TEXT:
                yield batch
                batch, text = [], 0
        yield batch + [record for late in self._grown() for record in self._made(late.entry, late.kept, again=True)]

    def add_recent(self, entry: Entry) -> None:
        """Let a request wait that is kept only if it stays among the last ones of its route; any thread may call it.

        One of c2cotel's own views is not kept for that.
        """
        if entry.route.startswith(OWN_ROUTES):
            entry.local.close()
            return
        verb = entry.environ[0]
        group = verb if verb in VERBS else OTHER_VERB, entry.route
        waiting = self._recent.get(group)
        if waiting is None:
            waiting = self._recent.setdefault(group, deque())
        if text := entry.local.text:
            self._recent_text += text
            if self._recent_text > _MOST_RECENT_TEXT:
                entry.local.drop_logs()
        waiting.append(entry)
        if len(waiting) > _LAST_OF_A_ROUTE:
            with suppress(IndexError):  # the worker took them
                waiting.popleft().local.close()

    def _kept(self, entries: Iterable[Entry], *, last: bool) -> Iterator[tuple[Entry, tuple[str, ...]]]:
        for entry in entries:
            yield entry, self.reasons(entry)
        left = _MOST_RECENT if last else _RECENT_A_TICK
        self._ticks += 1
        self._recent_text = 0
        groups = [(self._written.get(group, 0), group) for group, waiting in list(self._recent.items()) if waiting]
        groups.sort()
        names = {thread.ident: thread.name for thread in threading.enumerate()} if groups else {}
        for _, group in groups:
            waiting = self._recent[group]
            if left <= 0:  # those that wait longest come first the next time
                while len(waiting) > _WAITING_AGAIN:
                    waiting.popleft().local.close()
                continue
            self._written[group] = self._ticks
            for entry in _taken(waiting):
                left -= 1
                entry.thread = names.get(entry.thread_id, "")
                yield entry, ("recent",)

    def _made(self, entry: Entry, kept: tuple[str, ...], *, again: bool = False) -> list[Record]:
        records: list[Record] = []
        with self._guard:
            late = None if again else _Late(entry, kept, monotonic() + _LATE)
            records.append(self._maker.make(entry, kept))
            if late is not None:
                self._await_late(late)
        return records

    def _await_late(self, late: _Late) -> None:
        self._late.append(late)
        self._late_text += late.text
        while len(self._late) > _MOST_LATE or self._late_text > _MOST_LATE_TEXT:
            self._forget(self._late.popleft())

    def _grown(self) -> Iterator[_Late]:
        """Written requests that got spans or log records since."""
        now = monotonic()
        while self._late and self._late[0].until < now:
            self._forget(self._late.popleft())
        for late in list(self._late):
            size = _size(late.entry)
            if size != late.size:
                late.size = size
                yield late

    def _forget(self, late: _Late) -> None:
        self._late_text -= late.text
        late.entry.local.close()


def _taken(waiting: deque[Entry]) -> Iterator[Entry]:
    for _ in range(len(waiting)):
        try:
            yield waiting.popleft()
        except IndexError:  # a request made room for itself meanwhile
            return


def _size(entry: Entry) -> tuple[int, int]:
    local = entry.local
    return len(local.spans) + local.dropped_spans, len(local.logs) + local.dropped_logs
