"""For tests of applications that use c2cotel: time that the test decides."""

from __future__ import annotations

import threading


class ScriptedClock:
    """A clock that only moves when told to, for `c2cotel.setup(clock=…)`; each thread has a time of its own.

    ::

        clock = ScriptedClock()
        c2cotel.setup(config, clock=clock)
        with stats.timer_context(["import"]):
            clock.advance(0.25)
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def __call__(self) -> float:
        now: float = getattr(self._local, "now", 0.0)
        return now

    def advance(self, seconds: float) -> None:
        """Move this thread's time on by `seconds`."""
        self._local.now = self() + seconds
