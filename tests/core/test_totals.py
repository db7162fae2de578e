"""Totals in memory (`stats.json`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2cotel.sinks import Totals


def test_whole_milliseconds() -> None:
    totals = Totals()
    totals.fold([0.001, 0.002, 0.0094])
    found = totals.as_json()
    assert {name: found[name] for name in ("nb", "avg_ms", "min_ms", "max_ms")} == {
        "nb": 3,
        "avg_ms": 4,
        "min_ms": 1,
        "max_ms": 9,
    }


def test_percentiles_of_a_hundred_values() -> None:
    totals = Totals()
    totals.fold([n / 1000 for n in range(1, 101)])
    found = totals.as_json()
    assert (found["p50_ms"], found["p95_ms"], found["p99_ms"]) == (50, 95, 99)


@given(st.lists(st.floats(1e-6, 1000), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_percentile_is_within_one_percent_of_the_exact_one(values: list[float], share: float) -> None:
    totals = Totals()
    totals.fold(values)
    exact = sorted(values)[max(0, -(-int(share * len(values) * 1e9) // int(1e9)) - 1)]
    near = totals.percentile(share)
    assert min(values) <= near <= max(values)
    assert near == pytest.approx(exact, rel=0.0101) or near in values


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_memory_stays_bounded_and_zero_is_a_duration(values: list[float]) -> None:
    totals = Totals()
    totals.fold(values)
    assert len(totals.buckets) < 3500
    assert totals.as_json()["nb"] == len(values)
