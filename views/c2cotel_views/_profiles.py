"""What pyinstrument has seen of a request, as lists, seconds and slices of a pie."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any

from pyinstrument.frame import Frame
from pyinstrument.processors import aggregate_repeated_calls
from pyinstrument.session import Session

_SMALL = 0.005
"""Share of a request below which a call is not shown."""
OTHER = "other"


def shorter(records: Iterable[Any]) -> list[Any]:
    """The same with what was seen several times in a row once: most of a slow request is one long wait."""
    return [(stack, sum(spent for _, spent in same)) for stack, same in groupby(records, key=lambda record: record[0])]


def calls(session: Session) -> list[dict[str, Any]]:
    """The call tree as a list, each call after its caller; what takes next to nothing is left out.

    Returns:
        of each call `function`, `where` it is, `seconds`, its `share` of the request and where that `begins` beside the
        calls of the same caller, its `depth`, whether it `calls` others, and how many lists of calls `end` with it.
    """
    root = aggregate_repeated_calls(session.root_frame(), options={})
    if root is None:
        return []
    whole = root.time or math.inf
    listed: list[dict[str, Any]] = []
    waiting: list[tuple[Frame, int, float]] = [(root, 0, 0.0)]
    while waiting:
        frame, depth, begins = waiting.pop()
        inner = [each for each in frame.children if not each.is_synthetic and each.time >= _SMALL * whole]
        inner.sort(key=lambda each: -each.time)
        listed.append(
            {
                "function": frame.function,
                "where": frame.code_position_short() or "",
                "seconds": frame.time,
                "share": frame.time / whole,
                "begins": begins,
                "depth": depth,
                "calls": bool(inner),
            }
        )
        ends = accumulate((each.time / whole for each in inner), initial=begins)
        waiting += reversed([(each, depth + 1, place) for each, place in zip(inner, ends, strict=False)])
    for call, following in zip(listed, [*listed[1:], {"depth": 0}], strict=True):
        call["end"] = max(0, call["depth"] - following["depth"])
    return listed


def time_by_package(session: Session, packages: Sequence[str]) -> dict[str, float]:
    """Seconds of a request by package; what a package calls outside of all others is its own.

    C code has no calls of its own here: its time is that of the package that calls it.

    Args:
        session: what pyinstrument saw.
        packages: dotted names.

    Returns:
        seconds by package, and those of none of them as `other`.
    """
    seconds = dict.fromkeys((*packages, OTHER), 0.0)
    root = session.root_frame()
    waiting: list[tuple[Frame, str]] = [] if root is None else [(root, OTHER)]
    while waiting:
        frame, owner = waiting.pop()
        module = (frame.file_path_short or "").removesuffix(".py").replace(os.sep, ".").removesuffix(".__init__")
        owners = [package for package in packages if f"{module}.".startswith(f"{package}.")]
        owner = max(owners, key=len, default=owner)
        seconds[owner] += max(0.0, frame.total_self_time)
        waiting += [(each, owner) for each in frame.children if not each.is_synthetic]
    return seconds


def time_by_route(requests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Requests by route, the route with the most time first.

    Args:
        requests: as the list of the page has them.

    Returns:
        of each `route` its number of `requests`, their `seconds`, and these by package as `packages`.
    """
    routes: dict[str, dict[str, Any]] = {}
    for each in requests:
        row = routes.setdefault(each["route"], {"route": each["route"], "requests": 0, "seconds": 0.0, "packages": {}})
        row["requests"] += 1
        row["seconds"] += each["seconds"]
        for package, spent in each["packages"].items():
            row["packages"][package] = row["packages"].get(package, 0.0) + spent
    return sorted(routes.values(), key=lambda row: -row["seconds"])


def slices(seconds: dict[str, float]) -> list[dict[str, Any]]:
    """A pie of parts: of each its `name`, `seconds`, `share`, and the `path` of its slice on a circle of radius 1."""
    whole = sum(seconds.values())
    parts = []
    begin = 0.0
    for name, spent in sorted(seconds.items(), key=lambda part: -part[1]):
        share = spent / whole if whole else 0.0
        end = begin + share
        parts.append({"name": name, "seconds": spent, "share": share, "path": _slice(begin, end)})
        begin = end
    return parts


def _slice(begin: float, end: float) -> str:
    share = min(end - begin, 0.99999)  # an arc that ends where it begins is none
    (x1, y1), (x2, y2) = ((math.sin(math.tau * part), -math.cos(math.tau * part)) for part in (begin, begin + share))
    return f"M0 0L{x1:.5f} {y1:.5f}A1 1 0 {int(share > 1 / 2)} 1 {x2:.5f} {y2:.5f}Z"
