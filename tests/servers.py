"""Real servers and processes for the tests, all on loopback, and what a client needs to talk to them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"

_SO_RCVBUFFORCE = 33  # socket(7); root may go beyond the system's limit with it
_COLLECTD = Path("/usr/sbin/collectd")
_STATSD = ROOT / ".cache/npm/node_modules/statsd"
# A process that a killed pytest leaves behind ends by itself.
_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def is_setting(name: str) -> bool:
    """Whether an environment variable would change what the code under test does."""
    return name.startswith(("STATSD_", "OTEL_", "C2C_", "STATS_VIEW", "DEVELOPMENT"))


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process under test: this one's without its settings, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**kept, "no_proxy": f"{HOST},localhost", **(more or {})}


def wait_until(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    """Ask `condition` until it holds; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {timeout:g} s: {what}")
        time.sleep(0.01)


def free_udp_port() -> int:
    """A UDP port at which nothing listens, for now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def free_tcp_port() -> int:
    """A TCP port at which nothing listens, for now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class UdpListener:
    """Collects datagrams in a thread.

    Args:
        port: 0 for any free one.

    Attributes:
        address: for `STATSD_ADDRESS`.
        datagrams: what has arrived.
    """

    def __init__(self, port: int = 0) -> None:
        self.datagrams: list[bytes] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, option, 1 << 24)
                break
            except PermissionError:
                continue
        self._socket.bind((HOST, port))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._listen, name="UDP listener", daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        """Every line so far, in the order of arrival."""
        return [line for datagram in list(self.datagrams) for line in datagram.decode().split("\n")]

    def counts(self, prefix: str = "") -> Counter[str]:
        """How many lines came of each name that starts with `prefix`."""
        return Counter(name for line in self.lines() if (name := line.partition(":")[0]).startswith(prefix))

    def wait_for(self, prefix: str, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until `count` lines start with `prefix`."""
        wait_until(lambda: self.counts(prefix).total() >= count, f"{count} lines {prefix}…: {self.counts()}", timeout)

    def settle(self, seconds: float = 0.3) -> None:
        """Wait until nothing has come for a while."""
        before = -1
        while before != len(self.datagrams):
            before = len(self.datagrams)
            time.sleep(seconds)

    def close(self) -> None:
        """Stop listening; a sender is then refused."""
        if self._thread.is_alive():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as farewell:
                farewell.sendto(b"", (HOST, self.port))
            self._thread.join(5)
            self._socket.close()

    def _listen(self) -> None:
        while datagram := self._socket.recv(65_536):
            self.datagrams.append(datagram)


@dataclass(frozen=True)
class Received:
    """A span or a metric with the resource that it came with."""

    resource: dict[str, Any]
    scope: str
    item: Any

    @property
    def instance(self) -> str:
        """The resource's `service.instance.id`."""
        return str(self.resource["service.instance.id"])


def plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in attributes}


class OtlpReceiver:
    """A collector that takes OTLP over HTTP as protobuf.

    Args:
        port: 0 for any free one.

    Attributes:
        url: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        status: what it answers; only what it answers with 200 counts as received.
        delay: seconds until it answers.
        requests: how many came, by path.
    """

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.delay = 0.0
        self.requests: Counter[str] = Counter()
        self.port = port
        self._traces: list[ExportTraceServiceRequest] = []
        self._metrics: list[ExportMetricsServiceRequest] = []
        self._logs: list[ExportLogsServiceRequest] = []
        self._closing = threading.Event()
        self._server: _OtlpServer | None = None
        self.listen()
        self.url = f"http://{HOST}:{self.port}"

    def listen(self) -> None:
        """Take connections, again after `refuse`."""
        server = _OtlpServer((HOST, self.port), _OtlpHandler)
        server.receiver = self
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.02,), name="OTLP receiver", daemon=True).start()
        self._server = server

    def refuse(self) -> None:
        """Break every connection and take none any more."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            server.disconnect()

    def close(self) -> None:
        """End, without waiting for delayed answers."""
        self._closing.set()
        self.refuse()

    @property
    def spans(self) -> list[Received]:
        """Every span received, `item` is a `Span`."""
        return [
            Received(plain(block.resource.attributes), scope.scope.name, span)
            for request in list(self._traces)
            for block in request.resource_spans
            for scope in block.scope_spans
            for span in scope.spans
        ]

    @property
    def metrics(self) -> list[Received]:
        """Every metric received, once for each export; `item` is a `Metric`."""
        return [
            Received(plain(block.resource.attributes), scope.scope.name, metric)
            for request in list(self._metrics)
            for block in request.resource_metrics
            for scope in block.scope_metrics
            for metric in scope.metrics
        ]

    @property
    def logs(self) -> list[Received]:
        """Every log record received; `item` is a `LogRecord`."""
        return [
            Received(plain(block.resource.attributes), scope.scope.name, record)
            for request in list(self._logs)
            for block in request.resource_logs
            for scope in block.scope_logs
            for record in scope.log_records
        ]

    def span_names(self) -> Counter[str]:
        """How many spans came of each name."""
        return Counter(cast("Span", received.item).name for received in self.spans)

    def metric_names(self) -> set[str]:
        """The names of all metrics that came."""
        return {cast("Metric", received.item).name for received in self.metrics}

    def take(self, path: str, body: bytes) -> int:
        """One request; returns the status to answer."""
        self.requests[path] += 1
        if self.delay:
            self._closing.wait(self.delay)
        if self.status == http.client.OK:
            if path == "/v1/traces":
                self._traces.append(ExportTraceServiceRequest.FromString(body))
            elif path == "/v1/logs":
                self._logs.append(ExportLogsServiceRequest.FromString(body))
            elif path == "/v1/metrics":
                self._metrics.append(ExportMetricsServiceRequest.FromString(body))
            else:
                return 404
        return self.status


class _OtlpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    receiver: OtlpReceiver

    def __init__(self, *arguments: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that is gone is what some tests are about
            super().handle_error(request, client_address)

    def disconnect(self) -> None:
        """Break every connection; its thread then ends."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _OtlpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _OtlpServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.receiver.take(self.path, body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""


