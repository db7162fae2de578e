"""What `c2cotel.setup` returns: everything that runs for this process, and its end."""

from __future__ import annotations

import atexit
import logging
import multiprocessing.util
import threading
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.resources import HOST_NAME, SERVICE_VERSION

from c2cotel import state, stats
from c2cotel.config.declare import Settings
from c2cotel.config.otel_sdk import OtelSdkSettings
from c2cotel.config.settings import FlightRecorderSettings, RequestIdSettings, SqlSettings
from c2cotel.delivery.forks import forks
from c2cotel.host.directory import StateFolder
from c2cotel.metrics.observations import Observer
from c2cotel.runtime import request_id
from c2cotel.runtime.flight import FlightRecorder
from c2cotel.runtime.flight.entry import local_now
from c2cotel.runtime.history import History
from c2cotel.runtime.pipeline import Pipeline
from c2cotel.runtime.saturation import observe_process, time_collections
from c2cotel.runtime.self_metrics import observe_queues
from c2cotel.runtime.sharing import SharedMetrics
from c2cotel.runtime.statements import Statements
from c2cotel.stats.backend import Backend

_logger = logging.getLogger(__name__)

_PATIENCE = 2.0
"""Seconds that the end of a process may be delayed by servers that do not answer."""


class Running:
    """The telemetry of this process.

    Attributes:
        telemetry: What the first `setup` made; None before.
        starting: Called with each telemetry before anything uses it: how `c2cotel.testing` looks in.
        lock: Held while `setup` makes one.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the telemetry and whoever looks in."""
        self.telemetry: Telemetry | None = None
        self.starting: list[Callable[[Telemetry], object]] = []
        self.lock = threading.Lock()

    def before_fork(self) -> None:
        """Nothing."""

    def after_fork(self) -> None:
        """In the child: another thread may have been in `setup`."""
        self.lock = threading.Lock()


def running() -> Telemetry | None:
    """The telemetry of this process, from the first `setup` until it is closed."""
    telemetry = state.of(Running).telemetry
    return None if telemetry is None or telemetry.closed else telemetry


class Telemetry:
    """The running telemetry of one process.

    Attributes:
        settings: The settings that the first `setup` fixed for the process.
        clock: Monotonic seconds; tests give their own.
        folder: What the processes of this service on this host share.
        flight: Keeps requests; None if it is off.
        history: Adds up requests for the console; None if it is off.
        recorder: Takes measurements.
        statements: Watches the SQL statements of requests.
        tracer: Makes spans; None if nobody records them.
        request_id_keys: Where a WSGI environ may have the caller's request id.
        new_request_id: Makes one.
        error_observers: Called with each exception in a body that is made while it is sent.
        shared_metrics: The metrics of all processes of the host; None unless somebody asked for them.
        active: The requests that are worked on, until their bodies are sent.
        closed: Whether `close` was called; instrumentation still in place then does nothing.
    """

    def __init__(self, settings: Settings, pipeline: Pipeline, folder: StateFolder, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.clock = clock
        self.folder = folder
        self.flight: FlightRecorder | None = pipeline.flight
        self.history: History | None = None
        self.recorder = pipeline.recorder
        self.tracer = pipeline.tracer
        self.statements = Statements(settings.section(SqlSettings), pipeline.recorder, lambda: self.measures)
        self.request_id_keys = request_id.environ_keys(settings.section(RequestIdSettings).header)
        self._ids = request_id.Ids()
        self.new_request_id = self._ids.take
        self.error_observers: list[Callable[[BaseException], object]] = []
        self.shared_metrics: SharedMetrics | None = None
        self.active: set[object] = set()
        self.closed = False
        self._pipeline = pipeline
        self._installed: set[Callable[[Telemetry], Callable[[], None]]] = set()
        self._undo: list[Callable[[], None]] = []
        self._is_observed = False

    @property
    def measures(self) -> bool:
        """Whether anything reads measurements."""
        return self._pipeline.measures

    def start(self) -> None:
        """Let everything run: exporters, the functions of `c2cotel.stats`, the end at exit."""
        for prepare in state.of(Running).starting:
            prepare(self)
        self._pipeline.start()
        self._offer_stats()
        if self._pipeline.exports_gauges:
            self._observe_process()
            if self.settings.section(OtelSdkSettings).internal_metrics:
                self._pipeline.observers.append(observe_queues(self._pipeline.outlets))
        forks.watch(self._ids)
        forks.watch(self)
        atexit.register(self.close)
        # A child of multiprocessing ends without atexit, and forgets at its start what it was given before.
        multiprocessing.util.register_after_fork(self, _close_with_child)

    @property
    def exports_gauges(self) -> bool:
        """Whether an exporter of OpenTelemetry's gets gauges; statsd does not."""
        return self._pipeline.exports_gauges

    def totals(self, *, reset: bool = False) -> dict[str, Any]:
        """The totals in memory, up to this moment; `c2cotel.metrics.totals.merge` adds up several.

        Args:
            reset: Whether to forget them in the same step.
        """
        self.keep_totals()
        self.recorder.drain()
        return self._pipeline.add_totals().collect(reset=reset)

    def keep_totals(self) -> None:
        """Start keeping totals in memory, or go on."""
        self._pipeline.add_totals()
        self._offer_stats()

    def share_metrics(self) -> None:
        """Start sharing metrics with the other processes of the host, or go on."""
        if self.shared_metrics is None:
            self.shared_metrics = SharedMetrics(
                self.recorder, self._pipeline.observers, self.folder, self._pipeline.exemplar_rules
            )
            self._pipeline.exports_gauges = True
            self._pipeline.add_outlet(self.shared_metrics)
            self._observe_process()
            self._offer_stats()

    def keep_history(self) -> None:
        """Start writing the history that the console shows, or go on."""
        if self.history is None:
            settings, flight = self.settings.section(FlightRecorderSettings), self.flight
            resource = self._pipeline.service.resource().attributes
            self.history = History(
                self.recorder,
                self.folder,
                lambda: None if flight is None else flight.store,
                size=settings.size,
                slow=settings.slow,
                active=self.active,
                observers=self._pipeline.observers,
                host=str(resource[HOST_NAME]),
                version=str(resource.get(SERVICE_VERSION) or "unknown"),
            )
            self.statements.counts = True
            self.recorder.add(self.history)
            self._pipeline.add_outlet(self.history, drains=True)

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
            timeout: Seconds to wait at most.

        Returns:
            Whether all of it was sent in time.
        """
        return self._pipeline.flush(timeout)

    def close(self, timeout: float = _PATIENCE) -> None:
        """Send what is left and undo everything that `setup` did; a second call does nothing.

        Args:
            timeout: Seconds that servers which do not answer may delay this.
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
                _logger.exception("Something that setup() did could not be undone; going on with the rest")
        self._pipeline.close(timeout)

    def before_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""
        self._pipeline.before_fork()

    def after_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""
        self.active.clear()
        self._pipeline.after_fork()

    def _observe_process(self) -> None:
        if not self._is_observed:
            self._is_observed = True
            self._pipeline.observers.append(observe_process(self.active))
            self._undo.append(time_collections(self.recorder))

    def _offer_stats(self) -> None:
        if self.measures or self.tracer is not None:
            local = (lambda: None) if self.flight is None else local_now
            tagged = self._pipeline.tagged
            stats.use(Backend(self.recorder, self.clock, tagged=tagged, tracer=self.tracer, local=local))


def _close_with_child(telemetry: Telemetry) -> None:
    multiprocessing.util.Finalize(None, telemetry.close, exitpriority=0)
