"""Lines that wait: what is merged, what is kept, what goes when there are too many."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.statsd._backlog import Backlog
from opentelemetry.exporter.statsd._lines import TOGETHER, pack

names = st.sampled_from(["a", "a,k=v", "b[k=v]"])
numbers = st.integers(-(10**20), 10**20)


@given(st.lists(st.tuples(names, numbers, st.sampled_from(["", "|#k:v"]))))
def test_counters_that_wait_add_up_to_what_was_counted(written: list[tuple[str, int, str]]) -> None:
    backlog = Backlog()
    sums: Counter[str] = Counter()
    for name, value, tags in written:
        backlog.keep([f"{name}:{value}|c{tags}".encode()])
        sums[f"{name} {tags}"] += value
    lines = backlog.take()
    assert len(lines) == len(sums)
    for line in lines:
        name, _, rest = line.partition(":")
        total, _, kind = rest.partition("|c")
        assert int(total) == sums[f"{name} {kind}"]
    assert not backlog


def test_fractions_add_up_too() -> None:
    backlog = Backlog()
    backlog.keep([b"a:0.5|c\na:1e-05|c", b"a:2|c"])
    assert backlog.take() == ["a:2.50001|c"]


def test_of_a_gauge_the_last_value_stays_with_its_zero() -> None:
    backlog = Backlog()
    backlog.keep([b"g:1|g\ng:2|g", b"g:0|g\ng:-5|g", b"absolute:-1|g\nabsolute:-2|g"])
    lines = backlog.take()
    assert lines == [f"g:0|g{TOGETHER}g:-5|g", "absolute:-2|g"]
    assert pack(lines, 1432) == [b"g:0|g\ng:-5|g\nabsolute:-2|g"]


def test_times_and_what_is_weighted_stay_line_by_line_in_order() -> None:
    backlog = Backlog()
    backlog.keep([b"t:1|ms\nt:1|ms\nt:2|h|@0.5|#k:v", b"c:1|c|@0.5\nc:1|c|@0.5"])
    assert backlog.take() == ["t:1|ms", "t:1|ms", "t:2|h|@0.5|#k:v", "c:1|c|@0.5", "c:1|c|@0.5"]


def test_the_oldest_times_go_when_there_are_too_many_and_counters_stay() -> None:
    backlog = Backlog(limit=3)
    backlog.keep([b"c:1|c", b"t:1|ms\nt:2|ms\nt:3|ms", b"c:1|c"])
    assert backlog.dropped == 1
    backlog.keep([b"d:1|c\ng:1|g\ne:1|c"])
    assert backlog.dropped == 4
    assert backlog.take() == ["c:2|c", "d:1|c", "g:1|g"]


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_nothing_that_was_a_datagram_raises(datagrams: list[bytes]) -> None:
    backlog = Backlog(limit=5)
    backlog.keep([*datagrams, b"c:|c\nc:x|c\n"])
    assert len(backlog.take()) <= 5
