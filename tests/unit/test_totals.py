"""Totals in memory (`stats.json`)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2cotel.metrics.totals import Totals, merge


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


@given(st.lists(st.lists(st.floats(0, 1000), min_size=1, max_size=50), min_size=1, max_size=5))
def test_the_totals_of_several_processes_are_those_of_one_that_did_it_all(processes: list[list[float]]) -> None:
    shares, together = [], Totals()
    for values in processes:
        totals = Totals()
        totals.fold(values)
        together.fold(values)
        wired = json.loads(json.dumps(totals.as_share()))
        shares.append({"timers": {"t": wired}, "gauges": {}, "counters": {"c": len(values)}})
    found = merge(shares)
    expected = together.as_json()
    assert abs(found["timers"]["t"].pop("avg_ms") - expected.pop("avg_ms")) <= 1, "floats are added in another order"
    assert found == {"timers": {"t": expected}, "gauges": {}, "counters": {"c": sum(map(len, processes))}}


def test_of_a_gauge_the_latest_value_counts() -> None:
    shares = [{"timers": {}, "gauges": {"g": gauge}, "counters": {}} for gauge in ([3.0, 30], [5.0, 50], [4.0, 40])]
    assert merge(shares)["gauges"] == {"g": 50}
