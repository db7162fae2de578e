"""Packing, and the measurements an aggregated histogram is turned into."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.statsd._lines import MAX_EXPANDED, expand, pack


@pytest.mark.parametrize("size", [512, 1432, 8192])
def test_lines_that_just_fit_go_in_one_datagram(size: int) -> None:
    lines = ["a" * 99 + str(number % 10) for number in range(size // 101)]
    fitting = [*lines, "b" * (size - 101 * len(lines))]
    assert pack(fitting, size) == ["\n".join(fitting).encode()]
    assert len(pack([*lines, "b" * (size - 101 * len(lines) + 1)], size)) == 2


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), min_size=1), max_size=60),
    st.integers(1, 90),
)
def test_packing_keeps_order_splits_no_line_and_fills_up(lines: list[str], size: int) -> None:
    datagrams = pack(lines, size)
    assert b"\n".join(datagrams) == "\n".join(lines).encode()
    for datagram in datagrams:
        assert len(datagram) <= size or b"\n" not in datagram
        assert not datagram.endswith(b"\n")
    for one, two in pairwise(datagrams):
        assert len(one) + 1 + len(two.split(b"\n")[0]) > size


def test_a_line_longer_than_a_datagram_goes_alone() -> None:
    assert pack(["a", "b" * 3000, "c"], 1432) == [b"a", b"b" * 3000, b"c"]
    assert pack(["b" * 3000, "a", "c"], 1432) == [b"b" * 3000, b"a\nc"]
    assert pack(["a", "c", "b" * 3000], 1432) == [b"a\nc", b"b" * 3000]


def test_nothing_packs_into_nothing() -> None:
    assert pack([], 1432) == []


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_an_expansion_keeps_count_sum_minimum_and_maximum(measured: list[int]) -> None:
    expanded = expand(len(measured), sum(measured), min(measured), max(measured))
    assert (len(expanded), sum(expanded)) == (len(measured), sum(measured))
    assert (min(expanded), max(expanded)) == (min(measured), max(measured))


@given(st.integers(1, 100), st.integers(0, 10**9))
def test_an_expansion_without_ends_has_nearly_equal_shares(count: int, total: int) -> None:
    expanded = expand(count, total, None, None)
    assert (len(expanded), sum(expanded)) == (count, total)
    assert max(expanded) - min(expanded) <= 1


def test_ends_that_contradict_the_sum_are_ignored() -> None:
    assert expand(4, 8, 100, 200) == [2, 2, 2, 2]


def test_a_huge_point_is_bounded_and_keeps_its_mean() -> None:
    expanded = expand(10**9, 7 * 10**9, None, None)
    assert expanded == [7] * MAX_EXPANDED


def test_a_negative_gauge_and_its_zero_stay_in_one_datagram(application: Any, server: Any) -> None:
    app = application(flavor="etsy", max_packet=100)
    app.meter.create_counter("c" * 86).add(1)
    app.meter.create_gauge("g").set(-3.5)
    app.provider.force_flush()
    assert server.datagrams() == [b"c" * 86 + b":1|c", b"g:0|g\ng:-3.5|g"]
