"""`c2cotel demo`, the command as a process: what it shows, what its exit code says, and what it leaves behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest

from c2cotel.tap.lines import Line, decode
from tests.servers.local import environment

DEMO = [sys.executable, "-m", "c2cotel.cli", "demo"]
PATIENCE = 60
SPAN = re.compile(r"(?P<lead>[ │├└─]*)(?P<name>\S+(?: \S+)*?) +[0-9.]+ ms  span (?P<span_id>[0-9a-f]{16})(?P<facts>.*)")


@dataclass
class Ended:
    """A demo that has ended."""

    code: int
    out: str
    err: str

    @property
    def log_line(self) -> dict[str, Any]:
        (text,) = re.findall(r"^  (\{.*\})$", self.out, re.MULTILINE)
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def trace(self) -> tuple[str, list[re.Match[str]]]:
        """Trace id, and the spans in the tree below it."""
        found = re.search(r"^  trace (?P<trace_id>[0-9a-f]{32})\n.*\n(?P<tree>(?:  .*\n)*)", self.out, re.MULTILINE)
        assert found, self.out
        spans = [SPAN.fullmatch(line) for line in found["tree"].splitlines()]
        return found["trace_id"], [span for span in spans if span]

    @property
    def statsd_lines(self) -> list[str]:
        _, _, after = self.out.partition("statsd lines, as they arrive\n")
        return re.findall(r"^  (\S+\|\S+)$", after.partition("\n\n")[0], re.MULTILINE)


def run_demo(**env: str) -> Ended:
    ended = subprocess.run(
        DEMO, env=environment(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@pytest.fixture(scope="module")
def demo() -> Ended:
    """A demo of five seconds."""
    return run_demo(DEMO_SECONDS="5")


# ---- what it shows ------


def test_it_ends_by_itself_with_code_0_when_all_three_arrived(demo: Ended) -> None:
    assert (demo.code, demo.err) == (0, ""), demo
    assert re.search(r"^All three arrived: [1-9][0-9]* statsd lines, ", demo.out, re.MULTILINE)


def test_the_log_line_and_the_span_have_the_same_trace_id(demo: Ended) -> None:
    trace_id, (root, *_) = demo.trace
    assert root["name"] == "GET /entries.json"
    assert "http.route=/entries.json" in root["facts"]
    assert demo.log_line["trace_id"] == trace_id
    assert demo.log_line["span_id"] == root["span_id"]
    assert f"Log line and span have the same trace id, {trace_id}." in demo.out


def test_timer_and_rendering_are_below_the_request_in_the_callers_trace(demo: Ended) -> None:
    trace_id, spans = demo.trace
    caller = re.search(r"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01$", demo.out, re.MULTILINE)
    assert caller
    assert caller[1] == trace_id
    assert f"the caller's span {caller[2]}\n" in demo.out
    assert [(len(span["lead"]), re.sub(r" /.*sqlite3", "", span["name"])) for span in spans] == [
        (5, "GET /entries.json"),
        (8, "guest_book.read"),
        (11, "SELECT"),
        (11, "SELECT"),
        (8, "render json"),
    ]


def test_statsd_lines_are_shown_as_they_are_on_the_wire(demo: Ended) -> None:
    lines = [line for text in demo.statsd_lines for line in decode(text.encode())]
    assert all(isinstance(line, Line) for line in lines)
    assert {(line.name, line.type) for line in lines if isinstance(line, Line)} >= {
        ("route.GET.guest_book.200", "ms"),
        ("route.POST.guest_book.303", "ms"),
        ("route.GET.entries.200", "ms"),
        ("render.GET.entries.200", "ms"),
        ("guest_book.read", "ms"),
        ("guest_book.entries", "g"),
        ("guest_book.signed", "c"),
    }


def test_a_request_id_comes_back_and_a_failure_shows_its_exception(demo: Ended) -> None:
    sent = re.search(r"^One was sent with +X-Request-ID: (demo-\S+)$", demo.out, re.MULTILINE)
    assert sent
    assert re.search(rf"^Its answer brought +X-Request-ID: {sent[1]}$", demo.out, re.MULTILINE)
    (failed,) = re.findall(r"^  GET /fortune/\{number\} .*$", demo.out, re.MULTILINE)
    assert failed.endswith("  http.route=/fortune/{number}  status 500  exception EmptyCookieError  ERROR")


def test_the_output_of_a_pipe_has_no_colours(demo: Ended) -> None:
    assert "\x1b" not in demo.out


def test_the_environment_counts_but_cannot_send_anything_elsewhere() -> None:
    nowhere = "http://127.0.0.1:9"
    ended = run_demo(
        DEMO_SECONDS="4",
        STATSD_USE_TAGS="1",
        STATSD_PREFIX="shop",
        STATSD_ADDRESS="127.0.0.1:9",
        OTEL_EXPORTER_OTLP_ENDPOINT=nowhere,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=nowhere,
        OTEL_TRACES_EXPORTER="none",
        HTTP_PROXY=nowhere,
        http_proxy=nowhere,
        GUNICORN_CMD_ARGS="--bind 127.0.0.1:9",
    )
    assert (ended.code, ended.err) == (0, "")
    line = r"^  shop\.route:[0-9]+\|ms\|#group:2,method:GET,route:guest_book,status:200$"
    assert re.search(line, ended.out, re.MULTILINE)


# ---- what its exit code says ------


def missing(ended: Ended) -> list[str]:
    return re.findall(r"^Did not arrive: (statsd lines|a JSON log line|a span)", ended.err, re.MULTILINE)


def test_without_spans_the_exit_code_is_1_and_says_where_to_look() -> None:
    ended = run_demo(DEMO_SECONDS="3", OTEL_SDK_DISABLED="true")
    assert ended.code == 1
    assert missing(ended) == ["a span"]
    assert "  OTEL_SDK_DISABLED=true\n" in ended.err


def test_without_trace_ids_in_the_log_the_exit_code_is_1() -> None:
    ended = run_demo(DEMO_SECONDS="3", OTEL_SDK_DISABLED="true", OTEL_PROPAGATORS="none")
    assert ended.code == 1
    assert missing(ended) == ["a JSON log line", "a span"]


def test_without_statsd_lines_the_exit_code_is_1() -> None:
    ended = run_demo(DEMO_SECONDS="3", STATSD_FLUSH_INTERVAL="600")
    assert ended.code == 1
    assert missing(ended) == ["statsd lines"]
    assert "  STATSD_FLUSH_INTERVAL=600\n" in ended.err


@pytest.mark.parametrize("held", ["soon", "0", "-1", "nan", "5 s"])
def test_demo_seconds_that_are_no_number_of_seconds_are_an_error_of_use(held: str) -> None:
    ended = run_demo(DEMO_SECONDS=held)
    assert (ended.code, ended.out) == (2, "")
    assert "DEMO_SECONDS" in ended.err
    assert f"{held!r}: expected a positive number of seconds such as 0.5" in ended.err


def test_a_bad_variable_is_named_before_anything_starts() -> None:
    ended = run_demo(DEMO_SECONDS="3", STATSD_FLUSH_INTERVAL="often")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("Error: STATSD_FLUSH_INTERVAL='often': expected ")


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    code = (
        "import sys\n"
        "sys.modules['gunicorn'] = sys.modules['opentelemetry.exporter.otlp.proto'] = None\n"
        "from c2cotel.cli import main\n"
        "main(['demo'])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: the demo needs gunicorn and opentelemetry-exporter-otlp-proto-http, not installed here: "
        "pip install 'c2cotel[all]'\n"
    )


# ---- what it leaves behind ------


class Running:
    """A demo without an end, until a signal."""

    def __init__(self, output: Path) -> None:
        self._output = output
        with output.open("wb") as out, output.with_suffix(".err").open("wb") as err:
            self.process = subprocess.Popen(DEMO, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def wait_for(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(pattern, self._output.read_text(), re.MULTILINE):
                return found
            time.sleep(0.05)
        raise AssertionError(f"no {pattern!r} in {self._output.read_text()}")

    def wait_for_children(self, number: int) -> list[psutil.Process]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            children = psutil.Process(self.process.pid).children(recursive=True)
            if len(children) >= number:
                return children
            time.sleep(0.05)
        raise AssertionError(f"fewer than {number} children")

    def end(self) -> Ended:
        """Wait for the end; it must come within a few seconds."""
        code = self.process.wait(8)
        return Ended(code, self._output.read_text(), self._output.with_suffix(".err").read_text())


@contextmanager
def running_demo(folder: Path) -> Iterator[Running]:
    running = Running(folder / "demo.out")
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_until_a_signal_and_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    with running_demo(tmp_path) as running:
        stats = running.wait_for(r"^(http://127\.0\.0\.1:[0-9]+/c2c/stats\.json) ")[1]
        running.wait_for(r"^ *[0-9]+ s: [0-9]+ requests \([0-9]+ failed\), [0-9]+ statsd lines, ")
        with build_opener(ProxyHandler({})).open(stats, timeout=5) as answer:
            assert set(json.load(answer)) >= {"timers", "gauges", "counters"}
        children = running.wait_for_children(3)
        running.process.send_signal(number)
        ended = running.end()
    assert (ended.code, ended.err) == (0, "")
    assert "Traceback" not in ended.out
    assert not any(child.is_running() for child in children)


def test_an_interrupt_while_it_starts_ends_it_too(tmp_path: Path) -> None:
    with running_demo(tmp_path) as running:
        running.wait_for("^gunicorn runs it ")
        children = running.wait_for_children(1)
        running.process.send_signal(signal.SIGINT)
        ended = running.end()
    assert (ended.code, ended.err) == (0, "")
    assert not any(child.is_running() for child in children)


def test_an_application_that_dies_ends_it_with_code_1(tmp_path: Path) -> None:
    with running_demo(tmp_path) as running:
        running.wait_for("^statsd lines, as they arrive$")
        children = running.wait_for_children(3)
        children[0].terminate()
        ended = running.end()
    assert ended.code == 1
    assert ended.err.startswith("Error: the application has ended. The last of its output:\n")
    assert "Shutting down: Master" in ended.err
    assert not any(child.is_running() for child in children)
