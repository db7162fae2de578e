"""The exporter: what is asked of the SDK, and the way from its data to the network."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.statsd._encoder import FLAVORS, Encoder
from opentelemetry.exporter.statsd._endpoint import parse_endpoint
from opentelemetry.exporter.statsd._lines import pack
from opentelemetry.exporter.statsd._names import Namer
from opentelemetry.exporter.statsd._rules import NameRule
from opentelemetry.exporter.statsd._samples import RawSampleAggregation
from opentelemetry.exporter.statsd._transport import MAX_UDP_PAYLOAD, Transport, UdpTransport
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
    _Gauge,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData

_logger = logging.getLogger("opentelemetry.exporter.statsd")

SHUTDOWN_WAIT = 2.0
"""Seconds `shutdown` waits for an export in another thread."""

_TEMPORALITY: dict[type, AggregationTemporality] = {
    Counter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
    # The SDK's own delta goes negative when an observed counter restarts, so the exporter takes the difference.
    ObservableCounter: AggregationTemporality.CUMULATIVE,
    # Absolute gauges, sent again at each interval.
    UpDownCounter: AggregationTemporality.CUMULATIVE,
    ObservableUpDownCounter: AggregationTemporality.CUMULATIVE,
    _Gauge: AggregationTemporality.CUMULATIVE,
    ObservableGauge: AggregationTemporality.CUMULATIVE,
}


class StatsdMetricExporter(MetricExporter):
    """Sends metrics to a StatsD server, each measurement of a histogram on a line of its own.

    Args:
        endpoint: ``host:port``, ``host`` (port 8125), ``[ipv6]:port``, each also after ``udp://``. Resolved when first
            used.
        prefix: Stands before every name with exactly one dot after it. Control characters, blanks and ``|:#@,`` become
            ``_``.
        flavor: ``datadog`` (tags), ``etsy`` or ``collectd`` (no tags; tag values become part of the name).
        rules: Names of known instruments. One without a rule keeps its name, and its attributes become tags (or,
            without tags, ``.key.value`` in key order).
        tags: Tags of every metric, where the flavor has tags. A metric's own tag of the same key wins.
        use_tags: Whether the tagged form of the rules is taken. None: if the flavor has tags. False with a flavor that
            has
            them: the untagged names, the tags of the rules not sent, but ``extra_tags`` are.
        max_packet: Bytes a datagram may have. A single longer line still goes, alone.
        whole_milliseconds: Times are rounded half to even to whole milliseconds, at least 1. Otherwise up to 3
            decimals.
        tag_value: Makes a tag's text safe. Default: letters, digits and ``_ . - : /`` stay, the rest becomes ``_``.
        absolute_gauges: Send ``-5`` as it is (Datadog). Otherwise 0 is sent just before, in the same datagram, because
            a sign means "change by" to most servers.
        transport: Takes the datagrams, in place of UDP to ``endpoint``.

    Raises:
        ValueError: An endpoint, flavor, rule or size that cannot be; the text says what would do.
    """

    def __init__(
        self,
        endpoint: str = "localhost:8125",
        *,
        prefix: str = "",
        flavor: str = "datadog",
        rules: Sequence[NameRule] = (),
        tags: Mapping[str, str] | None = None,
        use_tags: bool | None = None,
        max_packet: int = 1432,
        whole_milliseconds: bool = False,
        tag_value: Callable[[str], str] | None = None,
        absolute_gauges: bool = False,
        transport: Transport | None = None,
    ) -> None:
        self._raw = RawSampleAggregation()
        super().__init__(preferred_temporality=dict(_TEMPORALITY), preferred_aggregation={Histogram: self._raw})
        if flavor not in FLAVORS:
            raise ValueError(f"flavor {flavor!r}: expected one of {', '.join(FLAVORS)}")
        if not 0 < max_packet <= MAX_UDP_PAYLOAD:
            raise ValueError(f"max_packet {max_packet!r}: expected 1 to {MAX_UDP_PAYLOAD} bytes")
        written = FLAVORS[flavor]
        namer = Namer(
            prefix=prefix,
            rules=rules,
            tags=tags or {},
            can_tag=written.tags,
            use_tags=written.tags if use_tags is None else use_tags,
            tag_value=tag_value,
        )
        self._encoder = Encoder(namer, written, whole_milliseconds=whole_milliseconds, absolute_gauges=absolute_gauges)
        self._max_packet = max_packet
        self._transport = transport if transport is not None else UdpTransport(parse_endpoint(endpoint))
        self._closed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def dropped(self) -> int:
        """Measurements that were not sent: beyond the bound of a series, not finite, or not printable."""
        return self._encoder.dropped + self._raw.dropped

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Send the data. Never raises; FAILURE when something is known not to have been sent, or after `shutdown`.

        Args:
            metrics_data: As the SDK collects it. A histogram point may be a `SampledHistogramDataPoint`.
            timeout_millis: Ignored: the transport has its own, much smaller budget.
            **kwargs: Ignored.
        """
        with self._own_lock():
            if self._closed:
                return MetricExportResult.FAILURE
            try:
                sent = self._transport.send(pack(self._encoder.lines(metrics_data), self._max_packet))
            except Exception:  # the SDK's reader or an application's thread must live on
                _logger.exception("Exporting metrics to StatsD failed")
                return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is ever kept back, so there is nothing to flush."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the transport. A second call does nothing.

        Args:
            timeout_millis: Milliseconds to wait for an export in another thread, 2 seconds at most.
            **kwargs: Ignored.
        """
        lock = self._own_lock()
        # An export that sleeps between two bursts is given the time to end, a stuck one is not waited for.
        acquired = lock.acquire(timeout=min(SHUTDOWN_WAIT, timeout_millis / 1000))
        try:
            if not self._closed:
                self._closed = True
                self._transport.close()
        except Exception:  # a transport is anybody's
            _logger.exception("Closing the StatsD transport failed")
        finally:
            if acquired:
                lock.release()

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():
            # A thread of the parent may have held the lock at the fork; no thread of this process will ever release it.
            self._lock = threading.Lock()
            self._pid = os.getpid()
        return self._lock
