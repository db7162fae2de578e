"""The exporter: which data it wants from the SDK, and how they get to the network."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.statsd._encoder import Encoder
from opentelemetry.exporter.statsd._endpoint import Endpoint, parse_endpoint
from opentelemetry.exporter.statsd._flavors import flavor_named
from opentelemetry.exporter.statsd._lines import pack
from opentelemetry.exporter.statsd._link_transport import KeepingTransport
from opentelemetry.exporter.statsd._links import MAX_STREAM_PACKET, StreamLink, UnixDatagramLink
from opentelemetry.exporter.statsd._names import Namer
from opentelemetry.exporter.statsd._rules import NameRule
from opentelemetry.exporter.statsd._samples import RawSampleAggregation
from opentelemetry.exporter.statsd._sdk import Gauge
from opentelemetry.exporter.statsd._transport import LONGEST, MAX_UDP_PAYLOAD, SHORTEST, Transport, UdpTransport
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData

_logger = logging.getLogger("opentelemetry.exporter.statsd")

MAX_DATAGRAM = 1432
"""Bytes of a datagram over UDP by default: what fits one Ethernet frame, also with IPv6 and a tunnel."""

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
    Gauge: AggregationTemporality.CUMULATIVE,
    ObservableGauge: AggregationTemporality.CUMULATIVE,
}


class StatsdMetricExporter(MetricExporter):
    """An exporter of metrics to a StatsD server, each measurement of a histogram on a line of its own.

    Args:
        endpoint: Place of the server, by default ``localhost:8125``: ``host:port``, ``host`` (port 8125),
            ``[ipv6]:port``, each also after ``udp://`` or ``tcp://``;
            ``unix:///path`` (datagrams), ``unixstream:///path``. Connected when first used.
        prefix: Text before every name, with exactly one dot after it. Control characters, blanks and ``|:#@,`` become
            ``_``, and so does what the flavor reserves.
        flavor: Way to write tags: ``datadog`` (default), ``influx``, ``graphite``, ``signalfx``; ``etsy`` and
            ``collectd`` know no tags, and tag values become part of the name. It does not decide how negative gauges
            are written: see ``absolute_gauges``.
        rules: Names of chosen instruments. One without a rule keeps its name, and its attributes become tags (or,
            without tags, ``.key.value`` in key order).
        tags: Tags of every metric, where the flavor has tags. A metric's own tag of the same key wins.
        resource_tags: Attributes of the resource that become tags of every metric, and the tag of each, such as
            ``{"service.name": "service"}``, where the flavor has tags. Any other tag of the same name wins.
        use_tags: Whether the tagged form of the rules is taken. None (default): if the flavor has tags. False with a
            flavor that has them: the untagged names; the tags of the rules are not sent, ``extra_tags`` are.
        max_packet: Bytes of a datagram at most. A single longer line still goes, alone. None: 1432 for UDP, 8192
            otherwise.
        whole_milliseconds: Whether times are rounded half to even to whole milliseconds, at least 1. Otherwise they
            have up to 3 decimals.
        tag_value: Function that makes a tag's text safe. Default: letters, digits and ``_ . - : /`` stay, the rest
            becomes ``_``.
        absolute_gauges: Whether ``-5`` is sent as it is, which only Datadog's Agent reads as a value. Otherwise, also
            with the flavor ``datadog``, 0 is sent just before, in the same datagram, because a sign means "change by"
            to most servers.
        distributions: Whether histograms that are no times get the type ``d``, where the flavor has it.
        pack_values: Whether many values of one series share a line, ``name:1:2:3|ms``: a third of the work, fewer
            datagrams. For ``datadog`` with an Agent from 6.25 or 7.25 on only.
        sample_above: Measurements of a series in one interval above which about as many are sent, with ``|@rate``, so
            that the server's count stays exact. None (default): never. For flavors whose servers weigh times only:
            ``datadog``, ``influx``, ``signalfx``.
        transport: Transport that takes the datagrams, in place of the one to ``endpoint``.

    Raises:
        ValueError: An endpoint, flavor, rule, size or option that cannot be; the message has what was expected.
    """

    def __init__(
        self,
        endpoint: str = "localhost:8125",
        *,
        prefix: str = "",
        flavor: str = "datadog",
        rules: Sequence[NameRule] = (),
        tags: Mapping[str, str] | None = None,
        resource_tags: Mapping[str, str] | None = None,
        use_tags: bool | None = None,
        max_packet: int | None = None,
        whole_milliseconds: bool = False,
        tag_value: Callable[[str], str] | None = None,
        absolute_gauges: bool = False,
        distributions: bool = False,
        pack_values: bool = False,
        sample_above: int | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._raw = RawSampleAggregation()
        super().__init__(preferred_temporality=dict(_TEMPORALITY), preferred_aggregation={Histogram: self._raw})
        written = flavor_named(flavor)
        for option, asked, is_readable in (
            ("distributions", distributions, written.distributions),
            ("pack_values", pack_values, written.packs_values),
            ("sample_above", sample_above is not None, written.weighs),
        ):
            if asked and not is_readable:
                raise ValueError(f"{option}: servers of flavor {flavor!r} do not read that right; leave it out")
        if sample_above is not None and sample_above < 1:
            raise ValueError(f"sample_above {sample_above!r}: expected at least 1 measurement")
        where = parse_endpoint(endpoint)
        if max_packet is None:
            max_packet = MAX_DATAGRAM if transport is not None or where.scheme == "udp" else MAX_STREAM_PACKET
        if not 0 < max_packet <= MAX_UDP_PAYLOAD:
            raise ValueError(f"max_packet {max_packet!r}: expected 1 to {MAX_UDP_PAYLOAD} bytes")
        namer = Namer(
            prefix=prefix,
            rules=rules,
            tags=tags or {},
            flavor=written,
            use_tags=written.tags is not None if use_tags is None else use_tags,
            tag_value=tag_value,
        )
        self._encoder = Encoder(
            namer,
            written,
            whole_milliseconds=whole_milliseconds,
            absolute_gauges=absolute_gauges,
            resource_tags=resource_tags or {},
            distributions=distributions,
            sample_above=sample_above,
            line_length=max_packet if pack_values else 0,
        )
        self._max_packet = max_packet
        self._transport = transport if transport is not None else _transport_to(where, max_packet)
        self._closed = False
        self._logged: set[str] = set()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def dropped(self) -> int:
        """Measurements not sent: beyond the limit of a series, not finite, not printable, refused or given up."""
        return self._encoder.dropped + self._raw.dropped + getattr(self._transport, "dropped", 0)

    def when_filling(self, callback: Callable[[], bool]) -> None:
        """Have `callback` called when a series is half full, and while it is full.

        Args:
            callback: Function that returns whether waiting for a collection makes sense. It takes no lock, because it
                runs in the middle of a measurement.
        """
        self._raw.on_filling = callback

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Send the data. Never raises; FAILURE when something is known not to have arrived, or after `shutdown`.

        Args:
            metrics_data: Data as the SDK collects them. A histogram point may be a `SampledHistogramDataPoint`.
            timeout_millis: Milliseconds over which datagrams of UDP are spread at most, from 100 to 1000. Connections
                have a budget instead.
            **kwargs: Ignored.
        """
        with self._lock_of_process():
            if self._closed:
                return MetricExportResult.FAILURE
            try:
                if isinstance(self._transport, UdpTransport):
                    self._transport.longest = min(LONGEST, max(timeout_millis / 1000, SHORTEST))
                sent = self._transport.send(pack(self._encoder.lines(metrics_data), self._max_packet))
            except Exception as error:  # noqa: BLE001  the SDK's reader or an application's thread must live on
                self._log_once("Exporting metrics to StatsD failed; these are lost", error)
                return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def leave_out(self, metrics_data: MetricsData) -> None:
        """Count data as sent without sending it: observed counters go on from there. Never raises."""
        with self._lock_of_process():
            try:
                self._encoder.lines(metrics_data)
                self._encoder.rest()
            except Exception as error:  # noqa: BLE001  as in `export`
                self._log_once("Leaving out metrics of the parent process failed", error)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what waits for the server; returns whether everything was taken, as far as that can be known.

        Args:
            timeout_millis: Milliseconds to wait for an export in another thread.
        """
        lock = self._lock_of_process()
        if not lock.acquire(timeout=max(timeout_millis / 1000, 0)):
            return False
        try:
            return not self._closed and self._transport.send(())
        except Exception as error:  # noqa: BLE001  a transport is anybody's
            self._log_once("Flushing metrics to StatsD failed", error)
            return False
        finally:
            lock.release()

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Close the transport. A second call does nothing.

        Args:
            timeout_millis: Milliseconds to wait for an export in another thread, 2 seconds at most.
            **kwargs: Ignored.
        """
        lock = self._lock_of_process()
        # An export that sleeps between two bursts is given the time to end, a stuck one is not waited for.
        acquired = lock.acquire(timeout=min(SHUTDOWN_WAIT, timeout_millis / 1000))
        try:
            if not self._closed:
                self._closed = True
                rest = pack(self._encoder.rest(), self._max_packet) if acquired else ()
                if rest:
                    self._transport.send(rest)
                self._transport.close()
        except Exception as error:  # noqa: BLE001  a transport is anybody's
            self._log_once("Closing the StatsD transport failed", error)
        finally:
            if acquired:
                lock.release()

    def _log_once(self, message: str, error: Exception) -> None:
        if message not in self._logged:
            self._logged.add(message)
            _logger.error("%s (logged once)", message, exc_info=error)

    def _lock_of_process(self) -> threading.Lock:
        if self._pid != os.getpid():
            # A thread of the parent may have held the lock at the fork; no thread of this process will ever release it.
            self._lock = threading.Lock()
            self._pid = os.getpid()
            self._encoder.rest()  # is the parent's to send
        return self._lock


def _transport_to(endpoint: Endpoint, max_packet: int) -> Transport:
    if endpoint.scheme == "udp":
        return UdpTransport(endpoint)
    link = UnixDatagramLink(endpoint.path) if endpoint.scheme == "unix" else StreamLink(endpoint)
    return KeepingTransport(link, str(endpoint), max_packet=max_packet)
