"""Without Redis only the process that is asked is concerned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from c2cotel.broadcast._port import Handlers


class LocalBroadcast:
    """Calls the handlers of this process.

    Args:
        handlers: them.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def broadcast(
        self, channel: str, params: Mapping[str, Any], *, expect_answers: bool, timeout: float
    ) -> list[Any] | None:
        """See `Adapter`."""
        answers = self._handlers.answers(channel, params)
        return answers if expect_answers else None

    def serve(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
