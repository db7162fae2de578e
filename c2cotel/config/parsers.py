"""Texts of settings and what they mean; each parser raises `ValueError` whose message completes "expected ..."."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from opentelemetry.exporter.statsd import parse_endpoint

from c2cotel import redaction

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_HIGHEST_PORT = 65_535
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(ms|s|m|min|h|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_LONGEST = 1e9
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(b|kb|mb|gb|k|m|g|kib|mib|gib|)", re.ASCII)
_BYTES = {
    **dict.fromkeys(("", "b"), 1),
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    **dict.fromkeys(("k", "kib"), 2**10),
    **dict.fromkeys(("m", "mib"), 2**20),
    **dict.fromkeys(("g", "gib"), 2**30),
}
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "WARN": 30, "ERROR": 40, "CRITICAL": 50}


def text(value: str) -> str:
    """Any text."""
    return value


def boolean(value: str) -> bool:
    """``1 true t yes y on`` or ``0 false f no n off``, in any case."""
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("a boolean: 1, true, t, yes, y, on or 0, false, f, no, n, off")


def seconds(value: str) -> float:
    """A positive, finite number of seconds."""
    return _positive(value, float, "a positive number of seconds such as 0.5")


def positive(value: str) -> float:
    """A positive, finite number."""
    return _positive(value, float, "a positive number such as 10")


def milliseconds(value: str) -> float:
    """A positive, finite number of milliseconds, as OpenTelemetry's variables have it; the value is in seconds."""
    return _positive(value, float, "a positive number of milliseconds such as 5000") / 1000


def duration(value: str) -> float:
    """A time such as ``1s``, ``500ms``, ``2min`` or ``0.5``; the value is in seconds."""
    match = _DURATION.fullmatch(value.strip())
    if match is None or not 0 <= (number := float(match[1]) * _SECONDS[match[2]]) < _LONGEST:
        raise ValueError("a time such as 500ms, 1s or 2min")
    return number


@dataclass(frozen=True)
class Slow:
    """From when on a request counts as slow.

    Args:
        seconds: Seconds for every route that is not named.
        routes: Seconds by name of the route.
    """

    seconds: float
    routes: Mapping[str, float] = field(default_factory=dict)


def slow(value: str) -> Slow:
    """A time, and others for some routes by name."""
    seconds, routes = 1.0, {}
    try:
        for word in words(value):
            route, colon, time = word.rpartition(":")
            if colon and route:
                routes[route] = duration(time)
            else:
                seconds = duration(word)
    except ValueError:
        raise ValueError("a time, and others by route, such as 1s,report:30s") from None
    return Slow(seconds, routes)


def size(value: str) -> int:
    """A number of bytes such as ``64 MiB``, ``100MB`` or ``67108864``."""
    match = _SIZE.fullmatch(value.strip().lower())
    if match is None or (number := int(float(match[1]) * _BYTES[match[2]])) < 1:
        raise ValueError("a number of bytes such as 64 MiB")
    return number


def count(value: str) -> int:
    """A whole number of at least 1."""
    return _positive(value, int, "a whole number of at least 1")


def words(value: str) -> tuple[str, ...]:
    """Words separated by commas, blanks around them dropped."""
    return tuple(word for word in (part.strip() for part in value.split(",")) if word)


def choice(*accepted: str) -> Callable[[str], str]:
    """One of the given words, in any case."""

    def parse(value: str) -> str:
        word = value.strip().lower()
        if word not in accepted:
            raise ValueError(f"one of {', '.join(accepted)}")
        return word

    return parse


def _positive(value: str, kind: Callable[[str], T], expected: str) -> T:
    try:
        number = kind(value)
    except ValueError:
        raise ValueError(expected) from None
    if not (math.isfinite(number) and number > 0):  # type: ignore[arg-type, operator]  # int or float
        raise ValueError(expected)
    return number


def url_path(value: str) -> str:
    """A path of a URL, with one slash in front and none at its end; empty for none."""
    path = value.strip().strip("/")
    if re.search(r"://|[?#{}\s\\]|//", path):
        raise ValueError("a path such as /c2c")
    return f"/{path}" if path else ""


def packages(value: str) -> tuple[str, ...]:
    """Names of Python packages, separated by blanks."""
    names = tuple(value.split())
    if not all(part.isidentifier() for name in names for part in name.split(".")):
        raise ValueError("names of Python packages, separated by blanks")
    return names


def statsd_address(value: str) -> str:
    """The address of a statsd server, as text: checked here, where the variable's name is at hand."""
    try:
        parse_endpoint(value)
    except ValueError as error:
        reason = redaction.anywhere(str(error))
        raise ValueError(f"host:port, [::1]:8125, udp://, tcp:// or unix:///path ({reason})") from None
    return value


def header_name(value: str) -> str:
    """The name of an HTTP header."""
    name = value.strip()
    if not name.replace("-", "").isalnum() or not name.isascii():
        raise ValueError("the name of an HTTP header such as X-Request-ID")
    return name


def loggers(value: str) -> tuple[str, ...]:
    """Names of loggers, separated by colons or commas."""
    return words(value.replace(":", ","))


def logger_levels(value: str) -> Mapping[str, int]:
    """Names of loggers, each with a level."""
    levels = {}
    for word in words(value):
        name, colon, text = map(str.strip, word.rpartition(":"))
        number = _LEVELS.get(text.upper())
        if not colon or number is None:
            raise ValueError("logger:LEVEL,logger:LEVEL such as app:DEBUG,sqlalchemy.engine:INFO")
        levels[name or "root"] = number
    return levels


def level(value: str) -> int:
    """The name of a level of `logging`."""
    number = _LEVELS.get(value.strip().upper())
    if number is None:
        raise ValueError("one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return number


def share(value: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError("a number from 0 to 1")
    return number


def redis_url(value: str) -> str:
    """The URL of a Redis server."""
    scheme, mark, rest = value.strip().partition("://")
    if scheme.lower() not in _REDIS_SCHEMES or not mark or not rest:
        raise ValueError("a URL such as redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path")
    return value.strip()


def addresses(value: str) -> tuple[tuple[str, int], ...]:
    """Hosts and ports, at least one pair."""
    pairs = tuple(_address(word) for word in words(value))
    if not pairs:
        raise ValueError("host:port,host:port")
    return pairs


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
    """Options as ``name=value,name=value``; numbers, ``true`` and ``false`` become what they say."""
    options = {}
    for word in words(value):
        name, equals, text = map(str.strip, word.partition("="))
        if not equals or not name.isidentifier():
            raise ValueError("name=value,name=value such as socket_timeout=3,socket_keepalive=true")
        options[name] = _typed(text)
    return options


def _typed(text: str) -> str | float | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _is_number(text.removeprefix("-")):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
