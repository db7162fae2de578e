"""What one thread of each process looks at twice a second: its own requests, and the other processes of the host."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from c2cotel.config.parsers import Slow
from c2cotel.delivery.forks import forks
from c2cotel.delivery.guard import Guard
from c2cotel.host.records import Record
from c2cotel.host.running import Running
from c2cotel.runtime.flight.deaths import Deaths
from c2cotel.runtime.flight.entry import Entry
from c2cotel.runtime.flight.making import route_of
from c2cotel.runtime.flight.stacks import DeadMansSwitch
from c2cotel.runtime.flight.stalls import SAMPLING, Watch, call_in_progress

_logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks."""

_BETWEEN_DEATHS = 1.0
_LONGEST_WAIT = 1.0
"""Seconds for which a fork waits at most."""

_WORTH_NOTING = 0.4
"""Age in seconds from which the route and the call in progress of a request are noted for other processes."""


class Watcher:
    """Looks after the requests of this process and after its siblings; used by one thread, but for `begin`.

    Args:
        folder: Has the running requests of all processes; None while it is not there.
        host: Name of the host.
        timeout: Seconds that a request may run before it counts as stalled; 0 for any time.
        slow: What counts as slow.
        samples: Whether the stacks of requests that may be slow are sampled.
        stalled: Called with each request that stalls, and with whether that is told now.
        count_death: Called for each process that died with requests in progress.
        write: Takes the records of other processes' requests.
    """

    def __init__(
        self,
        folder: Callable[[], Path | None],
        host: str,
        *,
        timeout: float,
        slow: Slow,
        samples: bool,
        stalled: Callable[[Entry, bool], object],
        write: Callable[[Sequence[Record]], object],
        count_death: Callable[[], object],
    ) -> None:
        self._count_death = count_death
        self._folder = folder
        self._host = host
        self._timeout = timeout
        self._samples = samples
        self._write = write
        self._watch = Watch(timeout, slow, stalled)
        self._guard = Guard(_logger, "The running requests could not be looked at")
        self._shortest = min(LOOK, max(SAMPLING, slow.seconds / 4)) if samples else LOOK
        self._switch: DeadMansSwitch | None = None
        self._deaths: Deaths | None = None
        self._closed = False
        self.reset()

    def reset(self) -> None:
        """Begin anew, as in a forked child."""
        if self._switch is not None:
            self._switch.forget()
        self._arming = threading.Lock()
        self._is_held_off = False
        self._last = monotonic()
        self._next_deaths = 0.0

    def begin(self) -> None:
        """Watch over this process before its first look: its first request may hold the interpreter."""
        with self._guard:
            if (folder := self._folder()) is not None:
                self._arm(folder)

    def look(self, entries: list[Entry], running: Running | None) -> float:
        """Look at everything once; returns the seconds until the next look.

        Args:
            entries: The requests that run in this process.
            running: Where other processes see them.
        """
        soon = False
        with self._guard:
            now = monotonic()
            if self._timeout and now - self._last > self._timeout:
                self._watch.stood_still(entries)
            self._last = now
            soon = self._watch.look(entries, samples=self._samples)
            if running is not None:
                self._note(entries, running, now)
        with self._guard:
            self._look_at_others(now)
        return SAMPLING if soon else self._shortest

    def close(self) -> None:
        """End the dead man's switch."""
        with self._arming:
            self._closed = True
            if self._switch is not None:
                self._switch.close()
        forks.ignore(self)  # not before: a fork that another thread is at must give back what it took

    def after_fork(self) -> None:
        """Nothing: whoever owns this resets it in the child."""

    def before_fork(self) -> None:
        """Take the dead man's switch away, and let nobody set it, until `after_fork_in_parent`."""
        # A folder that hangs must not hold the application's fork: without this, the child leaves the switch alone.
        self._is_held_off = self._arming.acquire(timeout=_LONGEST_WAIT)
        if self._is_held_off and self._switch is not None:
            self._switch.disarm()

    def after_fork_in_parent(self) -> None:
        """The next look sets the switch again."""
        if self._is_held_off:
            self._is_held_off = False
            self._arming.release()

    def _arm(self, folder: Path) -> None:
        if self._timeout:
            with self._arming:
                if self._closed:
                    return
                if self._switch is None:
                    self._switch = DeadMansSwitch(folder, self._timeout)
                    forks.watch(self)
                self._switch.arm()

    def _note(self, entries: list[Entry], running: Running, now: float) -> None:
        for entry in entries:
            if now - entry.begun >= _WORTH_NOTING:
                running.route(entry.slot, route_of(entry))
                running.doing(entry.slot, call_in_progress(entry))

    def _look_at_others(self, now: float) -> None:
        folder = self._folder()
        if folder is None:
            return
        self._arm(folder)
        if now >= self._next_deaths:
            self._next_deaths = now + _BETWEEN_DEATHS
            if self._deaths is None:
                self._deaths = Deaths(folder, self._host, self._timeout, self._count_death)
            if records := self._deaths.look():
                self._write(records)
