"""``make bench``: what measuring costs, beside what others cost, in one run, interleaved; medians of the rounds."""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.bench.db import prepare
from tests.bench.hello import RECORDER_VARIANTS, VARIANTS
from tests.servers.databases import Valkey, postgres_pair

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "2000"))
MEMORY_REQUESTS = int(os.environ.get("BENCH_MEMORY_REQUESTS", "1000000"))


class _Collector(BaseHTTPRequestHandler):
    """Takes OTLP over HTTP and answers at once."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""


class Worker:
    """A bench process that runs on command."""

    def __init__(self, module: str, *arguments: str, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore::UserWarning", "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("ready")

    def ask(self, n: int) -> str:
        """Run n operations; returns the line it answers."""
        assert self._process.stdin is not None
        print(n, file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _answer(self, expected: str | None = None) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or (expected and line != expected):
            raise RuntimeError(f"bench worker said {line!r} and ended with {self._process.poll()}")
        return line


def hello(env: dict[str, str]) -> None:
    """Added CPU microseconds a request on a bare Pyramid hello."""
    added = _added("tests.bench.hello", "a bare Pyramid hello", list(VARIANTS), env, REQUESTS)
    statsd = added["c2cotel statsd"]
    _ratio("c2cotel statsd / one UDP send", statsd / added["one UDP send"], 0.75)
    _ratio("c2cotel statsd / OpenTelemetry metrics", statsd / added["OpenTelemetry metrics"], 0.1)
    _ratio("c2cotel with traces / OpenTelemetry with traces", _traces(added), 0.2)


def recorder(env: dict[str, str]) -> None:
    """What the flight recorder adds to a request."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**env, "BENCH_FOLDER": folder}
        added = _added("tests.bench.hello", "a bare Pyramid hello", list(RECORDER_VARIANTS), env, REQUESTS)
    alone = added["c2cotel recorder alone"]
    with_traces = added["c2cotel traces + metrics + recorder"] - added["c2cotel traces + metrics"]
    _ratio("µs of the recorder alone", alone, 22)
    _ratio("µs of the recorder beside OTLP", with_traces, 3)
    _ratio("µs of a kept request", added["c2cotel recorder, each request kept"] - alone, 150)


