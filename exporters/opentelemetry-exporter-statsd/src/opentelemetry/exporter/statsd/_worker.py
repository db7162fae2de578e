"""A background thread whose end is noticed."""

import logging
import threading
from collections.abc import Callable

_logger = logging.getLogger("opentelemetry.exporter.statsd")


class Worker:
    """A daemon thread that runs a function until it returns, and is started again if it died before.

    Args:
        name: Name of the thread.
        work: Function that the thread runs.
    """

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._starting = threading.Lock()
        self._is_done = self._is_logged = False
        self._thread = self._new_thread()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ensure_alive(self) -> None:
        """Start the thread again if it died: `work` raised something that it did not catch."""
        if self._thread.is_alive() or self._is_done or not self._starting.acquire(blocking=False):
            return
        try:
            if not self._thread.is_alive():
                self._thread = self._new_thread()
                self._thread.start()
                if not self._is_logged:
                    self._is_logged = True
                    _logger.error("The thread %r died and is started again (logged once)", self._name)
        except RuntimeError:  # the interpreter ends, or there is no room for another thread: the next call tries again
            return
        finally:
            self._starting.release()

    def is_current(self) -> bool:
        """Whether this is called by the thread itself. Takes no lock."""
        return self._thread.ident == threading.get_ident()

    def join(self, timeout: float) -> bool:
        """Wait for the end of the thread; returns whether it came.

        Args:
            timeout: Seconds to wait.
        """
        self._thread.join(max(timeout, 0.0))
        return not self._thread.is_alive()

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=self._name, daemon=True)

    def _run(self) -> None:
        try:
            self._work()
            self._is_done = True
        except BaseException:  # noqa: BLE001, S110  `ensure_alive` logs it; logging here may be what raised
            pass
