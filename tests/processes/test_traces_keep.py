"""Planted failures and slow requests over two services: which traces leave (contract, section 14)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psutil
import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.trace import SpanKind

from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver

REQUESTS = int(os.environ.get("KEEP_REQUESTS", "3000"))
CLIENTS = 8
SHARE = 0.05
PLANTED = {100: "fail", 300: "slow", 500: "front", 700: "fail hidden"}
"""What a request with this remainder of its number by 1,000 does."""


def _what(n: int) -> str:
    return PLANTED.get(n % 1000, "")


class Traces:
    """Spans of both services by the number of their request.

    Args:
        collector: Has received them.
    """

    def __init__(self, collector: OtlpReceiver) -> None:
        self.number: dict[bytes, int] = {}
        self.spans: dict[tuple[str, bytes], list[Span]] = defaultdict(list)
        for received in collector.spans:
            span = cast("Span", received.item)
            self.spans[str(received.resource["service.name"]), span.trace_id].append(span)
            for pair in span.attributes:
                if pair.key == "n":
                    self.number[span.trace_id] = int(pair.value.string_value)

    def numbers(self, service: str) -> set[int]:
        """Numbers of the requests of which a service has exported its part."""
        return {self.number[trace_id] for name, trace_id in self.spans if name == service and trace_id in self.number}

    def fragments(self) -> list[Any]:
        """Parts without their local root, or with a span whose parent in the same service is missing."""
        wrong = []
        for key, spans in self.spans.items():
            ids = {span.span_id for span in spans}
            roots = [span for span in spans if span.parent_span_id not in ids]
            if len(roots) != 1 or roots[0].kind != SpanKind.SERVER.value + 1 or len(ids) != len(spans):
                wrong.append((key, [span.name for span in spans]))
        return wrong


@pytest.mark.parametrize("recorder", ["0", "1"], ids=["alone", "with the flight recorder"])
def test_two_services_lose_no_failure_and_agree_on_the_rest(
    gunicorn: Callable[..., Gunicorn], otlp: OtlpReceiver, recorder: str
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{otlp.url}/v1/traces",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
        "C2C_TRACES_KEEP": f"error,slow,{SHARE:%}",
        "C2C_SLOW": "200ms",
        "C2C_FLIGHT_RECORDER": recorder,
    }
    application = "tests.apps.kept_traces:application()"
    back = gunicorn(application, env={**env, "OTEL_SERVICE_NAME": "back"}, threads=8)
    back.wait_ready()
    front = gunicorn(application, env={**env, "OTEL_SERVICE_NAME": "front", "KEPT_BEHIND": back.url}, threads=8)
    front.wait_ready()
    slow: set[int] = set()

    def ask(numbers: range) -> None:
        with requests.Session() as session:
            for n in numbers:
                answer = session.get(f"{front.url}/work", params={"n": str(n), "what": _what(n)}, timeout=30)
                if answer.elapsed.total_seconds() > 0.15:  # a loaded machine makes some slow that are not on purpose
                    slow.add(n)

    with ThreadPoolExecutor(CLIENTS) as clients:
        memory: list[float] = []
        for start in range(0, REQUESTS, REQUESTS // 3):
            list(clients.map(ask, [range(start + k, start + REQUESTS // 3, CLIENTS) for k in range(CLIENTS)]))
            memory.append(max(psutil.Process(pid).memory_info().rss for pid in back.children()))
    front.terminate()
    back.terminate()
    wait_until(lambda: otlp.spans, "the spans")
    traces = Traces(otlp)
    assert traces.fragments() == []
    planted = {word: {n for n in range(REQUESTS) if _what(n) == word} for word in PLANTED.values()}
    expected = {
        "front": planted["fail"] | planted["slow"] | planted["front"],
        "back": planted["fail"] | planted["slow"] | planted["fail hidden"],
    }
    rest = {}
    for service, numbers in expected.items():
        assert numbers <= traces.numbers(service), f"{service} lost some"
        rest[service] = traces.numbers(service) - set().union(*planted.values()) - slow
    assert rest["front"] == rest["back"], "both choose the same"
    assert len(rest["front"]) == pytest.approx(SHARE * REQUESTS, abs=4.5 * (SHARE * REQUESTS) ** 0.5)
    assert memory[-1] - memory[0] < 12 * 2**20
