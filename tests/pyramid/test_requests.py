"""Outgoing HTTP through `requests` (contract, sections 2, 3 and 4), against a real server on loopback."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
import requests
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pyramid.request import Request
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

import c2cotel
from c2cotel.testing import ScriptedClock
from tests.apps.application import Application, view
from tests.servers.local import free_tcp_port
from tests.servers.otlp import OtlpReceiver, plain
from tests.servers.udp import UdpListener


class Upstream:
    """A server that keeps the headers it gets; /redirect, /flaky and /status/N behave as named."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.flaky = 0
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream.seen.append({"path": self.path, **dict(self.headers.items())})
                status, location = upstream.answer(self.path)
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class names it so
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path: str) -> tuple[int, str]:
        if path.startswith("/redirect"):
            return 302, "/end"
        if path == "/flaky":
            self.flaky += 1
            return (503 if self.flaky < 3 else 200), ""
        if path.startswith("/status/"):
            return int(path.rpartition("/")[2]), ""
        return 200, ""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def statsd(udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch) -> UdpListener:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    monkeypatch.setenv("C2C_REQUESTS_DEFAULT_TIMEOUT", "20")
    return udp_listener


def counts(telemetry: Any, statsd: UdpListener) -> dict[str, int]:
    telemetry.close()
    statsd.settle(0.1)
    return dict(statsd.counts())


def test_each_hop_has_a_timer(statsd: UdpListener, upstream: Upstream) -> None:
    telemetry = c2cotel.setup()
    requests.get(f"{upstream.url}/redirect")
    requests.post(f"{upstream.url}/status/404", data=b"x")
    name = f"requests.http.127_0_0_1.{upstream.port}"
    assert counts(telemetry, statsd) == {f"{name}.GET.302": 1, f"{name}.GET.200": 1, f"{name}.POST.404": 1}


def test_with_tags(statsd: UdpListener, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_USE_TAGS", "1")
    telemetry = c2cotel.setup(clock=ScriptedClock())
    requests.get(upstream.url)
    telemetry.close()
    statsd.settle(0.1)
    tags = f"host:127_0_0_1,method:GET,port:{upstream.port},scheme:http,status:200"
    assert statsd.lines() == [f"requests:1|ms|#{tags}"]


def test_a_call_that_raised_has_status_999(statsd: UdpListener) -> None:
    telemetry = c2cotel.setup()
    port = free_tcp_port()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/")
    assert counts(telemetry, statsd) == {f"requests.http.127_0_0_1.{port}.GET.999": 1}


class Answering(HTTPAdapter):
    """An adapter of the application that needs no network: its hosts do not exist."""

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        raise requests.ReadTimeout("too slow")


@pytest.mark.parametrize(("names", "port"), [("0", "443"), ("1", "None")])
def test_the_port_of_a_url_that_names_none(
    statsd: UdpListener, monkeypatch: pytest.MonkeyPatch, names: str, port: str
) -> None:
    monkeypatch.setenv("STATSD_2018_NAMES", names)
    telemetry = c2cotel.setup()
    session = requests.Session()
    session.mount("https://", Answering())
    with pytest.raises(requests.ReadTimeout):
        session.get("https://x.y/")
    assert counts(telemetry, statsd) == {f"requests.https.x_y.{port}.GET.999": 1}


def test_retries_of_one_adapter_are_one_measurement(statsd: UdpListener, upstream: Upstream) -> None:
    telemetry = c2cotel.setup()
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(5, status_forcelist=[503], backoff_factor=0)))
    assert session.get(f"{upstream.url}/flaky").status_code == 200
    assert counts(telemetry, statsd) == {f"requests.http.127_0_0_1.{upstream.port}.GET.200": 1}


def test_a_streamed_body_is_not_waited_for(statsd: UdpListener, upstream: Upstream) -> None:
    telemetry = c2cotel.setup()
    with requests.get(upstream.url, stream=True) as response:
        assert b"".join(response.iter_content(1)) == b"ok"
    assert sum(counts(telemetry, statsd).values()) == 1


def test_the_request_id_goes_out_while_a_request_is_current(statsd: UdpListener, upstream: Upstream) -> None:
    def hello(request: Request) -> dict[str, str]:
        requests.get(upstream.url)
        requests.get(upstream.url, headers={"x-request-id": "the caller's own"})
        return {}

    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello", headers={"X-Request-ID": "42"})
    requests.get(upstream.url)
    found = [{name.lower(): text for name, text in seen.items()}.get("x-request-id") for seen in upstream.seen]
    assert found == ["42", "the caller's own", None]


