"""``python -m tests.apps.memory EARLY LATE``: prints what the process holds in memory, in bytes, after EARLY and
after LATE requests to an application whose measurements go to statsd."""

from __future__ import annotations

import gc
import sys

import psutil

import c2cotel
from tests.apps.faults import call, hello


def main() -> None:
    """Answer requests."""
    app = hello()
    telemetry = c2cotel.setup()
    process = psutil.Process()
    answered = 0
    for until in map(int, sys.argv[1:]):
        while answered < until:
            call(app, times=10_000)
            answered += 10_000
            telemetry.flush(30)  # what waits for a busy machine is no leak
        gc.collect()
        print(process.memory_info().rss, flush=True)


if __name__ == "__main__":
    main()
