"""From settings to clients of Redis."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast

from c2cotel import redaction
from c2cotel.config.settings import BroadcastSettings
from c2cotel.errors import SettingsError

if TYPE_CHECKING:
    from redis import Redis

T = TypeVar("T")

_TIMEOUT = 2.0
"""Seconds for a connection, and for an answer: a server that is dead must not cost a caller all of its own patience."""


@dataclass(frozen=True)
class Store:
    """Where the processes of a service keep what all of them must know.

    Attributes:
        client: of Redis; texts come as bytes.
        prefix: of every key.
        name: of the server, for people; holds no password.
    """

    client: Redis
    prefix: str
    name: str

    def key(self, name: str) -> str:
        """The key under which a value of this service is kept."""
        return self.prefix + name

    def ask(self, act: Callable[[Redis], T], timeout: float = _TIMEOUT) -> T:
        """What an action with the client gives; a resolver that hangs costs its caller no more than the timeout.

        Args:
            act: Takes the client; runs in a thread of its own.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: it has not ended by then.
            Exception: what it raised.
        """
        outcomes: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                outcomes.put((act(self.client), None))
            except BaseException as error:  # noqa: BLE001  # raised where it was asked for
                outcomes.put((None, error))

        context = contextvars.copy_context()  # what is sent belongs to the caller's trace
        threading.Thread(target=context.run, args=(run,), name="c2cotel store", daemon=True).start()
        try:
            result, error = outcomes.get(timeout=timeout)
        except Empty:
            raise TimeoutError(f"no answer within {timeout:g} s") from None
        if error is not None:
            raise error
        return cast("T", result)


def connect(settings: BroadcastSettings) -> tuple[Store, Redis] | None:
    """The store and a client for listening; both connect when they are used.

    Returns:
        None when the settings name no server.

    Raises:
        SettingsError: the settings name a server, but not enough, or something that the client refuses.
    """
    if settings.sentinels is None and settings.redis_url is None:
        return None
    named = "C2C_REDIS_SENTINELS" if settings.sentinels else "C2C_REDIS_URL"
    if settings.sentinels and not settings.service_name:
        raise SettingsError("C2C_REDIS_SERVICENAME is not set: expected the name that the sentinels give the master")
    try:
        from redis.backoff import NoBackoff  # noqa: PLC0415  # an extra
        from redis.exceptions import ConnectionError as RedisConnectionError  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"{named} is set, but redis is not installed: expected pip install 'c2cotel[redis]' ({error})"
        ) from error
    # A connection that has rested in the pool may be dead; what was sent and not answered is not sent again.
    once_more = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    client = _client(settings, retry=once_more)
    listening = _client(settings, retry=Retry(NoBackoff(), 0))
    return Store(client, settings.prefix, _name(settings)), listening


def _client(settings: BroadcastSettings, **ours: Any) -> Redis:
    from redis import Redis  # noqa: PLC0415  # an extra
    from redis.sentinel import Sentinel  # noqa: PLC0415

    options: dict[str, Any] = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT}
    if settings.db is not None:
        options["db"] = settings.db
    options |= {**(settings.options or {}), **ours, "decode_responses": False}
    sentinel: Any = Sentinel  # half of the client is typed
    try:
        if settings.sentinels:
            client: Any = sentinel(settings.sentinels, **options).master_for(settings.service_name)
        else:
            client = Redis.from_url(settings.redis_url or "", **options)
        client.connection_pool.make_connection()  # only a connection looks at the options; it is not opened
    except (TypeError, ValueError) as error:
        raise SettingsError(
            redaction.anywhere(f"C2C_REDIS_OPTIONS, C2C_REDIS_URL: refused by the redis client: {error}")
        ) from None
    checked_client: Redis = client
    return checked_client


def _name(settings: BroadcastSettings) -> str:
    return f"sentinel:{settings.service_name}" if settings.sentinels else redaction.url(settings.redis_url or "")
