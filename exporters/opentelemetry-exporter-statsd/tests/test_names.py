"""Whatever an application puts into names, attributes and values, a line stays one line."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.statsd import NameRule, SampledHistogramDataPoint, StatsdMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

NAME = r"[a-zA-Z0-9_.]{1,450}"
NUMBER = r"-?\d+(\.\d+)?(e[+-]?\d+)?"
TAG = r"[a-zA-Z0-9_]+:[^\s\x00-\x1f\x7f-\x9f|,]{1,450}"
VALUE = rf":{NUMBER}\|(c|g|ms|h)"
PAIR = r"[a-zA-Z0-9_]+=[^\s\x00-\x1f\x7f-\x9f|:=%s]{1,450}"
BRACKETS = r",\[\]"
GRAMMARS = {
    "datadog": rf"{NAME}{VALUE}(\|#{TAG}(,{TAG})*)?",
    "etsy": rf"{NAME}{VALUE}",
    "collectd": rf"{NAME}{VALUE}",
    "influx": rf"{NAME}(,{PAIR % ','})*{VALUE}",
    "graphite": rf"{NAME}(;{PAIR % ';!^~'})*{VALUE}",
    "signalfx": rf"{NAME}(\[{PAIR % BRACKETS}(,{PAIR % BRACKETS})*\])?{VALUE}",
}


class Memory:
    """A transport that keeps the datagrams."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def send(self, datagrams: Any) -> bool:
        self.kept += datagrams
        return True

    def close(self) -> None:
        """Nothing to close."""

    def lines(self) -> list[str]:
        return [line for datagram in self.kept for line in datagram.decode().split("\n")]


def data(*metrics: Metric) -> MetricsData:
    scope = ScopeMetrics(InstrumentationScope("test"), metrics, "")
    return MetricsData([ResourceMetrics(Resource({}), [scope], "")])


def counter(name: str, value: Any, attributes: Any) -> Metric:
    return Metric(name, "", "1", Sum([NumberDataPoint(attributes, 0, 0, value)], AggregationTemporality.DELTA, True))


def gauge(name: str, value: Any, attributes: Any) -> Metric:
    return Metric(name, "", "1", Gauge([NumberDataPoint(attributes, 0, 0, value)]))


def sampled(name: str, unit: str, attributes: Any, samples: Any) -> Metric:
    point = SampledHistogramDataPoint(attributes, 0, 0, 0, 0, (), (), 0, 0, samples=samples)
    return Metric(name, "", unit, Histogram([point], AggregationTemporality.DELTA))


def exported(*metrics: Metric, **options: Any) -> list[str]:
    memory = Memory()
    exporter = StatsdMetricExporter(transport=memory, **options)
    assert exporter.export(data(*metrics)) is MetricExportResult.SUCCESS
    exporter.shutdown()
    return memory.lines()


nasty = st.text(st.characters() | st.sampled_from("|:#@,.\n\r;=\u2028\ud800é😀{}*"), max_size=30)
values = (
    nasty
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=10)
    | st.lists(nasty | st.integers() | st.none(), max_size=3)
    | st.dictionaries(nasty, nasty, max_size=2)
)
attributes = st.dictionaries(nasty | st.integers(), values, max_size=4)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
times = st.floats(0, 1e9) | st.integers(0, 10**9)


@pytest.mark.parametrize("flavor", GRAMMARS)
@pytest.mark.parametrize("tag_value", [None, str])
def test_any_text_makes_one_line_of_the_grammar_a_measurement(flavor: str, tag_value: Any) -> None:
    grammar = re.compile(GRAMMARS[flavor].replace(r"\s", "") if tag_value and flavor == "datadog" else GRAMMARS[flavor])

    @given(
        nasty, attributes, numbers, st.lists(times, min_size=1, max_size=4), st.sampled_from(["s", "ms", "ns", "By"])
    )
    def check(name: str, attributes: Any, number: Any, samples: list[Any], unit: str) -> None:
        rule = NameRule("ruled", ["{x*}", "{y:z}"], tagged=["{x*}"], tags={"y": "{y:z}", name: "{x}"}, extra_tags=True)
        lines = exported(
            counter(name, number, attributes),
            sampled(name, unit, attributes, samples),
            counter("ruled", number, {**attributes, "x": [name, "a"]}),
            gauge(name, number, attributes),
            flavor=flavor,
            rules=[rule],
            absolute_gauges=True,
            tag_value=tag_value,
        )
        for line in lines:
            assert grammar.fullmatch(line), line
        increments = (int(number), number - int(number) >= 0.5) if flavor == "influx" else (number,)
        assert len(lines) == 2 * sum(map(bool, increments)) + len(samples) + 1

    check()


