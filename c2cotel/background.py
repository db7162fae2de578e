"""The threads that read what the application wrote, and what a fork means to them."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from c2cotel.sdk import suppressed

_logger = logging.getLogger(__name__)

_MOST_TOLD = 100
_FORK_PATIENCE = 2.0
"""Seconds that a fork may be held off."""


class ForkAware(Protocol):
    """What must know when its process is forked."""

    def before_fork(self) -> None:
        """In the parent, before: take what a child would otherwise inherit and send a second time."""

    def after_fork(self) -> None:
        """In the child: renew locks and threads, forget what is the parent's to send."""


class _Forks:
    """One hook of `os.register_at_fork` for all, as a hook cannot be taken out again.

    Attributes:
        held_off: a lock for what must not be cut in two by a fork, such as anything that takes a lock of the SDK's: a
            child would find it taken for ever.
    """

    def __init__(self) -> None:
        self._known: weakref.WeakSet[ForkAware] = weakref.WeakSet()
        self._hooked = False
        self.held_off = threading.Lock()
        self._forking: int | None = None

    def watch(self, aware: ForkAware) -> None:
        self._known.add(aware)
        if not self._hooked and hasattr(os, "register_at_fork"):
            self._hooked = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._after_in_parent, after_in_child=self._after_in_child
            )

    def ignore(self, aware: ForkAware) -> None:
        self._known.discard(aware)

    def _before(self) -> None:
        if self.held_off.acquire(timeout=_FORK_PATIENCE):
            self._forking = threading.get_ident()
            for aware in list(self._known):
                aware.before_fork()

    def _after_in_parent(self) -> None:
        if self._forking == threading.get_ident():
            self._forking = None
            self.held_off.release()

    def _after_in_child(self) -> None:
        self.held_off = threading.Lock()
        self._forking = None
        for aware in list(self._known):
            aware.after_fork()


forks = _Forks()


class Worker:
    """A daemon thread that calls `tick` every `interval` seconds, sooner when woken, and once more when closed.

    What the thread does is never measured itself. An exception of `tick` is logged once per kind and ends nothing.

    Args:
        name: of the thread.
        tick: the work; called by this one thread only.
        interval: seconds from the end of one tick to the start of the next.
    """

    def __init__(self, name: str, tick: Callable[[], None], interval: float) -> None:
        self._name = name
        self._tick = tick
        self._interval = interval
        self._told: set[str] = set()
        self._woken = False
        self._stopping = False
        self._start()

    @property
    def running(self) -> bool:
        """Whether its thread has not ended yet."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Make the next tick come at once. Takes no lock: signal handlers and destructors may call it."""
        if not self._woken:
            self._woken = True
            self._requests.put(None)

    def run(self, timeout: float) -> bool:
        """Wait for one whole tick that starts after this call.

        Returns:
            Whether it ended within `timeout` seconds.
        """
        if self._stopping:
            return self.join(timeout)
        done = threading.Event()
        self._requests.put(done)
        return done.wait(timeout)

    def stop(self) -> None:
        """Ask for the last tick; `join` waits for it."""
        self._stopping = True
        self._requests.put(None)

    def join(self, timeout: float) -> bool:
        """Wait until the thread ended, `timeout` seconds at most; returns whether it did."""
        self._thread.join(max(0.0, timeout))
        return not self.running

    def restart_after_fork(self) -> None:
        """Start again in a child, where the parent's thread does not run."""
        if not self._stopping:
            self._start()

    def _start(self) -> None:
        self._requests: SimpleQueue[threading.Event | None] = SimpleQueue()
        self._woken = False
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        with suppressed():
            stopping = False
            while not stopping:
                waiting = self._next_requests()
                # Read before the tick: what was recorded during it, before `stop` was called, needs one more.
                stopping = self._stopping
                self._woken = False
                try:
                    self._tick()
                except Exception as error:  # noqa: BLE001  # whatever it is, the thread goes on
                    self._tell_once(error)
                for done in waiting:
                    done.set()

    def _next_requests(self) -> list[threading.Event]:
        waiting: list[threading.Event] = []
        try:
            request = self._requests.get(timeout=self._interval)
            while True:
                if request is not None:
                    waiting.append(request)
                request = self._requests.get_nowait()
        except Empty:
            return waiting

    def _tell_once(self, error: Exception) -> None:
        kind = f"{type(error).__name__}: {error}"
        if kind not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(kind)
            _logger.error("%s failed and goes on; told once", self._name, exc_info=error)
