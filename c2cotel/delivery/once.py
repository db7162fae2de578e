"""What was logged already, so that repeated trouble is one line."""

from __future__ import annotations

from typing import Any


class Once:
    """Remembers the kinds of trouble that were logged.

    Args:
        limit: Number of kinds that are remembered; what comes after them is not logged at all.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._seen: set[Any] = set()

    def first(self, kind: Any) -> bool:
        """Whether this kind of trouble comes for the first time, and is to be logged."""
        if kind in self._seen or len(self._seen) >= self._limit:
            return False
        self._seen.add(kind)
        return True

    def reset(self) -> None:
        """Forget everything."""
        self._seen.clear()
