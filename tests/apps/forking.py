"""Forks while everything is being collected all the time: ``python -m tests.apps.forking FORKS``.

Each child counts on an instrument of the SDK that it had before, makes a new one, times something and flushes. Prints
how many children could.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

from opentelemetry import metrics

import c2cotel
from c2cotel import stats


def _slowly(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
    time.sleep(0.0002)
    return [metrics.Observation(1)]


def main() -> None:
    """Fork, one child after the other."""
    telemetry = c2cotel.setup()
    meter = metrics.get_meter("foreign")
    counters = [meter.create_counter(f"counter{n}") for n in range(20)]
    for n in range(5):
        meter.create_observable_gauge(f"gauge{n}", callbacks=[_slowly])
    good = 0
    for n in range(int(sys.argv[1])):
        for counter in counters:
            counter.add(1)
        child = os.fork()
        if not child:
            signal.alarm(5)  # ends a child that hangs
            for counter in counters:
                counter.add(1)
            meter.create_counter("new").add(1)
            with stats.timer_context(["child", str(n)]):
                pass
            os._exit(0 if telemetry.flush() else 1)
        good += os.waitpid(child, 0)[1] == 0
    print(good, flush=True)


if __name__ == "__main__":
    main()
