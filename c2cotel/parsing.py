"""Texts of settings whose meaning takes more than a line; each raises `ValueError` as `c2cotel.settings` has it."""

from __future__ import annotations

from collections.abc import Mapping

from c2cotel.settings import words

_REDIS_SCHEMES = ("redis", "rediss", "unix")
_HIGHEST_PORT = 65_535


def redis_url(value: str) -> str:
    """The URL of a Redis server."""
    scheme, mark, rest = value.strip().partition("://")
    if scheme.lower() not in _REDIS_SCHEMES or not mark or not rest:
        raise ValueError("a URL such as redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path")
    return value.strip()


def addresses(value: str) -> tuple[tuple[str, int], ...]:
    """Hosts and ports, at least one of them."""
    found = tuple(_address(word) for word in words(value))
    if not found:
        raise ValueError("host:port,host:port")
    return found


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    # A host with colons is an IPv6 address, and only in brackets is it clear where it ends.
    if not bare or (":" in bare and bare == host) or not _is_number(port) or not 0 < int(port) <= _HIGHEST_PORT:
        raise ValueError("host:port,host:port")
    return bare, int(port)


def whole(value: str) -> int:
    """A whole number, 0 included."""
    if not _is_number(value.strip()):
        raise ValueError("a whole number of at least 0")
    return int(value)


def typed_options(value: str) -> Mapping[str, str | float | bool]:
    """``name=value,name=value``; numbers, ``true`` and ``false`` become what they say."""
    found = {}
    for word in words(value):
        name, equals, held = map(str.strip, word.partition("="))
        if not equals or not name.isidentifier():
            raise ValueError("name=value,name=value such as socket_timeout=3,socket_keepalive=true")
        found[name] = _typed(held)
    return found


def _typed(held: str) -> str | float | bool:
    if held.lower() in ("true", "false"):
        return held.lower() == "true"
    if _is_number(held.removeprefix("-")):
        return int(held)
    try:
        return float(held)
    except ValueError:
        return held


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
