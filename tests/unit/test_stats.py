"""The user's timers, gauges and counters, on the statsd wire and in memory (contract, section 3)."""

from __future__ import annotations

import socket
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import c2cotel
from c2cotel import stats
from c2cotel.testing import ScriptedClock
from tests.servers.udp import UdpListener


class Wire:
    """c2cotel without an application, and what it sends."""

    def __init__(self, listener: UdpListener) -> None:
        self.clock = ScriptedClock()
        self._listener = listener
        self._telemetry: Any = None

    def open(self) -> None:
        self._telemetry = c2cotel.setup(clock=self.clock)

    def lines(self) -> list[str]:
        self._telemetry.close()
        self._listener.settle(0.1)
        return self._listener.lines()


@pytest.fixture
def closed_wire(udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    return Wire(udp_listener)


@pytest.fixture
def wire(closed_wire: Wire) -> Wire:
    closed_wire.open()
    return closed_wire


def test_a_timer_context_records_the_block(wire: Wire) -> None:
    with stats.timer_context(["toto", "tu.tu"]):
        wire.clock.advance(0.0123)
    assert wire.lines() == ["toto.tu_tu:12|ms"]


def test_a_timer_context_records_only_success(wire: Wire) -> None:
    with pytest.raises(ValueError, match="x"), stats.timer_context(["toto"]):
        raise ValueError("x")
    assert wire.lines() == []


def test_an_outcome_timer_context_records_both_outcomes(wire: Wire) -> None:
    with stats.outcome_timer_context(["toto"]):
        pass
    with pytest.raises(ValueError, match="x"), stats.outcome_timer_context(["toto"]):
        raise ValueError("x")
    with pytest.raises(KeyboardInterrupt), stats.outcome_timer_context(["toto"]):
        raise KeyboardInterrupt
    assert wire.lines() == ["toto.success:1|ms", "toto.failure:1|ms"]


def test_with_tags_the_outcome_is_a_tag(closed_wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_USE_TAGS", "1")
    closed_wire.open()
    with stats.outcome_timer_context(["toto"], tags={"a": "b"}):
        pass
    with pytest.raises(ValueError, match="x"), stats.outcome_timer_context(["toto"]):
        raise ValueError("x")
    assert closed_wire.lines() == ["toto:1|ms|#a:b,success:1", "toto:1|ms|#success:0"]


def test_a_timer_may_be_named_when_it_stops(wire: Wire) -> None:
    first = stats.timer(["early"], {"a": 1})
    second = stats.timer()
    wire.clock.advance(0.25)
    assert first.stop() == 0.25
    assert second.stop(["late"], {"b": 2}) == 0.25
    assert wire.lines() == ["early:250|ms|#a:1", "late:250|ms|#b:2"]


def test_a_timer_without_any_key_is_told_and_still_gives_the_seconds(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    timer = stats.timer()
    wire.clock.advance(1)
    assert timer.stop() == 1
    assert "stopped without a key" in caplog.text


def test_a_decorated_function_is_timed_in_every_thread(wire: Wire) -> None:
    @stats.timer_context(["work"])
    def work(seconds: float) -> None:
        wire.clock.advance(seconds)

    threads = [threading.Thread(target=work, args=(n / 100,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wire.lines()) == [f"work:{n}0|ms" for n in range(1, 5)]


def test_tags_of_the_user_are_sent_whatever_the_settings_say(wire: Wire) -> None:
    stats.set_gauge(["test", "gauge_s"], 24, tags={"value": 24, "toto": "tutu"})
    stats.increment_counter(["test", "counter"], 3, tags={"x": ""})
    assert wire.lines() == ["test.gauge_s:24|g|#toto:tutu,value:24", "test.counter:3|c"]


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (42, ["g:42|g"]),
        (42.5, ["g:42.5|g"]),
        (-5, ["g:0|g", "g:-5|g"]),
        (True, ["g:1|g"]),
        (Decimal("1.5"), ["g:1.5|g"]),
        (0, ["g:0|g"]),
    ],
)
def test_gauges_print_as_python_prints_them_and_negative_ones_are_absolute(
    wire: Wire, value: float, lines: list[str]
) -> None:
    stats.set_gauge(["g"], value)
    assert wire.lines() == lines


def test_with_the_flavor_set_by_hand_a_negative_gauge_is_sent_alone(
    closed_wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATSD_FLAVOR", "datadog")
    closed_wire.open()
    stats.set_gauge(["g"], -5)
    assert closed_wire.lines() == ["g:-5|g"]


def test_counters_are_summed_and_gauges_keep_their_last_value(wire: Wire) -> None:
    for n in range(5):
        stats.increment_counter(["c"])
        stats.increment_counter(["d"], -1)
        stats.set_gauge(["g"], n)
    assert wire.lines() == ["c:5|c", "d:-5|c", "g:4|g"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many", None, 1j, object()])
def test_what_is_no_finite_number_is_not_sent_and_told_once(
    wire: Wire, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        stats.set_gauge(["odd"], value)
        stats.increment_counter(["odd"], value)
    stats.increment_counter(["good"])
    assert wire.lines() == ["good:1|c"]
    assert caplog.text.count("is not a finite number") == 1


def test_the_prefix_ends_with_exactly_one_dot(closed_wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_PREFIX", "my-team.app.")
    closed_wire.open()
    stats.increment_counter(["c"])
    assert closed_wire.lines() == ["my-team.app.c:1|c"]


def test_an_etsy_server_gets_tag_values_in_the_name(closed_wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_FLAVOR", "etsy")
    closed_wire.open()
    stats.increment_counter(["c"], tags={"z": "last", "a": "fi.rst"})
    assert closed_wire.lines() == ["c.fi_rst.last:1|c"]


@pytest.mark.parametrize(
    ("flavor", "line"),
    [("influx", "c,a=b,k=v_1:1|c"), ("graphite", "c;a=b;k=v_1:1|c"), ("signalfx", "c[a=b,k=v_1]:1|c")],
)
def test_other_servers_get_tags_as_they_read_them(
    closed_wire: Wire, monkeypatch: pytest.MonkeyPatch, flavor: str, line: str
) -> None:
    monkeypatch.setenv("STATSD_FLAVOR", flavor)
    closed_wire.open()
    stats.increment_counter(["c"], tags={"k": "v,1", "a": "b"})
    assert closed_wire.lines() == [line]


@pytest.mark.parametrize("scheme", ["tcp", "unixstream"])
def test_a_statsd_server_may_listen_on_a_stream(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "statsd.socket")
    listener = socket.create_server(("127.0.0.1", 0)) if scheme == "tcp" else socket.socket(socket.AF_UNIX)
    with listener:
        if scheme == "unixstream":
            listener.bind(path)
            listener.listen()
        where = f"tcp://127.0.0.1:{listener.getsockname()[1]}" if scheme == "tcp" else f"unixstream://{path}"
        monkeypatch.setenv("STATSD_ADDRESS", where)
        telemetry = c2cotel.setup()
        stats.increment_counter(["c"])
        telemetry.close()
        listener.settimeout(10)
        with listener.accept()[0] as connection:
            assert connection.makefile("rb").read() == (b"c:1|c\n" if scheme == "tcp" else b"\5\0\0\0c:1|c")


def test_a_statsd_server_may_listen_on_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "statsd.socket")
    monkeypatch.setenv("STATSD_ADDRESS", f"unix://{path}")
    telemetry = c2cotel.setup()
    stats.increment_counter(["c"])
    telemetry.flush()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(10)
        stats.increment_counter(["c"])
        telemetry.close()
        assert server.recv(100) == b"c:1|c", "what could not be sent waited"
        assert server.recv(100) == b"c:1|c"


def test_names_and_tags_cannot_forge_another_line(wire: Wire) -> None:
    stats.increment_counter(["a\nevil:1|c", "b|c@1#x,y"], tags={"k\n:,|": "v\nevil:1|c"})
    assert wire.lines() == ["a_evil_1_c.b_c_1_x_y:1|c|#k____:v_evil_1_c"]


def test_names_and_tag_values_are_cut_at_450_characters(wire: Wire) -> None:
    stats.increment_counter(["x" * 1000], tags={"k": "y" * 1000})
    assert wire.lines() == ["x" * 450 + ":1|c|#k:" + "y" * 450]


@pytest.mark.parametrize("key", [["a", 1], ("a", 1), ["a", "1"]])
def test_a_key_is_any_sequence_of_parts(wire: Wire, key: Any) -> None:
    stats.increment_counter(key)
    assert wire.lines() == ["a.1:1|c"]


def test_one_text_is_a_key_of_one_part(wire: Wire) -> None:
    stats.increment_counter("abc")
    with stats.outcome_timer_context("xyz"):
        pass
    assert wire.lines() == ["abc:1|c", "xyz.success:1|ms"]


def test_parts_and_tags_that_cannot_be_hashed_are_taken_as_text(wire: Wire) -> None:
    stats.increment_counter(["a", ["b"]], tags={"t": ["v"]})
    assert wire.lines() == ["a.__b__:1|c|#t:__v__"]


def test_before_setup_nothing_is_measured_but_a_timer_gives_seconds() -> None:
    with stats.timer_context(["a"]), stats.outcome_timer_context(["a"]):
        stats.set_gauge(["a"], 1)
        stats.increment_counter(["a"])

    @stats.timer_context(["a"])
    def work() -> str:
        return "done"

    assert work() == "done"
    assert 0 <= stats.timer(["a"]).stop() < 60
    with pytest.raises(ValueError, match="x"), stats.timer_context(["a"]):
        raise ValueError("x")


def test_beyond_the_cap_one_overflow_series_takes_the_rest(
    closed_wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATSD_MAX_SERIES", "3")
    closed_wire.open()
    for n in range(10):
        stats.increment_counter(["k", str(n)])
        with stats.timer_context(["t", str(n)]):
            pass
    lines = closed_wire.lines()
    assert [line for line in lines if "|c" in line] == ["k.0:1|c", "k.1:1|c", "k.2:1|c", "k._overflow:7|c"]
    assert [line for line in lines if "|ms" in line] == [
        "t.0:1|ms",
        "t.1:1|ms",
        "t.2:1|ms",
        *["t._overflow:1|ms"] * 7,
    ]
    assert caplog.text.count("STATSD_MAX_SERIES") == 2
    assert "k._overflow" in caplog.text
