"""What one timer of an application costs in all: the call, the background drain, its line and the sending of it.

``python -m tests.bench.timers`` prints ready, then for each line ``N`` the CPU ns per operation of each kind.
"""

from __future__ import annotations

import os
import socket

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import c2cotel
from c2cotel import stats
from tests.bench.kinds import serve

_KEY = ["bench", "timer"]
_ATTRIBUTES: dict[str, str | int] = {
    "http.request.method": "GET",
    "http.route": "/hello",
    "http.response.status_code": 200,
}


def main() -> None:
    """Serve commands until the standard input ends."""
    host, port = os.environ["BENCH_STATSD"].rsplit(":", 1)
    os.environ["STATSD_ADDRESS"] = os.environ["BENCH_STATSD"]
    telemetry = c2cotel.setup()
    reader = InMemoryMetricReader()
    histogram = MeterProvider(metric_readers=[reader]).get_meter("bench").create_histogram("duration", unit="s")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, int(port)))
    sock.setblocking(False)

    def timers(n: int) -> None:
        for _ in range(n):
            with stats.timer_context(_KEY):
                pass
        telemetry.flush(10)

    def records(n: int) -> None:
        for _ in range(n):
            histogram.record(0.0123, _ATTRIBUTES)
        reader.get_metrics_data()

    def sends(n: int) -> None:
        for _ in range(n):
            sock.send(b"bench.timer:12|ms")

    serve({"timer": timers, "Histogram.record": records, "UDP send": sends})


if __name__ == "__main__":
    main()
