"""Reach every process of a service, on every host, and collect their answers.

::

    @broadcast.decorator(expect_answers=True)
    def memory(limit):
        return {"most": most_common(limit)}

    memory(limit=10)        # a list: {"most", "hostname", "pid"} of each process

With `C2C_REDIS_URL`, all processes that have the same `C2C_BROADCAST_PREFIX` are reached over Redis; without, all
processes of the service on this host; before `c2cotel.setup`, only the one that asks. What is subscribed before `setup`
is kept.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

from c2cotel import state
from c2cotel.broadcast._client import Store, connect
from c2cotel.broadcast._local import HostBroadcast, LocalBroadcast
from c2cotel.broadcast._port import Adapter, Handler, Handlers, HostCalls, Replies, as_json
from c2cotel.config.declare import Settings
from c2cotel.config.settings import BroadcastSettings

__all__ = ["Replies", "Store", "ask", "broadcast", "decorator", "store", "subscribe", "unsubscribe"]


class _Room:
    """What the functions of this module need in a process.

    Attributes:
        handlers: Handlers of this process; they outlive adapters.
        adapter: Carries messages.
        store: The Redis that the processes share; None without one.
        when_subscribed: Called each time that this process begins to hear the others.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget handlers and adapter."""
        self.handlers = Handlers()
        self.when_subscribed: list[Callable[[], object]] = []
        self.leave()

    def leave(self) -> None:
        """Reach this process alone, as before `setup`."""
        self.adapter: Adapter = LocalBroadcast(self.handlers)
        self.store: Store | None = None


def broadcast(
    channel: str, params: Mapping[str, Any] | None = None, expect_answers: bool = False, timeout: float = 10
) -> list[Any] | None:
    """Call the handlers of a channel in every process; in this one it has been called on return.

    Args:
        channel: any text.
        params: arguments of the handlers, by name; what JSON can hold.
        expect_answers: whether to wait for what they return.
        timeout: seconds to wait for answers; the wait ends as soon as every process has answered.

    Returns:
        None, or the list of answers: a dictionary has `hostname` and `pid` added; None stands for a process that does
        not answer in time or whose handler fails. Redis being away is no error: the list is shorter then.

    Raises:
        TypeError: JSON cannot hold the parameters.
    """
    replies = state.of(_Room).adapter.broadcast(
        channel, as_json(params or {}), expect_answers=expect_answers, timeout=timeout
    )
    return replies.answers if expect_answers else None


def ask(channel: str, params: Mapping[str, Any] | None = None, timeout: float = 10) -> Replies:
    """Call the handlers of a channel in every process, and tell which were silent.

    Args:
        channel: Any text.
        params: Arguments of the handlers, by name; what JSON can hold.
        timeout: Seconds to wait for answers.

    Raises:
        TypeError: JSON cannot hold the parameters.
    """
    return state.of(_Room).adapter.broadcast(channel, as_json(params or {}), expect_answers=True, timeout=timeout)


def subscribe(channel: str, callback: Handler) -> None:
    """Let a function of this process handle a channel; it takes the place of the one before.

    Args:
        channel: any text.
        callback: called with the parameters by name, by some thread; returns what JSON can hold.
    """
    room = state.of(_Room)
    room.handlers.add(channel, callback)
    room.adapter.listen()


def unsubscribe(channel: str) -> None:
    """Let nobody in this process handle a channel."""
    state.of(_Room).handlers.remove(channel)


def decorator(
    channel: str | None = None, expect_answers: bool = False, timeout: float = 10
) -> Callable[[Handler], Callable[..., list[Any] | None]]:
    """Make calls of a function, with arguments by name, call it in every process.

    Args:
        channel: the function's module and name, if None.
        expect_answers: as of `broadcast`.
        timeout: as of `broadcast`.
    """

    def decorate(function: Handler) -> Callable[..., list[Any] | None]:
        name = channel or f"c2c_decorated_{function.__module__}.{function.__qualname__}"
        subscribe(name, function)

        @functools.wraps(function)
        def everywhere(**params: Any) -> list[Any] | None:
            return broadcast(name, params, expect_answers, timeout)

        return everywhere

    return decorate


def store() -> Store | None:
    """The Redis that the processes of this service share; None without one, and before `setup`."""
    return state.of(_Room).store


def serve() -> None:
    """Say that this process answers requests; the Pyramid instrumentation does."""
    state.of(_Room).adapter.serve()


def answers_here(channel: str, params: Mapping[str, Any]) -> list[Any]:
    """What this process answers to a message."""
    return state.of(_Room).handlers.answers(channel, params)


def is_served(channel: str) -> bool:
    """Whether this process has a handler for a channel."""
    return channel in state.of(_Room).handlers


def when_subscribed(act: Callable[[], object]) -> Callable[[], None]:
    """Do something each time that this process begins to hear the others, also after a lost connection to Redis.

    Messages may have been missed until then. Where it hears them already, that is now, in a thread. Returns what ends
    that.
    """
    room = state.of(_Room)
    room.when_subscribed.append(act)
    if room.adapter.hears_others():
        threading.Thread(target=act, name="c2cotel broadcast resumed", daemon=True).start()
    return lambda: room.when_subscribed.remove(act)


def start(settings: Settings, calls: HostCalls) -> Callable[[], None]:
    """Use the Redis that the settings name, else reach the processes of this host; returns what ends that.

    Args:
        settings: Settings of the process.
        calls: Reaches the processes of this host.

    Raises:
        SettingsError: a setting cannot be used as it is.
    """
    room = state.of(_Room)
    connected = connect(settings.section(BroadcastSettings))
    if connected is None:
        room.adapter = on_host = HostBroadcast(calls)
        if room.handlers:
            on_host.listen()

        def leave() -> None:
            room.leave()
            on_host.close()

        return leave
    from c2cotel.broadcast._redis import RedisBroadcast  # noqa: PLC0415  # most processes have no Redis

    room.store, listening = connected
    adapter = RedisBroadcast(room.handlers, room.store, listening, room.when_subscribed)
    room.adapter = adapter
    adapter.start()

    def end() -> None:
        room.leave()
        adapter.close()

    return end