def test_the_extra_header_is_the_one_that_goes_out(
    statsd: UdpListener, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2C_REQUEST_ID_HEADER", "X-Mine")

    def hello(request: Request) -> dict[str, str]:
        requests.get(upstream.url)
        return {}

    Application(configure=view(hello, renderer="json")).http.get("/hello", headers={"X-Mine": "42"})
    assert upstream.seen[0]["X-Mine"] == "42"
    assert "X-Request-ID" not in upstream.seen[0]


@pytest.mark.parametrize("traces", [True, False])
def test_the_trace_goes_on(
    otlp: OtlpReceiver, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, traces: bool
) -> None:
    monkeypatch.setenv("C2C_REQUESTS_DEFAULT_TIMEOUT", "20")
    if traces:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)

    def hello(request: Request) -> dict[str, str]:
        requests.get(f"{upstream.url}/x?secret=s3cr3t")
        return {}

    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    app.finish()
    sent = upstream.seen[0]["traceparent"]
    assert sent.split("-")[1] == "ab" * 16
    if traces:
        spans = {cast("Span", received.item).name: received.item for received in otlp.spans}
        assert sent.split("-")[2] == spans["GET"].span_id.hex()
        assert spans["GET"].parent_span_id == spans["GET /hello"].span_id
        found = plain(spans["GET"].attributes)
        assert found["url.full"] == f"{upstream.url}/x?secret=REDACTED"
        assert "s3cr3t" not in str(spans)
    else:
        assert sent.split("-")[2] == "cd" * 8


def test_a_failed_calls_span_holds_no_secret(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("C2C_REQUESTS_DEFAULT_TIMEOUT", "20")
    telemetry = c2cotel.setup()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://u:pa55w0rd@127.0.0.1:{free_tcp_port()}/?secret=s3cr3t")
    telemetry.close()
    (received,) = otlp.spans
    assert received.item.events[0].name == "exception"
    assert "s3cr3t" not in str(received.item)
    assert "pa55w0rd" not in str(received.item)


def test_metrics_have_their_standard_name_and_contribs_own_stay_off(
    otlp: OtlpReceiver, statsd: UdpListener, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    requests.get(upstream.url)
    assert list(counts(telemetry, statsd)) == [f"requests.http.127_0_0_1.{upstream.port}.GET.200"]
    assert otlp.metric_names() == {"http.client.request.duration"}
    (point,) = otlp.metrics[0].item.histogram.data_points
    assert plain(point.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "url.scheme": "http",
    }


def test_a_call_without_timeout_gets_the_default_one(statsd: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_REQUESTS_DEFAULT_TIMEOUT", "1.5")
    seen = []

    def remember(self: Any, request: Any, stream: Any, timeout: Any, *_: Any, **__: Any) -> Any:
        seen.append(timeout)
        raise requests.Timeout

    with monkeypatch.context() as patched:
        patched.setattr(HTTPAdapter, "send", remember)
        telemetry = c2cotel.setup()
        for timeout in (None, 7):
            with pytest.raises(requests.Timeout):
                requests.get("http://127.0.0.1/", timeout=timeout)
        telemetry.close()
    assert seen == [1.5, 7]


def test_a_call_without_timeout_is_one_warning_a_call_site(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    c2cotel.setup()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            requests.get(f"{upstream.url}/?secret=s3cr3t&a=1")
        requests.get(upstream.url)
        requests.get(upstream.url, timeout=5)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith(f"GET {upstream.url}/?secret=REDACTED&a=1 has no timeout ({__file__}, line ")
    assert "s3cr3t" not in caplog.text


def test_close_takes_everything_out_and_twice_is_as_good_as_once(statsd: UdpListener, upstream: Upstream) -> None:
    original, session_send = HTTPAdapter.send, requests.Session.send
    telemetry = c2cotel.setup()
    c2cotel.setup()
    requests.get(upstream.url)
    assert sum(counts(telemetry, statsd).values()) == 1
    assert HTTPAdapter.send is original
    assert requests.Session.send is session_send


def test_somebody_who_wrapped_ours_goes_on_working_after_close(
    statsd: UdpListener, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = c2cotel.setup()
    ours = HTTPAdapter.send
    monkeypatch.setattr(HTTPAdapter, "send", _around(ours))
    telemetry.close()
    assert requests.get(upstream.url).text == "ok"
    statsd.settle(0.1)
    assert statsd.lines() == []
    monkeypatch.undo()
    HTTPAdapter.send = ours.__closure__ and _original(ours)  # type: ignore[method-assign, assignment]


def _around(send: Any) -> Any:
    def around(*args: Any, **kwargs: Any) -> Any:
        return send(*args, **kwargs)

    return around


def _original(ours: Any) -> Any:
    cells = dict(zip(ours.__code__.co_freevars, ours.__closure__, strict=True))
    return cells["original"].cell_contents


def test_outside_of_any_span_a_call_is_a_trace_of_its_own(
    otlp: OtlpReceiver, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    requests.get(upstream.url, timeout=20)
    telemetry.close()
    assert not trace.get_current_span().get_span_context().is_valid
    assert otlp.span_names() == {"GET": 1}
