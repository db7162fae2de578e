"""`stats.json`: the totals that this process keeps in memory."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request

from c2cotel_views._parameters import flag

RESET = flag("reset", "Return and clear.", default=False)


def view(request: Request) -> dict[str, Any]:
    """Timers, gauges and counters of this process; ``reset=1`` returns and clears them in one step."""
    totals: dict[str, Any] = request.registry["c2cotel.telemetry"].totals(reset=RESET(request))
    return totals
