"""What `c2cotel.broadcast` asks of an adapter, and the handlers that outlive adapters."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_logger = logging.getLogger(__package__)

Handler = Callable[..., Any]
"""Takes the parameters of a message by name; what it returns is this process's answer."""


@dataclass(frozen=True)
class Replies:
    """What the processes of a service answered.

    Attributes:
        answers: Their answers; None for each process that was silent or whose handler failed.
        silent: The processes that gave none in time, as ``host/pid`` where that is to be had.
    """

    answers: list[Any] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)


class HostCalls(Protocol):
    """Reaches the processes of a host; see `c2cotel.host.calls.HostCalls`."""

    def call(self, channel: str, params: Mapping[str, Any], *, timeout: float) -> Any:
        """Call every process; gives `answers` and `silent`."""

    def listen(self) -> None:
        """Let others call this process."""

    def serve(self) -> None:
        """Let others call this process, also once it has forked."""

    def close(self) -> None:
        """Listen no more."""

    def before_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""

    def after_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""


class Adapter(Protocol):
    """Carries a message to handlers: those of this process, those of this host, or those of all."""

    def broadcast(self, channel: str, params: Mapping[str, Any], *, expect_answers: bool, timeout: float) -> Replies:
        """See `c2cotel.broadcast.ask`; without `expect_answers` it waits for nobody."""

    def hears_others(self) -> bool:
        """Whether messages of other processes reach this one now."""

    def listen(self) -> None:
        """This process has a handler."""

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

    def __len__(self) -> int:
        return len(self._by_channel)

    def __contains__(self, channel: str) -> bool:
        return channel in self._by_channel

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
        except BaseException:  # SystemExit of a handler as well: it ends no process
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
