"""`stats.json`: the totals that this process keeps in memory, or those of all processes together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.request import Request

from c2cotel import broadcast
from c2cotel.plugin import Telemetry, merge_totals, telemetry_of
from c2cotel_views._parameters import choice, flag

RESET = flag("reset", "Return and clear.", default=False)
SCOPE = choice("scope", "`process` that answers, or `all` processes of the service.", "process", "process", "all")

_CHANNEL = "c2c_stats"


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Share the totals with the other processes; returns what ends that."""
    broadcast.subscribe(_CHANNEL, lambda reset: {"totals": telemetry.totals(reset=reset)})
    return lambda: broadcast.unsubscribe(_CHANNEL)


def view(request: Request) -> dict[str, Any]:
    """Timers, gauges and counters; ``reset=1`` returns and clears them in one step."""
    reset = RESET(request)
    if SCOPE(request) == "process":
        return merge_totals([telemetry_of(request.registry).totals(reset=reset)])
    answers = broadcast.broadcast(_CHANNEL, {"reset": reset}, expect_answers=True) or []
    shares = [answer["totals"] for answer in answers if isinstance(answer, dict)]
    return {**merge_totals(shares), "processes": {"answered": len(shares), "silent": len(answers) - len(shares)}}
