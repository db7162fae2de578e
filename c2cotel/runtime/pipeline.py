"""From settings to what runs: the recorder with its sinks, the channels out of the process, the tracer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from opentelemetry import metrics, trace
from opentelemetry.exporter.statsd import StatsdMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider

from c2cotel.config.declare import Settings
from c2cotel.config.otel_sdk import OtelSdkSettings
from c2cotel.config.settings import FlightRecorderSettings, OtelSettings, StatsdSettings
from c2cotel.delivery.batches import BatchChannel
from c2cotel.delivery.outlet import Outlet
from c2cotel.metrics import instruments
from c2cotel.metrics.aggregates import AggregateSink, temporality_by_kind
from c2cotel.metrics.channel import Drain, MetricChannel
from c2cotel.metrics.exemplars import ExemplarRules, exemplar_rules
from c2cotel.metrics.observations import Observer
from c2cotel.metrics.recorder import Recorder
from c2cotel.metrics.samples import SampleSink
from c2cotel.metrics.totals import TotalsSink
from c2cotel.otel.sdk_private import forget_global_providers, preferred_temporality, prefers_exponential, resource_of
from c2cotel.runtime.exporters import exporter_factory, exporter_names, keeps_failed
from c2cotel.runtime.flight import FlightRecorder
from c2cotel.runtime.service import Service
from c2cotel.runtime.statsd import statsd_exporter
from c2cotel.runtime.tracers import build as build_tracing
from c2cotel.tracing.exported import is_exported, recording_span

_logger = logging.getLogger(__name__)

_STATSD = "statsd"
_LAST_TRY = 0.5
"""Seconds that what fails anyway gets for its last try."""


class Pipeline:
    """Everything between call sites and the outside.

    Args:
        settings: Settings of the process.
        service: Name and version of the application, where the OTEL_* variables do not say otherwise.
        flight: Keeps requests; None if it is off.

    Attributes:
        service: Name and version of the application.
        flight: The same.
        recorder: Where measurements go.
        measures: Whether anything reads them.
        tracer: Makes spans; None if nobody records any.
        outlets: The channels out of the process.
        exports_gauges: Whether there is one of OpenTelemetry's exporters of metrics, other than statsd.
        observers: Asked for gauges at each export to OpenTelemetry's exporters.
    """

    def __init__(self, settings: Settings, service: Service, flight: FlightRecorder | None = None) -> None:
        self.flight = flight
        self._statsd = settings.section(StatsdSettings)
        self._otel = settings.section(OtelSettings)
        self._exemplars = exemplar_rules(settings.section(OtelSdkSettings).exemplar_filter, is_exported)
        self._traces_leave = False
        self._slow = settings.section(FlightRecorderSettings).slow
        self.service = service
        self.outlets: list[Outlet] = [] if flight is None else [flight]
        self.observers: list[Observer] = []
        self._started = False
        self._drain: Outlet | None = None
        self.recorder = Recorder(self._statsd.max_series, wake=self._wake)
        if flight is not None:
            flight.count = lambda instrument: self.recorder.series(instrument, {}).record(1)
        self._rules = instruments.rules(names_2018=self._statsd.names_2018)
        self.totals: TotalsSink | None = None
        self.measures = False
        self.exports_gauges = False
        self._own_tracer_provider: SdkTracerProvider | None = None
        self._undo_tracing: list[Callable[[], None]] = []
        self._own_meter_provider: MeterProvider | None = None
        self._attach_logs: list[Callable[[], Callable[[], None]]] = []
        self._detach_logs: list[Callable[[], None]] = []
        try:
            self.tracer = self._build_tracer()
            self._build_metrics()
            self._build_logs()
            if self.measures or self.tracer is not None:  # with a tracer, user timers are used for their spans
                self._build_drain()
        except BaseException:
            self.close(timeout=0.5)
            raise

    def start(self) -> None:
        """Set the global providers and let the channels send."""
        self._started = True
        if self._own_tracer_provider is not None:
            trace.set_tracer_provider(self._own_tracer_provider)
        if self._own_meter_provider is not None:
            metrics.set_meter_provider(self._own_meter_provider)
        for outlet in self.outlets:
            outlet.start()
        self._detach_logs += [attach() for attach in self._attach_logs]

    @property
    def tagged(self) -> bool:
        """Whether automatic metrics use tags."""
        return self._statsd.use_tags

    @property
    def exemplar_rules(self) -> ExemplarRules | None:
        """Which measurements become exemplars; None where none does, as no trace leaves."""
        return self._exemplars if self._traces_leave else None

    def add_totals(self) -> TotalsSink:
        """Start keeping totals in memory, or go on."""
        if self.totals is None:
            self.totals = TotalsSink(self._rules, tagged=self.tagged)
            self.recorder.add(self.totals)
            self.measures = True
            self._build_drain()
        return self.totals

    def add_outlet(self, outlet: Outlet, *, drains: bool = False) -> None:
        """Let somebody else read the measurements, too.

        Args:
            outlet: The reader.
            drains: Whether it drains the queue itself.
        """
        self.measures = True
        self.outlets.append(outlet)
        if self._drain is None and drains:
            self._drain = outlet
        self._build_drain()
        if self._started:
            outlet.start()

    def before_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""
        for outlet in self.outlets:
            outlet.before_fork()

    def after_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""
        self.recorder.reset_after_fork()
        for outlet in self.outlets:
            outlet.after_fork()

    def flush(self, timeout: float) -> bool:
        """Send everything recorded so far; returns whether all of it went within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        sent = [outlet.worker.run(max(0.0, deadline - time.monotonic())) for outlet in self.outlets]
        return all(sent)

    def close(self, timeout: float) -> None:
        """Send what is left, `timeout` seconds at most, then release exporters and global names."""
        deadline = time.monotonic() + timeout
        for undo in (*self._detach_logs, *self._undo_tracing):
            undo()
        self._detach_logs.clear()
        self._undo_tracing.clear()
        for outlet in self.outlets:
            outlet.worker.stop()
        for outlet in self.outlets:
            left = deadline - time.monotonic()
            if outlet.failing:  # which was logged before
                outlet.worker.join(min(left, _LAST_TRY))
            elif not outlet.worker.join(left):
                _logger.warning("%s did not end within %g s: what it had not sent is lost", outlet.name, timeout)
        for outlet in self.outlets:
            outlet.shutdown(max(0.0, deadline - time.monotonic()))
        forget_global_providers(self._own_tracer_provider, self._own_meter_provider)

    def _wake(self) -> None:
        if self._drain is not None:
            self._drain.worker.wake()
            # Let it run: a thread that computes without a pause keeps the interpreter for 5 ms each time that the
            # drain sends a datagram, and could record faster than that for ever.
            time.sleep(0)

    def _build_drain(self) -> None:
        """The statsd channel drains the queue every second; without it something else must."""
        if self._drain is None:
            self._drain = Drain(self.recorder, self._statsd.flush_interval)
            self.outlets.append(self._drain)
            if self._started:
                self._drain.start()

    def _build_tracer(self) -> trace.Tracer | None:
        tracing = build_tracing(self._otel, self.service, self._slow, collects=self.flight is not None)
        self.outlets += tracing.channels
        self._own_tracer_provider = tracing.provider
        self._undo_tracing = tracing.undo
        self._traces_leave = tracing.exports
        if self.flight is not None:
            self.flight.sdk_spans = tracing.locals
        return tracing.tracer

    def _build_metrics(self) -> None:
        names = [] if self._otel.disabled else exporter_names(self._otel, "metrics")
        statsd = _STATSD in names or self._statsd.address is not None
        others = [name for name in names if name != _STATSD]
        if not statsd and not others:
            return
        self.measures = True
        installed = metrics.get_meter_provider()
        if isinstance(installed, MeterProvider):
            provider, others_join = installed, None
        else:
            provider = MeterProvider(resource=self.service.resource(), shutdown_on_exit=False)
            self._own_meter_provider, others_join = provider, provider
        resource = partial(resource_of, provider)
        if statsd:
            self._add_statsd(provider, resource)
        for name in others:
            self._add_other(name, others_join, resource)

    def _add_statsd(self, provider: MeterProvider, resource: Callable[[], Resource]) -> None:
        sink = SampleSink()
        self.recorder.add(sink)
        channel = MetricChannel(
            "statsd export of metrics",
            self.recorder,
            sink,
            self._statsd_exporter,
            interval=self._statsd.flush_interval,
            timeout=self._otel.metric_timeout,
            provider=provider,
            resource=resource,
            logs_outages=True,
        )
        self.outlets.append(channel)
        self._drain = channel

    def _add_other(self, name: str, join: MeterProvider | None, resource: Callable[[], Resource]) -> None:
        self.exports_gauges = True
        factory = exporter_factory(self._otel, name, "metrics", MetricExporter)
        exporter = factory()
        sink = AggregateSink(
            temporality_by_kind(preferred_temporality(exporter)),
            self.observers,
            self._exemplars,
            exponential=prefers_exponential(exporter),
        )
        self.recorder.add(sink)
        if self.exemplar_rules is not None:
            self.recorder.notice_traces(recording_span, sink.notice)
        channel = MetricChannel(
            f"{name} export of metrics",
            self.recorder,
            sink,
            factory,
            interval=self._otel.metric_interval,
            timeout=self._otel.metric_timeout,
            provider=join,
            resource=resource,
            fresh_in_child=True,
        )
        self.outlets.append(channel)

    def _statsd_exporter(self) -> StatsdMetricExporter:
        return statsd_exporter(self._statsd, self._otel, self._rules)

    def _build_logs(self) -> None:
        names = [] if self._otel.disabled else exporter_names(self._otel, "logs")
        if not names:
            return
        from c2cotel.logs import export  # noqa: PLC0415  # slow to import, and few need it

        if export.is_provided():
            return
        resource = self._current_resource()
        for name in names:
            channel: BatchChannel[export.NotedRecord] = BatchChannel(
                f"{name} export of logs",
                exporter_factory(self._otel, name, "logs", export.EXPORTER),
                export.exporting(resource, is_otlp="otlp" in name),
                items="log records",
                interval=self._otel.log_delay,
                queue_size=self._otel.log_queue,
                batch_size=self._otel.log_batch,
                limit="OTEL_BLRP_MAX_QUEUE_SIZE",
                keeps_failed=keeps_failed,
            )
            self.outlets.append(channel)
            self._attach_logs.append(partial(export.attach, export.OtelHandler(channel)))

    def _current_resource(self) -> Callable[[], Resource]:
        """Gives the resource of the process that asks, which is another one after a fork."""
        provider = self._own_meter_provider or metrics.get_meter_provider()
        if isinstance(provider, MeterProvider):
            return partial(resource_of, provider)
        resource = self.service.resource()
        return lambda: resource
