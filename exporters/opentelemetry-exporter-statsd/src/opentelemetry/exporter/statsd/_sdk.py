"""Everything this package uses of the OpenTelemetry SDK that the SDK does not document.

`tests/test_sdk.py` fails loudly when a new SDK moves one of these names, or when another module uses one.
"""

import logging
from functools import cache
from typing import Any

from opentelemetry.sdk.metrics import _Gauge as Gauge  # the public name is that of the points
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, MetricsData
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation

__all__ = [
    "SUPPRESS_INSTRUMENTATION",
    "Gauge",
    "HistogramAggregation",
    "collect_synchronous",
    "is_registered",
    "preferences",
]

_logger = logging.getLogger("opentelemetry.exporter.statsd")

SUPPRESS_INSTRUMENTATION = "suppress_instrumentation"
"""Key of the context that OpenTelemetry's instrumentations look for."""


def preferences(exporter: MetricExporter) -> dict[str, Any]:
    """The arguments with which a `MetricReader` collects what an exporter prefers."""
    return {
        "preferred_temporality": exporter._preferred_temporality,  # noqa: SLF001  as the SDK's reader does
        "preferred_aggregation": exporter._preferred_aggregation,  # noqa: SLF001
    }


def is_registered(reader: MetricReader) -> bool:
    """Whether the reader belongs to a `MeterProvider` already."""
    return reader._collect is not None  # noqa: SLF001


def collect_synchronous(reader: MetricReader) -> MetricsData | None:
    """The metrics of a reader without asking the callbacks of observable instruments, one of which has failed."""
    consumer = getattr(reader._collect, "__self__", None)  # noqa: SLF001
    storages: Any = getattr(consumer, "_reader_storages", {})
    storage = storages.get(reader)
    data: MetricsData | None = storage.collect() if storage is not None else None
    return data


class HistogramAggregation(ExplicitBucketHistogramAggregation):
    """An aggregation of histograms whose series a subclass replaces by its own."""

    series_class: Any = object
    """Base class of a series, with the methods `aggregate` and `collect`."""
    _is_logged = False

    def start(self, series: Any, instrument: str, attributes: Any, start_nano: int) -> None:
        """Set up a new series.

        Args:
            series: An instance of `series_class`.
            instrument: The instrument's name.
            attributes: Those of the series.
            start_nano: The time of its creation, in nanoseconds since the epoch.
        """

    def _create_aggregation(self, instrument: Any, attributes: Any, *args: Any, **kwargs: Any) -> Any:
        built: Any = super()._create_aggregation(instrument, attributes, *args, **kwargs)
        try:
            sdk_class: Any = type(built)
            series_class = _inheriting(self.series_class, sdk_class)
            series = series_class.__new__(series_class)
            series.__dict__.update(built.__dict__)
            start_nano = args[-1] if args and isinstance(args[-1], int) else 0
            self.start(series, getattr(instrument, "name", "?"), attributes, start_nano)
        except Exception as error:
            if not self._is_logged:
                self._is_logged = True
                _logger.error(  # noqa: TRY400  the first time only
                    "Exact measurements are not possible with this SDK; falling back to its buckets (logged once)",
                    exc_info=error,
                )
            return built
        return series


@cache
def _inheriting(series_class: Any, sdk_class: Any) -> Any:
    # The SDK takes the type of the exported data from an isinstance chain over its aggregations, and exports the data
    # of the metric before under this name if none fits: a series must inherit from what the SDK would have built.
    return type("RawSamples", (series_class, sdk_class), {})
