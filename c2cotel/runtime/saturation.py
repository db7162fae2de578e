"""How busy this process is: requests in progress, memory, CPU time and pauses of the garbage collector.

https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserveractive_requests
https://opentelemetry.io/docs/specs/semconv/system/process-metrics/
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import suppress
from pathlib import Path
from typing import Any

from c2cotel.metrics.instruments import GC_PAUSE
from c2cotel.metrics.observations import Observation
from c2cotel.metrics.recorder import Recorder

_STATM = Path("/proc/self/statm")


def observe_process(active: Sized) -> Callable[[], Iterator[Observation]]:
    """What gives the gauges of this process.

    Args:
        active: The requests that it works on.
    """

    def observe() -> Iterator[Observation]:
        yield Observation("http.server.active_requests", "{request}", {}, len(active))
        if (memory := memory_usage()) is not None:
            yield Observation("process.memory.usage", "By", {}, memory)
        times = os.times()
        for mode, seconds in (("user", times.user), ("system", times.system)):
            yield Observation("process.cpu.time", "s", {"cpu.mode": mode}, seconds, is_total=True)

    return observe


def memory_usage() -> int | None:
    """Bytes of memory that this process has; None where that cannot be had."""
    with suppress(OSError, ValueError, IndexError):
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def time_collections(recorder: Recorder) -> Callable[[], None]:
    """Measure each run of the garbage collector; returns what ends that."""
    series = [recorder.series(GC_PAUSE, {"gc.generation": generation}) for generation in range(3)]
    started = 0.0

    def collecting(phase: str, info: dict[str, Any]) -> None:
        nonlocal started
        if phase == "start":
            started = time.perf_counter()
        elif started:
            # No `record`: it may wake the worker, and this runs at any allocation, also under a lock.
            recorder.extend((series[min(info.get("generation", 0), 2)], time.perf_counter() - started))

    gc.callbacks.append(collecting)

    def stop() -> None:
        with suppress(ValueError):
            gc.callbacks.remove(collecting)

    return stop
