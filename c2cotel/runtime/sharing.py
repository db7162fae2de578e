"""The metrics of all processes of a host, for `/metrics`: each writes its own where the others read them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from c2cotel.delivery.guard import Guard
from c2cotel.delivery.worker import Worker
from c2cotel.host.directory import StateFolder
from c2cotel.host.shared_totals import SharedTotals
from c2cotel.metrics.aggregates import AggregateSink
from c2cotel.metrics.exchange import Exemplars, Family, dump, load, merge
from c2cotel.metrics.exemplars import ExemplarRules
from c2cotel.metrics.observations import Observer
from c2cotel.metrics.recorder import Recorder
from c2cotel.tracing.exported import recording_span

_logger = logging.getLogger(__name__)

_INTERVAL = 1.0


class SharedMetrics:
    """The metrics of this process, shared with the others; see `c2cotel.delivery.outlet.Outlet`.

    Args:
        recorder: Has the measurements.
        observers: Give the gauges.
        folder: The folder of the service.
        rules: Which measurements become exemplars; None: none does.
    """

    name = "shared metrics"
    failing = False

    def __init__(
        self, recorder: Recorder, observers: Sequence[Observer], folder: StateFolder, rules: ExemplarRules | None
    ) -> None:
        self._recorder = recorder
        self._folder = folder
        self._sink = AggregateSink(observers=observers, rules=rules)
        self._exemplars: Exemplars = {}
        recorder.add(self._sink)
        if rules is not None:
            recorder.notice_traces(recording_span, self._sink.notice)
        self._totals: SharedTotals | None = None
        self._publishing = threading.Lock()
        self._guard = Guard(_logger, "The metrics of this process could not be shared with the others")
        self.worker = Worker(self.name, self.publish, _INTERVAL)

    def publish(self) -> None:
        """Write what this process has measured where the others read it."""
        with self._guard, self._publishing:
            self._recorder.drain()
            totals = self._shared()
            if totals is not None:
                totals.publish(dump(self._sink.collect(), self._exemplars))

    def collect(self) -> list[Family]:
        """The sum over all processes of the host; of this one alone where there is no folder."""
        self.publish()
        with self._guard:
            totals = self._shared()
            if totals is not None:
                return load(totals.gather())
        return load([dump(self._sink.collect(), self._exemplars)])

    def start(self) -> None:
        """Begin to share."""
        self.worker.start()

    def before_fork(self) -> None:
        """Nothing to do: what was measured before stays the parent's."""

    def after_fork(self) -> None:
        """Begin anew under the name of this process."""
        self._totals = None
        self._exemplars = {}
        self._publishing = threading.Lock()
        self.worker.start()

    def shutdown(self, timeout: float) -> None:
        """Nothing to release: the last tick has written all."""
        del timeout

    def _shared(self) -> SharedTotals | None:
        if self._totals is None:
            folder: Path | None = self._folder.below("metrics")
            if folder is not None:
                self._totals = SharedTotals(folder, merge)
        return self._totals
