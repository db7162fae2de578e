"""What one span costs its thread and its way out, ours and the SDK's; what a million of them leave behind.

``python -m tests.bench.spans`` prints ready; each line ``N`` on its standard input gives the CPU ns a span of each.
``python -m tests.bench.spans memory``: each line ``N`` makes N spans of ours and gives the resident memory (MiB).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import orjson
import psutil
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF

from c2cotel.delivery.batches import BatchChannel
from c2cotel.tracing import LateSpanProcessor, Span, TracerProvider
from c2cotel.tracing.channel import SpanQueue, export_spans
from c2cotel.tracing.otlp import SpanEncoder
from tests.bench.kinds import serve

_ATTRIBUTES: dict[str, str | int] = {
    "http.request.method": "GET",
    "http.route": "/hello/{name}",
    "url.path": "/hello/world",
    "url.scheme": "http",
    "server.port": 8080,
    "http.response.status_code": 200,
}


class _Late(LateSpanProcessor):
    def __init__(self) -> None:
        self.taken: list[Span] = []

    def take(self, span: Span) -> None:
        self.taken.append(span)


class _Nowhere(SpanExporter):
    reads_spans = True

    def __init__(self) -> None:
        self._encoder = SpanEncoder()

    def export(self, spans: Any) -> SpanExportResult:
        self._encoder.encode(spans)
        return SpanExportResult.SUCCESS


def _make(provider: Any, n: int) -> None:
    tracer = provider.get_tracer("bench")
    for _ in range(n // 2):
        with tracer.start_as_current_span("outer", attributes=_ATTRIBUTES), tracer.start_as_current_span("inner"):
            pass


def _json(spans: list[ReadableSpan]) -> bytes:
    """As OTLP/HTTP JSON is made by the quickest encoder there is: what it would cost at least."""
    return orjson.dumps(
        [
            {
                "traceId": f"{span.context.trace_id:032x}",
                "spanId": f"{span.context.span_id:016x}",
                "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
                "name": span.name,
                "kind": span.kind.value + 1,
                "startTimeUnixNano": str(span.start_time),
                "endTimeUnixNano": str(span.end_time),
                "attributes": [
                    {"key": key, "value": {"intValue" if isinstance(value, int) else "stringValue": str(value)}}
                    for key, value in (span.attributes or {}).items()
                ],
                "status": {},
                "flags": 256,
            }
            for span in spans
        ]
    )


def _kinds() -> dict[str, Callable[[int], None]]:
    theirs = SdkTracerProvider(shutdown_on_exit=False)
    theirs.add_span_processor(SpanProcessor())
    ours, late = TracerProvider(shutdown_on_exit=False), _Late()
    ours.add_span_processor(late)
    unsampled = {
        "SDK, unsampled": SdkTracerProvider(sampler=DEFAULT_OFF, shutdown_on_exit=False),
        "c2cotel, unsampled": TracerProvider(sampler=DEFAULT_OFF, shutdown_on_exit=False),
    }
    encoder = SpanEncoder()

    def recording(n: int) -> None:
        late.taken.clear()
        _make(ours, n)

    def encoding(encode: Callable[[list[Any]], object], *, readable: bool) -> Callable[[int], None]:
        def work(n: int) -> None:
            spans: list[Any] = [span.readable() for span in late.taken] if readable else late.taken
            for at in range(0, n, 512):
                encode(spans[at : at + 512])

        return work

    kinds: dict[str, Callable[[int], None]] = {"SDK": lambda n: _make(theirs, n), "c2cotel": recording}
    for name, provider in unsampled.items():
        kinds[name] = lambda n, provider=provider: _make(provider, n)  # type: ignore[misc]
    kinds["encoding, direct"] = encoding(encoder.encode, readable=False)
    kinds["encoding, JSON"] = encoding(_json, readable=True)
    kinds["encoding, official"] = encoding(lambda spans: encode_spans(spans).SerializeToString(), readable=True)
    return kinds


def _memory() -> None:
    channel: BatchChannel[ReadableSpan] = BatchChannel(
        "bench",
        _Nowhere,
        export_spans,
        items="spans",
        interval=0.1,
        queue_size=2048,
        batch_size=512,
        limit="-",
    )
    channel.start()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanQueue(channel))
    process = psutil.Process()
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line) // 1000):  # none is dropped
            _make(provider, 1000)
            channel.worker.run(10)
        print(process.memory_info().rss / 2**20, flush=True)


def main() -> None:
    """Serve commands until the standard input ends."""
    serve(_kinds())


if __name__ == "__main__":
    _memory() if sys.argv[1:] else main()
