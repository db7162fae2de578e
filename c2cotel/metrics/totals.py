"""Totals in memory, as `stats.json` shows them: of this process, or of several together."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.exporter.statsd import NameRule, resolve

from c2cotel.metrics.instruments import Kind
from c2cotel.metrics.recorder import Series


class TotalsSink:
    """Running totals of this process, as `stats.json` shows them.

    Args:
        rules: the names of the statsd wire; totals carry the same names, parts joined by ``/``.
        tagged: whether automatic metrics use tags.
    """

    def __init__(self, rules: Iterable[NameRule], *, tagged: bool) -> None:
        self._rules: dict[str, list[NameRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.instrument, []).append(rule)
        self._tagged = tagged
        self._keys: dict[Series, str] = {}
        self.reset()

    def fold(self, series: Series, values: Sequence[float]) -> None:
        if not series.instrument.statsd:
            return
        key = self._keys.get(series)
        if key is None:
            key = self._keys[series] = self._key(series)
        with self._lock:
            if series.instrument.kind is Kind.TIMER:
                self._timers.setdefault(key, Totals()).fold(values)
            elif series.instrument.kind is Kind.GAUGE:
                self._gauges[key] = (time.time(), values[-1])
            else:
                self._counters[key] = self._counters.get(key, 0) + sum(values)

    def collect(self, *, reset: bool = False) -> dict[str, Any]:
        """The totals so far, in a form that goes over the wire and that `merge` understands.

        Args:
            reset: forget them in the same step, so that nothing is lost or counted twice.
        """
        with self._lock:
            totals = {
                "timers": {key: totals.as_share() for key, totals in self._timers.items()},
                "gauges": {key: list(gauge) for key, gauge in self._gauges.items()},
                "counters": dict(self._counters),
            }
            if reset:
                self._forget()
            return totals

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._timers: dict[str, Totals] = {}
        self._gauges: dict[str, tuple[float, float]] = {}
        self._counters: dict[str, float] = {}

    def _key(self, series: Series) -> str:
        for rule in self._rules.get(series.instrument.name, ()):
            if (resolved := resolve(rule, series.attributes, self._tagged)) is not None:
                parts, tags = resolved
                tagged = (f"{name}={value}" for name, value in sorted(tags.items()) if value)
                return "/".join(part.replace("/", "_") for part in (*parts, *tagged))
        return series.instrument.name


def merge(shares: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The totals of several processes as one: of a gauge the latest value, of all else the sum.

    Args:
        shares: what `TotalsSink.collect` gave in each.

    Returns:
        ``{"timers": {key: {"nb", "avg_ms", …}}, "gauges": {key: value}, "counters": {key: n}}``
    """
    timers: dict[str, Totals] = {}
    gauges: dict[str, Sequence[float]] = {}
    counters: dict[str, float] = {}
    for share in shares:
        for key, timer in share["timers"].items():
            timers.setdefault(key, Totals()).add(timer)
        for key, gauge in share["gauges"].items():
            gauges[key] = max(gauges.get(key, gauge), gauge, key=lambda each: each[0])
        for key, count in share["counters"].items():
            counters[key] = counters.get(key, 0) + count
    return {
        "timers": {key: timer.as_json() for key, timer in timers.items()},
        "gauges": {key: value for key, (_, value) in gauges.items()},
        "counters": counters,
    }


@dataclass
class Totals:
    """Count, sum, extremes and percentiles of durations in seconds.

    Percentiles come from buckets whose bounds grow by 1 %: the memory is bounded however many values come, and a
    percentile is within 1 % of the exact one.
    """

    nb: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)

    def fold(self, values: Sequence[float]) -> None:
        """Take durations in seconds."""
        self.nb += len(values)
        self.total += sum(values)
        self.low = min(self.low, *values)
        self.high = max(self.high, *values)
        for value in values:
            index = _bucket(value)
            self.buckets[index] = self.buckets.get(index, 0) + 1

    def add(self, share: Sequence[Any]) -> None:
        """Take what `as_share` of other totals gave."""
        nb, total, low, high, buckets = share
        self.nb += nb
        self.total += total
        self.low = min(self.low, low)
        self.high = max(self.high, high)
        for index, count in buckets:
            self.buckets[index] = self.buckets.get(index, 0) + count

    def as_share(self) -> list[Any]:
        """All of it, made of lists and numbers."""
        return [self.nb, self.total, self.low, self.high, [list(bucket) for bucket in self.buckets.items()]]

    def percentile(self, share: float) -> float:
        """The duration in seconds that `share` (0 to 1) of the values do not exceed."""
        left = max(1, math.ceil(share * self.nb))
        for index in sorted(self.buckets):
            left -= self.buckets[index]
            if left <= 0:
                return min(max(_middle(index), self.low), self.high)
        return self.high

    def as_json(self) -> dict[str, int]:
        """Whole milliseconds, as `stats.json` shows them."""
        percentiles = {f"p{n}_ms": _ms(self.percentile(n / 100)) for n in (50, 95, 99)}
        return {
            "nb": self.nb,
            "avg_ms": _ms(self.total / self.nb),
            "min_ms": _ms(self.low),
            "max_ms": _ms(self.high),
            **percentiles,
        }


_GROWTH = math.log(1.01)
_SMALLEST = 1e-7


def _bucket(value: float) -> int:
    return math.ceil(math.log(value) / _GROWTH) if value > _SMALLEST else math.ceil(math.log(_SMALLEST) / _GROWTH)


def _middle(index: int) -> float:
    return math.exp((index - 0.5) * _GROWTH)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