def db(env: dict[str, str]) -> None:
    """The same with one ORM SELECT on PostgreSQL and one Redis GET."""
    names = [name for name in VARIANTS if name != "one UDP send"]
    with (
        postgres_pair() as postgres,
        tempfile.TemporaryDirectory() as scratch,
        closing(Valkey(Path(scratch))) as valkey,
    ):
        url = postgres.master.dsn("postgresql+psycopg2")
        prepare(url)
        env = {**env, "BENCH_POSTGRES": url, "BENCH_REDIS": valkey.url}
        added = _added("tests.bench.db", "a view with one ORM SELECT and one Redis GET", names, env, REQUESTS // 4)
    _ratio("c2cotel statsd / OpenTelemetry metrics", added["c2cotel statsd"] / added["OpenTelemetry metrics"], 0.2)
    _ratio("c2cotel with traces / OpenTelemetry with traces", _traces(added), 0.4)


def _added(module: str, what: str, names: list[str], env: dict[str, str], requests: int) -> dict[str, float]:
    """CPU microseconds that each variant adds to the bare one, medians of interleaved rounds."""
    workers = {name: Worker(module, name, env=env) for name in names}
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, worker in workers.items():
            found[name].append(float(worker.ask(requests).split()[0]) / requests * 1e6)
    for worker in workers.values():
        worker.end()
    bare = statistics.median(found["bare"])
    added = {
        name: statistics.median(a - b for a, b in zip(values, found["bare"], strict=True))
        for name, values in found.items()
        if name != "bare"
    }
    print(f"\nAdded CPU µs a request on {what} ({bare:.1f} µs), background work and sending included")
    for name, microseconds in added.items():
        print(f"{name:34}{microseconds:8.1f}")
    return added


def _traces(added: dict[str, float]) -> float:
    return added["c2cotel traces + metrics"] / added["OpenTelemetry traces + metrics"]


def _nanoseconds(module: str, n: int, env: dict[str, str]) -> dict[str, float]:
    """CPU nanoseconds an operation of each kind that `tests.bench.kinds` serves in a module."""
    worker = Worker(module, env=env)
    rounds = [json.loads(worker.ask(n)) for _ in range(ROUNDS)]
    worker.end()
    return {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}


def timers(env: dict[str, str]) -> None:
    """Nanoseconds of one timer, all in."""
    median = _nanoseconds("tests.bench.timers", REQUESTS * 5, env)
    print("\nCPU ns an operation")
    for name, label in (
        ("timer", "stats.timer_context, drained and sent"),
        ("Histogram.record", "Histogram.record, three attributes"),
        ("UDP send", "one UDP send"),
    ):
        print(f"{label:40}{median[name]:8.0f}")
    _ratio("timer / Histogram.record", median["timer"] / median["Histogram.record"], 1 / 3)


def lines(env: dict[str, str]) -> None:
    """Nanoseconds of one measurement on its way to the wire, beside other clients that send the same lines."""
    median = _nanoseconds("tests.bench.lines", REQUESTS * 5, env)
    print("\nCPU ns a measurement, sending included")
    for name, label in {
        "tagged": "the exporter, three tags",
        "packed": "the exporter, three tags, values packed",
        "recorded": "Histogram.record of the SDK and the exporter",
        "datadogpy": "datadogpy, buffered, three tags",
        "plain": "the exporter, no tags",
        "pipeline": "statsd, pipeline, no tags",
    }.items():
        print(f"{label:46}{median[name]:8.0f}")
    _ratio("exporter / datadogpy", median["tagged"] / median["datadogpy"], 1.0)
    _ratio("exporter / statsd pipeline", median["plain"] / median["pipeline"], 1.0)


def spans(env: dict[str, str]) -> None:
    """Nanoseconds of one span, and what a million leave behind."""
    median = _nanoseconds("tests.bench.spans", REQUESTS * 5, env)
    print("\nCPU ns a span; on its thread as current span, every other one with six attributes")
    for name, nanoseconds in median.items():
        print(f"{name:40}{nanoseconds:8.0f}")
    _ratio("c2cotel / SDK", median["c2cotel"] / median["SDK"], 0.25)
    worker = Worker("tests.bench.spans", "memory", env=env)
    early, *_, late = (float(worker.ask(MEMORY_REQUESTS // 10)) for _ in range(10))
    worker.end()
    print(f"Resident memory after {MEMORY_REQUESTS:,} spans {late - early:+.2f} MiB since the first tenth")


def logs(env: dict[str, str]) -> None:
    """Nanoseconds of one log record, from the call to the end of its line."""
    median = _nanoseconds("tests.bench.logs", REQUESTS, env)
    print("\nCPU ns a log record, the call included      outside  inside a request")
    labels = {
        "plain": "a plain formatter with %(asctime)s",
        "c2cotel": "c2cotel's JsonFormatter",
        "c2cotel CEE": "c2cotel's CEE handler, sending included",
        "python-json-logger": "python-json-logger",
    }
    for name, label in labels.items():
        print(f"{label:40}{median[f'outside {name}']:8.0f}{median[f'inside {name}']:10.0f}")
    _ratio("JsonFormatter / plain, inside a request", median["inside c2cotel"] / median["inside plain"], 1.0)


def closer(env: dict[str, str]) -> None:
    """Nanoseconds of a waiting log record, a counted statement, a noted request; their share of a request taken off."""
    median = _nanoseconds("tests.bench.closer", REQUESTS * 5, env)
    cost = {name: nanoseconds - median["nothing"] for name, nanoseconds in median.items()}
    print("\nCPU ns an operation, inside of a request")
    for name, label in (
        ("buffered", "a log record that waits (C2C_LOG_BUFFER)"),
        ("emitted", "a log record that is emitted as JSON"),
        ("counted", "counting a statement (C2C_SQL_REPEATS)"),
        ("noted", "noting a request in progress, to its end"),
        ("looked for", "looking for a debug token that is not there"),
    ):
        print(f"{label:46}{cost[name]:8.0f}")
    _ratio("buffered / emitted", cost["buffered"] / cost["emitted"], 1.0)
    _ratio("µs of counting a statement", cost["counted"] / 1000, 0.3)
    _ratio("µs of noting a request", cost["noted"] / 1000, 1.0)
    _ratio("µs of looking for a debug token", cost["looked for"] / 1000, 0.1)


def scrape(_: dict[str, str]) -> None:
    """Milliseconds of a scrape by Prometheus."""
    from tests.bench.scrape import SERIES, WORKERS, median_milliseconds  # pytest comes with it

    milliseconds, lines = median_milliseconds()
    print(f"\nA scrape of {WORKERS} processes with {SERIES} series, {lines} lines: {milliseconds:.1f} ms")
    _ratio("ms of a scrape", milliseconds, 100)


def memory(env: dict[str, str]) -> None:
    """What a million requests leave behind."""
    worker = Worker("tests.bench.hello", "c2cotel statsd", env=env)
    tenth = MEMORY_REQUESTS // 10
    early, *_, late = (float(worker.ask(tenth).split()[1]) for _ in range(10))
    worker.end()
    print(f"\nResident memory after {tenth:,} requests {early:.1f} MiB, ", end="")
    print(f"after {MEMORY_REQUESTS:,} ", end="")
    print(f"{late:.1f} MiB: {late - early:+.2f} MiB (goal: at most +2)")


def _ratio(what: str, ratio: float, goal: float) -> None:
    print(f"  {what}: {ratio:.2f} (goal: at most {goal:.2f}{'' if ratio <= goal else ', MISSED'})")


def _drain(sock: socket.socket) -> None:
    while True:
        sock.recv(65536)


def main() -> None:
    """Start the two receivers, then run every part."""
    collector = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    collector.daemon_threads = True
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    statsd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    statsd.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    statsd.bind(("127.0.0.1", 0))
    threading.Thread(target=_drain, args=(statsd,), daemon=True).start()
    env = {
        "BENCH_STATSD": f"127.0.0.1:{statsd.getsockname()[1]}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
    }
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {ROUNDS} rounds of {REQUESTS} requests, medians"
    )
    parts = {
        "hello": hello,
        "recorder": recorder,
        "db": db,
        "timers": timers,
        "spans": spans,
        "lines": lines,
        "logs": logs,
        "closer": closer,
        "scrape": scrape,
        "memory": memory,
    }
    for name in sys.argv[1:] or parts:
        parts[name](env)


if __name__ == "__main__":
    main()
