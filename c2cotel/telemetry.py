"""What `c2cotel.setup` returns: everything that runs for this process, and its end."""

from __future__ import annotations

import atexit
import logging
import multiprocessing.util
from collections.abc import Callable
from typing import Any

from c2cotel import request_id, stats
from c2cotel.background import forks
from c2cotel.options import RequestIdSettings
from c2cotel.pipeline import Pipeline
from c2cotel.settings import Settings
from c2cotel.sinks import Observer

_logger = logging.getLogger(__name__)

_PATIENCE = 2.0
"""Seconds that the end of a process may be delayed by servers that do not answer."""

starting: list[Callable[[Telemetry], object]] = []
"""Called with each telemetry before anything uses it: how `c2cotel.testing` looks in."""


class Telemetry:
    """The running telemetry of one process.

    Attributes:
        settings: the settings that the first `setup` fixed for the process.
        clock: monotonic seconds; tests give their own.
        recorder: takes measurements.
        tracer: makes spans; None when nobody records them.
        measures: whether anything reads measurements.
        request_id_keys: where a WSGI environ may have the caller's request id.
        new_request_id: makes one.
        closed: whether `close` was called; instrumentation still in place then does nothing.
    """

    def __init__(self, settings: Settings, pipeline: Pipeline, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.clock = clock
        self.recorder = pipeline.recorder
        self.tracer = pipeline.tracer
        self.measures = pipeline.measures
        self.request_id_keys = request_id.environ_keys(settings.section(RequestIdSettings).header)
        self.new_request_id = request_id.Ids().take
        self.closed = False
        self._pipeline = pipeline
        self._installed: set[Callable[[Telemetry], Callable[[], None]]] = set()
        self._undo: list[Callable[[], None]] = []
        for prepare in starting:
            prepare(self)
        self._offer_stats()
        forks.watch(self)
        atexit.register(self.close)
        # A child of multiprocessing ends without atexit, and forgets at its start what it was given before.
        multiprocessing.util.register_after_fork(self, _close_with_child)

    def totals(self, *, reset: bool = False) -> dict[str, Any]:
        """The totals in memory, up to this moment; `c2cotel.totals.merge` makes of them what `stats.json` shows.

        Args:
            reset: forget them in the same step.
        """
        sink = self._pipeline.add_totals()
        self.recorder.drain()
        return sink.collect(reset=reset)

    def keep_totals(self) -> None:
        """Start keeping totals in memory, or go on."""
        self._pipeline.add_totals()
        self.measures = True
        self._offer_stats()

    def install(self, instrumentation: Callable[[Telemetry], Callable[[], None]]) -> None:
        """Run an instrumentation's `install`, once however often asked; `close` takes the latest out first."""
        if instrumentation not in self._installed:
            self._installed.add(instrumentation)
            self._undo.append(instrumentation(self))

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Ask for gauges at each export to OpenTelemetry's exporters; returns what ends that."""
        self._pipeline.observers.append(observer)
        return lambda: self._pipeline.observers.remove(observer)

    def flush(self, timeout: float = _PATIENCE) -> bool:
        """Send everything recorded so far.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether all of it was sent in time.
        """
        return self._pipeline.flush(timeout)

    def close(self, timeout: float = _PATIENCE) -> None:
        """Send what is left and undo everything that `setup` did; a second call does nothing.

        Args:
            timeout: seconds that servers which do not answer may delay this.
        """
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        forks.ignore(self)
        stats.use(None)
        while self._undo:
            try:
                self._undo.pop()()
            except Exception:
                _logger.exception("Something could not be undone; going on")
        self._pipeline.close(timeout)

    def before_fork(self) -> None:
        """See `c2cotel.background.ForkAware`."""
        self._pipeline.before_fork()

    def after_fork(self) -> None:
        """See `c2cotel.background.ForkAware`."""
        self._pipeline.after_fork()

    def _offer_stats(self) -> None:
        if self.measures or self.tracer is not None:
            stats.use(stats.Backend(self.recorder, self.clock, tagged=self._pipeline.tagged, tracer=self.tracer))


def _close_with_child(telemetry: Telemetry) -> None:
    multiprocessing.util.Finalize(None, telemetry.close, exitpriority=0)
