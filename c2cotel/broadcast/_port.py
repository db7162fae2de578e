"""What `c2cotel.broadcast` asks of an adapter, and the handlers that outlive adapters."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

_logger = logging.getLogger(__package__)

Handler = Callable[..., Any]
"""Takes the parameters of a message by name; what it returns is this process's answer."""


class Adapter(Protocol):
    """Carries a message to handlers: those of this process, or those of all."""

    def broadcast(
        self, channel: str, params: Mapping[str, Any], *, expect_answers: bool, timeout: float
    ) -> list[Any] | None:
        """See `c2cotel.broadcast.broadcast`."""

    def serve(self) -> None:
        """This process answers requests."""

    def close(self) -> None:
        """End what runs."""


class Handlers:
    """The handlers of this process, one a channel."""

    def __init__(self) -> None:
        self._by_channel: dict[str, Handler] = {}

    def add(self, channel: str, handler: Handler) -> None:
        """Let a handler serve a channel; it takes the place of the one before."""
        self._by_channel[channel] = handler

    def remove(self, channel: str) -> None:
        """Let nobody serve a channel."""
        self._by_channel.pop(channel, None)

    def answers(self, channel: str, params: Mapping[str, Any]) -> list[Any]:
        """What this process answers: nothing without a handler, None if the handler fails."""
        handler = self._by_channel.get(channel)
        if handler is None:
            return []
        try:
            answer = handler(**params)
            if isinstance(answer, dict):
                answer = {**answer, "hostname": socket.gethostname(), "pid": os.getpid()}
            return [json.loads(json.dumps(answer, default=str))]
        except Exception:
            _logger.exception("The handler of the broadcast channel %s failed", channel)
            return [None]


def as_json(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as every process will get them.

    Raises:
        TypeError: JSON cannot hold them.
    """
    try:
        parsed: dict[str, Any] = json.loads(json.dumps(dict(params)))
    except (TypeError, ValueError) as error:
        raise TypeError(f"params={params!r}: expected what JSON can hold ({error})") from None
    return parsed
