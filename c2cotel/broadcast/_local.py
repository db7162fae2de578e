"""Broadcasts without Redis: within this process, or to all processes of this host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from c2cotel.broadcast._port import Handlers, HostCalls, Replies
from c2cotel.delivery.forks import forks


class LocalBroadcast:
    """Calls the handlers of this process, as before `setup`.

    Args:
        handlers: The handlers of this process.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def broadcast(self, channel: str, params: Mapping[str, Any], *, expect_answers: bool, timeout: float) -> Replies:
        """See `Adapter`."""
        return Replies(self._handlers.answers(channel, params))

    def hears_others(self) -> bool:
        """There are none."""
        return False

    def listen(self) -> None:
        """Nothing to do."""

    def serve(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class HostBroadcast:
    """Calls the handlers of every process of this host.

    Args:
        calls: Reaches them.
    """

    def __init__(self, calls: HostCalls) -> None:
        self._calls = calls
        forks.watch(calls)

    def broadcast(self, channel: str, params: Mapping[str, Any], *, expect_answers: bool, timeout: float) -> Replies:
        """See `Adapter`."""
        replies = self._calls.call(channel, params, timeout=timeout if expect_answers else 0)
        return Replies(replies.answers, replies.silent)

    def hears_others(self) -> bool:
        """See `Adapter`."""
        return True

    def listen(self) -> None:
        """See `Adapter`."""
        self._calls.listen()

    def serve(self) -> None:
        """See `Adapter`."""
        self._calls.serve()

    def close(self) -> None:
        """See `Adapter`."""
        forks.ignore(self._calls)
        self._calls.close()
