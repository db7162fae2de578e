"""Requests that run too long: told while they run, with the stack and the call in progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from opentelemetry.sdk.trace import Span as SdkSpan

from c2cotel import redaction
from c2cotel.config.parsers import Slow
from c2cotel.runtime.flight.entry import Entry
from c2cotel.runtime.flight.making import route_of, shown_path
from c2cotel.runtime.flight.stacks import Frame, as_text, shown_frames, stack_of_thread

_logger = logging.getLogger("c2cotel.stalls")

SAMPLING = 0.05
"""Seconds between two looks at the stack of a request that may turn out to be slow."""

_MOST_SAMPLES = 1200
_MOST_STACKS = 200
_STACKS_OF_A_STALL = 3
"""Stacks that are taken at successive looks: they show whether a request is stuck or moves."""

_MOST_STALL_STACKS = 12
_LOOK = 0.45
_STATEMENTS = ("db.query.text", "db.statement", "url.full", "http.url")
_LONGEST_CALL = 150


class Samples:
    """Stacks of one request, counted.

    Attributes:
        n: Number of looks.
        stacks: How often each stack was seen.
    """

    __slots__ = ("n", "stacks")

    def __init__(self) -> None:
        self.n = 0
        self.stacks: dict[tuple[Frame, ...], int] = {}

    def add(self, frames: list[Frame]) -> None:
        """Count a stack."""
        if self.n < _MOST_SAMPLES:
            self.n += 1
            key = tuple(frames)
            if key in self.stacks or len(self.stacks) < _MOST_STACKS:
                self.stacks[key] = self.stacks.get(key, 0) + 1

    def tree(self) -> dict[str, Any]:
        """The call tree: `interval_ms`, `samples`, and `tree` of nodes with `name`, `file`, `line`, `n`, `children`."""
        root: dict[str, Any] = {"children": {}}
        for frames, n in self.stacks.items():
            node = root
            for file, line, function in frames:
                node = node["children"].setdefault(
                    (file, function), {"name": function, "file": file, "line": line, "n": 0, "children": {}}
                )
                node["n"] += n
        return {"interval_ms": SAMPLING * 1000, "samples": self.n, "tree": _listed(root)}


class Watch:
    """Looks at the running requests of this process; used by one thread.

    Args:
        timeout: Seconds that a request may run before it counts as stalled; 0 for any time.
        slow: What counts as slow: from a quarter of that time on, stacks are sampled.
        stalled: Called with each request that stalls, at each look that learns something new of it.
    """

    def __init__(self, timeout: float, slow: Slow, stalled: Callable[[Entry, bool], object]) -> None:
        self._timeout = timeout
        self._slow = slow
        self._stalled = stalled

    def look(self, entries: Iterable[Entry], *, samples: bool) -> bool:
        """Look at the requests; returns whether one is to be looked at again soon.

        Args:
            entries: The running requests.
            samples: Whether stacks are sampled.
        """
        now = monotonic()
        soon = False
        for entry in entries:
            age = now - entry.begun
            if samples and (entry.is_verbose or age >= self._slow.routes.get(route_of(entry), self._slow.seconds) / 4):
                soon = True
                if entry.samples is None:
                    entry.samples = Samples()
                if frames := stack_of_thread(entry.thread_id):
                    entry.samples.add(frames)
            if self._timeout and age >= self._timeout:
                self._look_at_stalled(entry, now, age)
        return soon

    def _look_at_stalled(self, entry: Entry, now: float, age: float) -> None:
        stall = entry.stall
        if stall is None:
            stall = entry.stall = Stall(self._timeout)
            entry.kept = (*entry.kept, "stalled")
        is_due = age >= stall.next_age
        if is_due:
            stall.left = _STACKS_OF_A_STALL
            while age >= stall.next_age:
                stall.next_age *= 2
        if stall.left and now - stall.last >= _LOOK and len(stall.stacks) < _MOST_STALL_STACKS:
            stall.left -= 1
            stall.last = now
            frames = shown_frames(stack_of_thread(entry.thread_id))
            stall.stacks.append({"ms": round(age * 1000), "frames": frames})
            entry.stacks = stall.stacks
            if not is_due:
                self._stalled(entry, False)
        if is_due:
            tell(entry, age, stall.stacks[-1]["frames"] if stall.stacks else [])
            self._stalled(entry, True)

    def stood_still(self, entries: Iterable[Entry]) -> None:
        """Note that nobody could look for longer than a request may run; the stacks that were written tell the rest."""
        now = monotonic()
        for entry in entries:
            age = now - entry.begun
            if entry.stall is None and age >= self._timeout:
                stall = entry.stall = Stall(self._timeout)
                entry.kept = (*entry.kept, "stalled")
                while age >= stall.next_age:
                    stall.next_age *= 2


class Stall:
    """What is noted of a request that stalls.

    Attributes:
        next_age: Age in seconds at which it is told again.
        left: Number of stacks that are still to be taken.
        last: When the last one was taken, monotonic seconds.
        stacks: Those that were taken.
    """

    __slots__ = ("last", "left", "next_age", "stacks")

    def __init__(self, timeout: float) -> None:
        self.next_age = timeout
        self.left = 0
        self.last = 0.0
        self.stacks: list[dict[str, Any]] = []


def tell(entry: Entry, age: float, frames: list[dict[str, Any]]) -> None:
    """Log that a request has been running for long."""
    method, path, _ = entry.environ
    route, path, doing = route_of(entry), shown_path(path), call_in_progress(entry)
    text = (
        f"{method} {path} (route {route or 'not matched yet'}, request {redaction.anywhere(entry.id)}) has been "
        f"running for {age:.0f} s{f', now in {doing}' if doing else ''}"
    )
    fields = {
        "method": method,
        "path": path,
        "matched_route": route,
        "request_id": redaction.anywhere(entry.id),
        "trace_id": entry.trace_id,
        "age_s": round(age, 3),
        "call": doing,
    }
    log_with_stack(text, fields, frames)


def log_with_stack(text: str, fields: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    """Log a warning of the stalls, with a stack."""
    if _logger.isEnabledFor(logging.WARNING):
        stack = f"Stack (most recent call last):\n{as_text(frames)}" if frames else None
        record = _logger.makeRecord(
            _logger.name, logging.WARNING, __file__, 0, "%s", (text,), None, "tell", fields, stack
        )
        _logger.handle(record)


def call_in_progress(entry: Entry) -> str:
    """The call to a database, Redis or another service that a request waits for, secrets hidden; empty for none."""
    span = entry.local.client
    if not isinstance(span, SdkSpan) or not span.is_recording():
        return ""
    attributes = span.attributes or {}
    statement = next((str(attributes[name]) for name in _STATEMENTS if attributes.get(name)), "")
    return redaction.cut(f"{span.name}: {statement}" if statement else span.name, _LONGEST_CALL)


def _listed(node: dict[str, Any]) -> list[dict[str, Any]]:
    children = sorted(node["children"].values(), key=lambda child: -child["n"])
    return [{**child, "children": _listed(child)} for child in children]
