"""Checks of what is reached over the network: URLs, Redis, the other instances of this service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pyramid.request import Request

from c2cotel import broadcast, redaction
from c2cotel.plugin import SettingsError
from c2cotel_views.health._results import JsonCheckException

_CHANNEL = "c2c_version"
_SOCKET_TIMEOUT = 5.0


def url_check(
    url: Any, params: Any, headers: Any, check_cb: Callable[[Request, Any], Any], timeout: float
) -> Callable[[Request], Any]:
    """A check that a URL answers with success; its result is what the callback returns.

    Raises:
        SettingsError: the package `requests` is not here.
    """
    try:
        import requests  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise SettingsError(f"add_url_check: expected pip install 'c2cotel[requests]' ({error})") from error

    def check(request: Request) -> Any:
        # The id of the request goes along: c2cotel sends it with every call that is made while one is current.
        response = requests.get(
            _resolved(url, request),
            params=_resolved(params, request),
            headers=_resolved(headers, request),
            timeout=timeout,
        )
        response.raise_for_status()
        return check_cb(request, response)

    return check


def url_name(url: Any) -> str:
    """What a URL is called that has no other name."""
    return redaction.url(url) if isinstance(url, str) else getattr(url, "__name__", type(url).__name__)


def _resolved(given: Any, request: Request) -> Any:
    return given(request) if callable(given) else given


def redis_check(client: Any) -> Callable[[Request], Any]:
    """A check that a Redis server answers; its result is what the server tells of itself."""

    def check(_: Request) -> dict[str, Any]:
        return {"info": client.info(), "dbsize": client.dbsize()}

    return check


def redis_client(url: str) -> Any:
    """A client for a URL, which connects when it is used.

    Raises:
        SettingsError: the package `redis` is not here, or it refuses the URL.
    """
    try:
        import redis  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise SettingsError(f"add_redis_check: expected pip install 'c2cotel[redis]' ({error})") from error
    try:
        return redis.Redis.from_url(url, socket_timeout=_SOCKET_TIMEOUT, socket_connect_timeout=_SOCKET_TIMEOUT)
    except ValueError as error:
        raise SettingsError(f"url={redaction.url(str(url))!r}: {redaction.anywhere(str(error))}") from None


def version_check(git_hash: str, timeout: float) -> Callable[[Request], Any]:
    """A check that every process of this service runs the same version; its result is the git hash.

    Args:
        git_hash: of this process, who tells it to the others from now on.
        timeout: seconds to wait for the others; who does not answer in time is not compared.
    """
    broadcast.subscribe(_CHANNEL, lambda: {"version": git_hash})

    def check(_: Request) -> str:
        answers = broadcast.broadcast(_CHANNEL, expect_answers=True, timeout=timeout) or []
        versions = Counter(str(answer["version"]) for answer in answers if isinstance(answer, Mapping))
        if set(versions) - {git_hash}:
            raise JsonCheckException("The instances run different versions", dict(versions))
        return git_hash

    return check