@given(nasty)
def test_a_prefix_breaks_no_line_and_one_dot_follows(prefix: str) -> None:
    (line,) = exported(counter("n", 1, {}), prefix=prefix)
    name, end = line.rsplit(":", 1)
    assert end == "1|c"
    assert re.fullmatch(r"([^\s|:#@,.\x00-\x1f]+\.)*n", name)
    assert len(name) <= len(prefix) + 2


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("my-app.prod", "my-app.prod.n"),
        ("a.", "a.n"),
        ("a..b..", "a.b.n"),
        (".a", "a.n"),
        (".", "n"),
        ("", "n"),
        ("a|b", "a_b.n"),
        ("é.", "é.n"),
        ("a b\n", "a_b_.n"),
    ],
)
def test_a_prefix_is_written(prefix: str, name: str) -> None:
    assert exported(counter("n", 1, {}), prefix=prefix) == [f"{name}:1|c"]


def test_a_tag_value_cannot_forge_a_second_line() -> None:
    (line,) = exported(counter("n", 1, {"q": "x\nevil:1|c"}))
    assert line == "n:1|c|#q:x_evil:1_c"


def test_the_users_own_sanitizer_cannot_forge_a_line_either() -> None:
    (line,) = exported(counter("n", 1, {"q": "x\ny|z,#é"}), tag_value=lambda text: text)
    assert line == "n:1|c|#q:x_y_z_#é"


def test_a_sanitizer_that_raises_costs_no_metric() -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    assert exported(counter("n", 1, {"q": "a b"}), tag_value=broken) == ["n:1|c|#q:a_b"]


def test_tag_values_keep_the_punctuation_that_breaks_nothing() -> None:
    metric = counter("n", 1, {"k": "a|b:c@d#e,f;g=h"})
    assert exported(metric, flavor="etsy") == ["n.k.a_b_c_d_e_f_g_h:1|c"]
    assert exported(metric) == ["n:1|c|#k:a_b:c_d_e_f_g_h"]


def test_empty_and_missing_values_are_left_out_and_keys_may_be_numbers() -> None:
    attributes = {"a": "", "b": None, 5: "x", "": "y"}
    assert exported(counter("n", 1, attributes)) == ["n:1|c|#5:x"]
    assert exported(counter("n", 1, attributes), flavor="etsy") == ["n.5.x:1|c"]


def test_of_keys_that_become_equal_the_first_in_sorted_order_is_kept() -> None:
    assert exported(counter("n", 1, {"a_b": "second", "a.b": "first"})) == ["n:1|c|#a_b:first"]


def test_tags_are_sorted_as_they_are_written() -> None:
    assert exported(counter("n", 1, {"a.z": "1", "a1": "2"})) == ["n:1|c|#a1:2,a_z:1"]


def test_values_of_every_type_become_text() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    attributes = {"a": True, "b": b"x\xff", "c": {"k": 1}, "d": Odd(), "e": 10**5000, "f": ("x", 1), "g": 1.5}
    (line,) = exported(counter("n", 1, attributes))
    assert line == "n:1|c|#a:true,b:x_,c:__k_:_1_,d:Odd,e:int,f:x_1,g:1.5"


def test_equal_values_of_other_types_keep_series_of_their_own() -> None:
    metrics = [counter("n", 1, {"a": value}) for value in (1, True, 1.0, "1")]
    assert exported(*metrics) == ["n:1|c|#a:1", "n:1|c|#a:true", "n:1|c|#a:1.0", "n:1|c|#a:1"]


def test_name_with_prefix_and_tag_values_are_cut_at_450_characters() -> None:
    (line,) = exported(counter("n" * 600, 1, {"k": "v" * 600}), prefix="pre")
    name, _, tag = line.partition(":1|c|#k:")
    assert (len(name), len(tag)) == (450, 450)
    assert name.startswith("pre.nnn")


def test_more_series_than_the_cache_holds_are_still_named_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.exporter.statsd._encoder.MAX_CACHED_NAMES", 3)
    metrics = [counter(f"n{number % 5}", 1, {}) for number in range(20)]
    assert exported(*metrics) == [f"n{number % 5}:1|c" for number in range(20)]
