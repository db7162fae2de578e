"""``make agents``: what c2cotel adds to a request beside other agents, each in a virtual environment of its own.

Every agent does what its maker calls tracing a request, and sends all of it to a receiver here that takes it.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import threading
import zlib
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "agents"
HELLO = Path(__file__).with_name("agent_hello.py")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "11"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "2000"))
_GOAL_KEEP = 0.06
_PYRAMID = ("pyramid==2.1", "setuptools<82")


@dataclass(frozen=True)
class Agent:
    """An agent to compare with.

    Args:
        label: How the table calls it.
        packages: What is installed for it, at pinned versions; none: it runs in the environment of this repository.
        goal: Most that c2cotel's traces and metrics may cost, as a share of it; None: there is no goal.
    """

    label: str
    packages: tuple[str, ...] = ()
    goal: float | None = None


_OTEL = ("opentelemetry-sdk==1.45.1", "opentelemetry-exporter-otlp-proto-http==1.45.1")
AGENTS = {
    "bare": Agent("bare"),
    "c2cotel": Agent("c2cotel, traces + metrics"),
    "c2cotel_keep": Agent("c2cotel, C2C_TRACES_KEEP=error,slow,1%"),
    "c2cotel_statsd": Agent("c2cotel, statsd alone"),
    "otel": Agent(
        "OpenTelemetry 1.45.1, traces + metrics", (*_OTEL, "opentelemetry-instrumentation-pyramid==0.66b1"), 0.10
    ),
    "elastic": Agent("elastic-apm 6.26.2", ("elastic-apm==6.26.2",), 0.30),
    "ddtrace": Agent("ddtrace 4.16.0", ("ddtrace==4.16.0",), 0.20),
    "sentry": Agent("sentry-sdk 2.75.0, all traces", ("sentry-sdk==2.75.0",)),
    "newrelic": Agent("newrelic 14.1.0, developer mode", ("newrelic==14.1.0",)),
    "logfire": Agent("logfire 5.4.0", ("logfire==5.4.0", "opentelemetry-instrumentation-pyramid")),
}


class Receiver(BaseHTTPRequestHandler):
    """Takes what any agent sends, and answers what it expects."""

    protocol_version = "HTTP/1.1"
    received: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        """Read a body, with a length or in chunks."""
        size = 0
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while length := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                size += len(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
        else:
            size = len(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        self.received[self.path.split("?")[0]] += size
        self._answer(202 if "intake" in self.path else 200)

    def do_PUT(self) -> None:
        """The same."""
        self.do_POST()

    def do_GET(self) -> None:
        """Answer questions for settings with none."""
        self._answer(200)

    def _answer(self, status: int) -> None:
        is_otlp = self.path.startswith("/v1/")
        body = b"" if is_otlp else b"{}"
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf" if is_otlp else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""


class Worker:
    """A process with one agent, which runs requests on command.

    Args:
        name: Of the agent.
        python: The interpreter of its environment.
        port: Of the receiver.
    """

    def __init__(self, name: str, python: Path, port: int) -> None:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "C2C_", "DD_"))}
        self._process = subprocess.Popen(
            [str(python), "-I", "-W", "ignore", str(HELLO), name, str(port)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            assert self._process.stderr is not None
            self._process.kill()
            lines = self._process.stderr.read().strip().splitlines()
            raise RuntimeError(lines[-1] if lines else "it ended without a word")

    def ask(self, requests: int) -> float:
        """CPU microseconds a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(requests, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline()) / requests * 1e6

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


def environment_of(name: str, agent: Agent) -> Path:
    """The interpreter of an agent's environment, which is made if it is not there.

    Raises:
        RuntimeError: It cannot be installed.
    """
    if not agent.packages:
        return Path(sys.executable)
    wanted = (*_PYRAMID, *agent.packages)
    folder = FOLDER / f"{name}-{zlib.crc32(repr((wanted, sys.version)).encode()):08x}"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                lines = (done.stderr or done.stdout).strip().splitlines()
                raise RuntimeError(f"not installed: {lines[-1] if lines else command[0]}")
        (folder / "installed").touch()
    return python


def main() -> None:
    """Start the receiver and one process an agent; ask them in turn; print the table."""
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    receiver.daemon_threads = True
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    workers: dict[str, Worker] = {}
    for name in ["bare", *[name for name in sys.argv[1:] or AGENTS if name != "bare"]]:
        try:
            workers[name] = Worker(name, environment_of(name, AGENTS[name]), receiver.server_port)
        except RuntimeError as error:
            print(f"{AGENTS[name].label}: left out: {error}")
    rounds: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(ROUNDS):
        for name, worker in workers.items():
            rounds[name].append(worker.ask(REQUESTS))
    for worker in workers.values():
        worker.end()
    print(
        f"\nPython {platform.python_version()}, {os.cpu_count()} cores, "
        f"medians of {ROUNDS} rounds of {REQUESTS} requests"
    )
    print(f"Added CPU µs a request on a Pyramid hello ({statistics.median(rounds['bare']):.1f} µs), sending included\n")
    added = {
        name: statistics.median(a - b for a, b in zip(values, rounds["bare"], strict=True))
        for name, values in rounds.items()
        if name != "bare"
    }
    ours = added.get("c2cotel")
    for name, microseconds in sorted(added.items(), key=lambda pair: pair[1]):
        ratio = f"{ours / microseconds:12.2f}" if ours else ""
        goal = AGENTS[name].goal
        missed = ", MISSED" if goal is not None and ours and ours / microseconds > goal else ""
        aim = "" if goal is None else f"  (goal: at most {goal:.2f}{missed})"
        print(f"{AGENTS[name].label:42}{microseconds:8.1f}{ratio}{aim}")
    if "otel" in added and "c2cotel_keep" in added:
        share = added["c2cotel_keep"] / added["otel"]
        missed = ", MISSED" if share > _GOAL_KEEP else ""
        print(f"\nwith error,slow,1% / OpenTelemetry: {share:.2f} (goal: at most {_GOAL_KEEP:.2f}{missed})")
    print("\nKiB received: " + ", ".join(f"{path} {size // 1024}" for path, size in sorted(Receiver.received.items())))


if __name__ == "__main__":
    main()