class Process:
    """A process that writes what it says to a file, and is gone at the end of the test.

    Args:
        command: with its arguments.
        directory: a test's own, for the file.
        env: settings of the process.
        fds: file descriptors that it inherits.
    """

    def __init__(
        self, command: list[str], directory: Path, env: Mapping[str, str] | None = None, fds: tuple[int, ...] = ()
    ) -> None:
        self._output = directory / f"output-{time.monotonic_ns()}.log"
        with self._output.open("ab") as output:
            self._popen = subprocess.Popen(
                [*_WITH_PARENT, *command],
                cwd=ROOT,
                env=environment({"PYTHONUNBUFFERED": "1", **(env or {})}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def output(self) -> str:
        """What it and its children have written so far."""
        return self._output.read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """What it has logged so far as JSON."""
        return [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]

    def ended(self) -> bool:
        """Whether it has ended."""
        return self._popen.poll() is not None

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end; returns its exit code."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Still runs after {timeout:g} s: {self._popen.args!r}\n{self.output()[-2000:]}")

    def terminate(self, timeout: float = 20.0) -> float:
        """Ask it to end and wait for that; returns the seconds it took."""
        start = time.monotonic()
        self._popen.terminate()
        self.wait(timeout)
        return time.monotonic() - start

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def children(self) -> set[int]:
        """The ids of its child processes."""
        return {child.pid for child in psutil.Process(self.pid).children()}

    def close(self) -> None:
        """See that it and its children are gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # its session is its own
        self._popen.wait(10)


class Gunicorn(Process):
    """An application under gunicorn.

    Args:
        application: ``module:factory()``.
        directory: a test's own.
        options: further ones of gunicorn's.
        env: settings of the application.
        workers: how many.
        worker_class: gunicorn's name of it.
        threads: of each worker, for `gthread`.
        preload: whether the application is made before the workers are forked.
        max_requests: after how many requests a worker makes room for a new one; 0: never.
        max_requests_jitter: up to how many more it may take.
    """

    def __init__(
        self,
        application: str,
        directory: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        workers: int = 2,
        worker_class: str = "gthread",
        threads: int = 4,
        preload: bool = False,
        max_requests: int = 0,
        max_requests_jitter: int = 0,
    ) -> None:
        with socket.create_server((HOST, 0), backlog=512) as listening:
            self.url = f"http://{HOST}:{listening.getsockname()[1]}"
            command = [sys.executable, "-m", "gunicorn", "--no-control-socket", "--bind", f"fd://{listening.fileno()}"]
            command += ["--workers", str(workers), "--worker-class", worker_class, "--threads", str(threads)]
            command += ["--max-requests", str(max_requests), "--max-requests-jitter", str(max_requests_jitter)]
            command += ["--preload"] if preload else []
            super().__init__([*command, *options, application], directory, env, (listening.fileno(),))
        self._workers = workers

    def wait_ready(self, path: str = "/ready", timeout: float = 30.0) -> None:
        """Wait until the path is answered and all workers are there."""
        wait_until(
            lambda: self.ended() or (len(self.children()) >= self._workers and get(self.url + path) is not None),
            f"gunicorn answers {path}",
            timeout,
        )
        if self.ended():
            pytest.fail(f"gunicorn ended:\n{self.output()[-3000:]}")


class StatsdServer(Process):
    """npm's statsd, the reference server; its socket has the system's default buffer.

    Attributes:
        address: for `STATSD_ADDRESS`.
        tcp_address: the same, over TCP.
    """

    def __init__(self, directory: Path) -> None:
        if not (_STATSD / "stats.js").is_file() or shutil.which("node") is None:
            pytest.fail("npm's statsd is not here. `make statsd` installs it; it needs node and npm.")
        self._flushes = directory / "flushes.jsonl"
        self._flushes.touch()
        port, self._management = free_udp_port(), free_tcp_port()
        self.address = f"{HOST}:{port}"
        tcp_port = free_tcp_port()
        self.tcp_address = f"tcp://{HOST}:{tcp_port}"
        configuration = directory / "statsd.json"
        configuration.write_text(
            json.dumps(
                {
                    "servers": [
                        {"server": "./servers/udp", "address": HOST, "port": port},
                        {"server": "./servers/tcp", "address": HOST, "port": tcp_port},
                    ],
                    "mgmt_address": HOST,
                    "mgmt_port": self._management,
                    "flushInterval": 3_600_000,
                    "deleteIdleStats": True,
                    "backends": [str(ROOT / "tests/statsd/backend.js")],
                    "flushFile": str(self._flushes),
                }
            )
        )
        script = ROOT / "tests/statsd/start.js"
        super().__init__(["node", str(script), str(configuration)], directory, {"STATSD_DIRECTORY": str(_STATSD)})
        wait_until(lambda: self.ended() or self._answers(), "statsd answers on its management port")
        if self.ended():
            pytest.fail(f"statsd ended:\n{self.output()}")

    def ask(self, command: str) -> str:
        """What the management console answers."""
        with socket.create_connection((HOST, self._management), 5) as connection:
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while not answer.endswith((b"END\n\n", b"ERROR\n")) and (more := connection.recv(65_536)):
                answer += more
            return answer.decode()

    def flush(self) -> dict[str, Any]:
        """Make the server flush once it has read all that was sent, and return what it flushed."""
        read = ""
        while read != (read := self.ask("counters")):
            time.sleep(0.2)
        before = len(self._flushes.read_text().splitlines())
        self.signal(signal.SIGUSR2)
        wait_until(lambda: self._flushes.read_text().count("\n") > before, "statsd flushes")
        flushed: dict[str, Any] = json.loads(self._flushes.read_text().splitlines()[before])
        return flushed

    def _answers(self) -> bool:
        try:
            return "END" in self.ask("counters")
        except OSError:
            return False


class Collectd(Process):
    """Debian's collectd with its statsd plugin, which writes what it knows every second.

    Attributes:
        address: for `STATSD_ADDRESS`.
    """

    def __init__(self, directory: Path) -> None:
        if not _COLLECTD.is_file():
            pytest.fail("collectd is not here. Debian, Ubuntu: apt-get install collectd-core")
        port = free_udp_port()
        self.address = f"{HOST}:{port}"
        self._values = directory / "csv"
        configuration = directory / "collectd.conf"
        configuration.write_text(
            f"""
            Hostname "test"
            BaseDir "{directory}"
            PIDFile "{directory}/collectd.pid"
            Interval 1
            LoadPlugin logfile
            <Plugin logfile>
                File STDOUT
            </Plugin>
            LoadPlugin csv
            <Plugin csv>
                DataDir "{self._values}"
                StoreRates false
            </Plugin>
            LoadPlugin statsd
            <Plugin statsd>
                Host "{HOST}"
                Port "{port}"
                CounterSum true
                TimerCount true
                TimerSum true
                TimerLower true
                TimerUpper true
            </Plugin>
            """
        )
        super().__init__([str(_COLLECTD), "-f", "-C", str(configuration)], directory)
        wait_until(lambda: self.ended() or self._listens(port), "collectd listens")
        if self.ended():
            pytest.fail(f"collectd ended:\n{self.output()}")

    def values(self) -> dict[str, list[float]]:
        """Every value it has written, by the name of its file without the day."""
        found: dict[str, list[float]] = {}
        for file in sorted(self._values.glob("test/statsd/*")):
            rows = file.read_text().splitlines()[1:]
            found.setdefault(file.name[: -len("-2000-01-01")], []).extend(float(row.split(",")[1]) for row in rows)
        return found

    def complaints(self) -> list[str]:
        """Lines of its log that are about what it was sent."""
        return [line for line in self.output().splitlines() if "statsd plugin" in line and "Listening" not in line]

    @staticmethod
    def _listens(port: int) -> bool:
        return any(f":{port:04X} " in line for line in Path("/proc/net/udp").read_text().splitlines())


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def request_id(self) -> str:
        """The id that the server gave back."""
        return str(self.headers["X-Request-ID"])

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def get(url: str, timeout: float = 30.0) -> Answer | None:
    """One request over a connection of its own; None when no whole answer came."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", f"/{path}", headers={"Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@dataclass
class Load:
    """Clients that get a page for each number, each number once.

    Args:
        url: gives the page of a number.
        numbers: one request each.

    Attributes:
        answers: what came back, by number.
        unanswered: numbers whose request failed.
    """

    url: Callable[[int], str]
    numbers: Iterable[int]
    clients: int = 4
    answers: dict[int, Answer] = field(default_factory=dict)
    unanswered: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left: Iterator[int] = iter(list(self.numbers))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, name=f"client {n}") for n in range(self.clients)]

    def start(self) -> Load:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def join(self) -> Load:
        """Wait until every number had its turn, or, once one stayed unanswered, each client has given up."""
        for thread in self._threads:
            thread.join()
        return self

    def _run(self) -> None:
        while True:
            with self._lock:
                number = next(self._left, None)
            if number is None:
                return
            answer = get(self.url(number))
            if answer is None:
                self.unanswered.append(number)
                return
            self.answers[number] = answer
