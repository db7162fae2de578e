"""How much of what a process has is in use: threads, connections to databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from c2cotel.delivery.guard import Guard
from c2cotel.metrics.observations import Observation, Observer


def gauges(observers: Iterable[Observer], guard: Guard) -> dict[str, int]:
    """Number of `threads`, of connections that the pools may have (`pool`) and of those in use (`pool_used`).

    What nobody knows is missing.

    Args:
        observers: Give gauges.
        guard: Around each of them.
    """
    sums: Counter[str] = Counter()
    for observer in list(observers):
        with guard:
            for each in observer():
                if (name := _name(each)) is not None:
                    sums[name] += int(each.value)
    return dict(sums)


def _name(observation: Observation) -> str | None:
    if observation.name == "c2c.server.threads":
        return "threads"
    if observation.name == "db.client.connection.max":
        return "pool"
    return "pool_used" if observation.attributes.get("db.client.connection.state") == "used" else None
