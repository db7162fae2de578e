"""From settings to what runs: the recorder with its sinks, the channels out of the process, the tracer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Literal

from opentelemetry import metrics, trace
from opentelemetry.exporter.statsd import StatsdMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter

from c2cotel import instruments
from c2cotel._version import VERSION
from c2cotel.background import Worker
from c2cotel.channels import Drain, MetricChannel, Outlet, SpanChannel
from c2cotel.errors import SettingsError
from c2cotel.options import OtelSettings, StatsdSettings
from c2cotel.recorder import Recorder
from c2cotel.sdk import forget_global_providers, preferred_temporality, resource_of
from c2cotel.settings import Settings
from c2cotel.sinks import AggregateSink, Observer, SampleSink
from c2cotel.totals import TotalsSink

_logger = logging.getLogger(__name__)

Signal = Literal["traces", "metrics"]

_OTLP = "otlp"
_STATSD = "statsd"
_OTLP_HTTP = "otlp_proto_http"
_LAST_TRY = 0.5
"""Seconds that what fails anyway gets for its last try."""
_PROTOCOLS = {"http/protobuf": _OTLP_HTTP, "grpc": "otlp_proto_grpc"}
_PACKAGES = {
    _OTLP_HTTP: "c2cotel[otlp]",
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "prometheus": "opentelemetry-exporter-prometheus",
    "zipkin": "opentelemetry-exporter-zipkin",
}


@dataclass(frozen=True)
class Service:
    """What is known of the application, for the resource of everything that is exported."""

    name: str | None = None
    version: str | None = None


class Pipeline:
    """Everything between call sites and the outside.

    Args:
        settings: of the process.
        service: name and version of the application, where the OTEL_* variables do not say otherwise.

    Attributes:
        recorder: where measurements go; None when nothing reads them.
        tracer: makes spans; None when nobody records any.
        outlets: the channels out of the process.
        observers: asked for gauges at each export to OpenTelemetry's exporters.
    """

    def __init__(self, settings: Settings, service: Service) -> None:
        self._statsd = settings.section(StatsdSettings)
        self._otel = settings.section(OtelSettings)
        self._service = service
        self.outlets: list[Outlet] = []
        self.observers: list[Observer] = []
        self._drainer: Worker | None = None
        self.recorder = Recorder(self._statsd.max_series, wake=self._wake)
        self._rules = instruments.rules(names_2018=self._statsd.names_2018)
        self.totals: TotalsSink | None = None
        self.measures = False
        self._own_tracer_provider: TracerProvider | None = None
        self._own_meter_provider: MeterProvider | None = None
        try:
            self.tracer = self._build_tracer()
            self._build_metrics()
            if self.measures or self.tracer is not None:  # with a tracer, user timers are used for their spans
                self._start_draining()
        except BaseException:
            self.close(timeout=0.5)
            raise

    @property
    def tagged(self) -> bool:
        """Whether automatic metrics use tags."""
        return self._statsd.use_tags

    def add_totals(self) -> TotalsSink:
        """Start keeping totals in memory, or go on."""
        if self.totals is None:
            self.totals = TotalsSink(self._rules, tagged=self.tagged)
            self.recorder.add(self.totals)
            self.measures = True
            self._start_draining()
        return self.totals

    def before_fork(self) -> None:
        """See `ForkAware`."""
        for outlet in self.outlets:
            outlet.before_fork()

    def after_fork(self) -> None:
        """See `ForkAware`."""
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
        for outlet in self.outlets:
            outlet.worker.stop()
        for outlet in self.outlets:
            left = deadline - time.monotonic()
            if outlet.failing:  # as was told before
                outlet.worker.join(min(left, _LAST_TRY))
            elif not outlet.worker.join(left):
                _logger.warning("%s did not end within %g s: what it still held is lost", outlet.name, timeout)
        for outlet in self.outlets:
            outlet.shutdown(max(0.0, deadline - time.monotonic()))
        forget_global_providers(self._own_tracer_provider, self._own_meter_provider)

    def _wake(self) -> None:
        if self._drainer is not None:
            self._drainer.wake()
            # Let it run: a thread that computes without a pause keeps the interpreter for 5 ms each time that the
            # drainer sends a datagram, and could record faster than that for ever.
            time.sleep(0)

    def _start_draining(self) -> None:
        """The statsd channel drains the queue every second; without it somebody else must."""
        if self._drainer is None:
            drain = Drain(self.recorder, self._statsd.flush_interval)
            self.outlets.append(drain)
            self._drainer = drain.worker

    def _build_tracer(self) -> trace.Tracer | None:
        if self._otel.disabled:
            return None
        installed = trace.get_tracer_provider()
        if not isinstance(installed, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
            return installed.get_tracer("c2cotel", VERSION)
        names = self._exporters("traces")
        if not names:
            return None
        provider = TracerProvider(resource=self._resource(), shutdown_on_exit=False)
        for name in names:
            channel = SpanChannel(
                f"{name} export of traces",
                self._exporter_factory(name, "traces", SpanExporter),
                interval=self._otel.span_delay,
                queue_size=self._otel.span_queue,
                batch_size=min(self._otel.span_batch, self._otel.span_queue),
            )
            self.outlets.append(channel)
            provider.add_span_processor(channel)
        trace.set_tracer_provider(provider)
        self._own_tracer_provider = provider
        return provider.get_tracer("c2cotel", VERSION)

    def _build_metrics(self) -> None:
        names = [] if self._otel.disabled else self._exporters("metrics")
        statsd = _STATSD in names or self._statsd.address is not None
        others = [name for name in names if name != _STATSD]
        if not statsd and not others:
            return
        self.measures = True
        installed = metrics.get_meter_provider()
        if isinstance(installed, MeterProvider):
            provider, others_join = installed, None
        else:
            provider = MeterProvider(resource=self._resource(), shutdown_on_exit=False)
            metrics.set_meter_provider(provider)
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
            tells_itself=True,
        )
        self.outlets.append(channel)
        self._drainer = channel.worker

    def _add_other(self, name: str, join: MeterProvider | None, resource: Callable[[], Resource]) -> None:
        factory = self._exporter_factory(name, "metrics", MetricExporter)
        sink = AggregateSink(preferred_temporality(factory()), self.observers)
        self.recorder.add(sink)
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
        settings = self._statsd
        return StatsdMetricExporter(
            settings.address or self._otel.statsd_endpoint or "localhost:8125",
            prefix=settings.prefix,
            flavor=settings.flavor or "datadog",
            rules=self._rules,
            tags=settings.tags if settings.use_tags else None,
            use_tags=settings.use_tags,
            whole_milliseconds=True,
            tag_value=sanitized_part,
            absolute_gauges=settings.flavor == "datadog",
        )

    def _resource(self) -> Resource:
        said = OTELResourceDetector().detect().attributes
        known = {SERVICE_NAME: self._service.name, SERVICE_VERSION: self._service.version}
        return Resource.create().merge(Resource({k: v for k, v in known.items() if v and k not in said}))

    def _exporters(self, signal: Signal) -> Sequence[str]:
        chosen: Iterable[str] | None = getattr(self._otel, f"{signal}_exporter")
        if chosen is not None:
            return [name for name in dict.fromkeys(chosen) if name.lower() != "none"]
        return [_OTLP] if self._otel.endpoint or getattr(self._otel, f"{signal}_endpoint") else []

    def _exporter_factory(self, name: str, signal: Signal, base: type[Any]) -> Callable[[], Any]:
        """The exporter class that a name stands for; refuses what is not installed before anything has started."""
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        wanted = self._otlp_name(signal) if name == _OTLP else name
        found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=wanted)), None)
        install = _PACKAGES.get(wanted)
        if found is None:
            known = sorted({entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")} | {_OTLP})
            hint = f"pip install '{install}'" if install else f"one of the installed {', '.join(known)}, or none"
            raise SettingsError(f"{variable}: the exporter {wanted!r} is not installed: expected {hint}")
        try:
            cls = found.load()
        except ImportError as error:
            hint = f"pip install '{install}'" if install else "its package, complete"
            raise SettingsError(f"{variable}: {wanted!r} cannot be imported ({error}): expected {hint}") from error
        if not issubclass(cls, base):
            raise SettingsError(f"{variable}: {wanted!r} waits to be asked: expected an exporter that sends by itself")
        if wanted == _OTLP_HTTP and signal == "traces":
            from c2cotel.otlp import FastSpanExporter  # noqa: PLC0415  # its imports come with the extra

            return lambda: FastSpanExporter(cls())
        factory: Callable[[], Any] = cls
        return factory

    def _otlp_name(self, signal: Signal) -> str:
        own = getattr(self._otel, f"{signal}_protocol")
        variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL" if own else "OTEL_EXPORTER_OTLP_PROTOCOL"
        protocol = own or self._otel.protocol or "http/protobuf"
        if protocol not in _PROTOCOLS:
            raise SettingsError(f"{variable}={protocol!r}: expected one of {', '.join(_PROTOCOLS)}")
        return _PROTOCOLS[protocol]


def sanitized_part(text: str) -> str:
    """A key part or tag as 2018 wrote it: one underscore for each character that is no ASCII letter or digit."""
    return "".join(c if c == "_" or (c.isascii() and c.isalnum()) else "_" for c in text)
