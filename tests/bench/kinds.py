"""A bench process that runs several kinds of work on command, one after the other."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping

_WARM_UP = 1000


def serve(kinds: Mapping[str, Callable[[int], object]]) -> None:
    """Print ready, then for each line ``N`` of the standard input the CPU ns an operation of each kind, as JSON.

    Args:
        kinds: what runs a number of operations, by name.
    """
    for work in kinds.values():
        work(_WARM_UP)
    print("ready", flush=True)
    for line in sys.stdin:
        n = int(line)
        found = {}
        for name, work in kinds.items():
            before = time.process_time_ns()
            work(n)
            found[name] = (time.process_time_ns() - before) / n
        print(json.dumps(found), flush=True)
