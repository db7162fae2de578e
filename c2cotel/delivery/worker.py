"""The background thread that reads what the application wrote."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from c2cotel.delivery.once import Once
from c2cotel.otel.sdk_private import suppressed

_logger = logging.getLogger(__name__)

_MOST_KINDS = 100


class Worker:
    """A daemon thread that calls `tick` every `interval` seconds, sooner when woken, and once more when stopped.

    What the thread does is never measured itself. Whatever `tick` raises is logged once a kind and ends nothing.

    Args:
        name: Name of the thread.
        tick: The work; called by this one thread only.
        interval: Seconds from the end of one tick to the start of the next.

    Attributes:
        interval: The same; a tick may change it.
        asked: Whether the present tick was asked for, or is the last one; else it is its time.
    """

    def __init__(self, name: str, tick: Callable[[], None], interval: float) -> None:
        self._name = name
        self._tick = tick
        self.interval = interval
        self.asked = False
        self._complaints = Once(_MOST_KINDS)
        self._woken = False
        self._stopping = False
        self._requests: SimpleQueue[threading.Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether its thread was started and has not ended yet."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether the last tick was asked for."""
        return self._stopping

    def start(self) -> None:
        """Start the thread; in a forked child, where the parent's thread does not run, start it anew."""
        if self._stopping:
            return
        self._requests = SimpleQueue()
        self._woken = False
        self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Make the next tick come at once. Takes no lock: signal handlers and destructors may call it."""
        if not self._woken:
            self._woken = True
            self._requests.put(None)
            if self._thread is not None and not self._thread.is_alive() and not self._stopping:
                _logger.error("%s has ended by itself and is started again", self._name)
                self.start()

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
        if self._thread is not None:
            self._thread.join(max(0.0, timeout))
        return not self.running

    def _loop(self) -> None:
        with suppressed():
            stopping = False
            while not stopping:
                waiting = self._next_requests()
                # Read before the tick: what was recorded during it, before `stop` was called, needs one more.
                stopping = self._stopping
                self.asked = bool(waiting) or self._woken or stopping
                self._woken = False
                try:
                    self._tick()
                except BaseException as error:  # noqa: BLE001  # SystemExit of a callback as well: the thread goes on
                    self._complain(error)
                for done in waiting:
                    done.set()

    def _next_requests(self) -> list[threading.Event]:
        waiting: list[threading.Event] = []
        try:
            request = self._requests.get(timeout=self.interval)
            while True:
                if request is not None:
                    waiting.append(request)
                request = self._requests.get_nowait()
        except Empty:
            return waiting

    def _complain(self, error: BaseException) -> None:
        try:
            kind = f"{type(error).__name__}: {error}"
        except BaseException:  # noqa: BLE001  # an error of somebody's class, whose text cannot be made
            kind = type(error).__name__
        try:
            if self._complaints.first(kind):
                _logger.error("%s failed and goes on (logged once)", self._name, exc_info=error)
        except BaseException:  # noqa: BLE001  # a log handler of the application's: the thread goes on all the same
            return
