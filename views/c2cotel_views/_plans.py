"""The latest plans of SQL statements in all processes: the SQL profiler makes them, the console shows them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from c2cotel import broadcast
from c2cotel.plugin import process_state

_CHANNEL = "c2c_sql_plans"
_PATIENCE = 2.0
_LATEST = 20
_LATEST_MOMENT = 1e11
"""Seconds since the epoch: the year 5138."""

_LONGEST = 8000
"""Characters of each text of a plan."""


class _Plans:
    """The plans of this process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget them."""
        self.latest: deque[dict[str, Any]] = deque(maxlen=_LATEST)


def keep(statement: str, plan: str) -> None:
    """Keep a plan; its secrets are hidden already."""
    process_state(_Plans).latest.append({"at": time.time(), "statement": statement[:_LONGEST], "plan": plan[:_LONGEST]})


def latest() -> list[dict[str, Any]]:
    """The latest plans of all processes, the newest first, at most 20.

    Returns:
        Of each `at`, seconds since the epoch, `statement` and `plan`.
    """
    answers = [each for each in broadcast.ask(_CHANNEL, timeout=_PATIENCE).answers if isinstance(each, dict)]
    lists = [each.get("plans") for each in answers or [_here()]]
    plans = [plan for each in lists if isinstance(each, list) for plan in each if _is_plan(plan)]
    return sorted(plans, key=lambda plan: -plan["at"])[:_LATEST]


def _here() -> dict[str, Any]:
    return {"plans": list(process_state(_Plans).latest)}


def _is_plan(plan: Any) -> bool:
    """Whether it has the form of ours: over Redis anybody may send one."""
    return (
        isinstance(plan, dict)
        and isinstance(plan.get("at"), (int, float))
        and 0 <= plan["at"] < _LATEST_MOMENT
        and isinstance(plan.get("statement"), str)
        and isinstance(plan.get("plan"), str)
    )


CHANNELS: dict[str, Callable[..., Any]] = {_CHANNEL: _here}
