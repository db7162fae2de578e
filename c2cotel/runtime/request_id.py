"""The id that one request carries through logs, databases and other services."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from os import urandom
from typing import Any

HEADERS = ("X-Request-ID", "X-Correlation-ID", "Request-ID", "X-Varnish", "X-Amzn-Trace-Id")
"""Where an incoming id is looked for, in this order, after `C2C_REQUEST_ID_HEADER`."""

MAX_LENGTH = 128

_BATCH = 64
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
_UNPRINTABLE = re.compile(r"[^ -~]+")


def environ_key(header: str) -> str:
    """Where a WSGI environ has a header (PEP 3333)."""
    return "HTTP_" + header.upper().replace("-", "_")


def environ_keys(extra_header: str | None) -> tuple[str, ...]:
    """Where a WSGI environ has the headers that may hold an id, in the order they are looked at."""
    return tuple(map(environ_key, (extra_header, *HEADERS) if extra_header else HEADERS))


def read(environ: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    """The caller's id: printable ASCII, 128 characters at most; None when there is none."""
    for key in keys:
        if key in environ and (request_id := clean(environ[key])):
            return request_id
    return None


def clean(text: str) -> str:
    """Printable ASCII of a text, blanks at its ends dropped, cut at 128 characters."""
    return _UNPRINTABLE.sub("", text).strip()[:MAX_LENGTH].rstrip()


class Ids:
    """Makes random UUIDs (version 4, RFC 9562), many at a time: one by one they cost a request three times as much."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def take(self) -> str:
        """An id that nobody else has."""
        try:
            return self._made.pop()
        except IndexError:
            self._made.extend(_uuids(_BATCH))
            return self._made.pop()

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        """The parent uses those that are made."""
        self._made.clear()


def _uuids(number: int) -> Iterator[str]:
    digits = urandom(16 * number).hex()
    for at in range(0, len(digits), 32):
        d = digits[at : at + 32]
        yield f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{_VARIANT[d[16]]}{d[17:20]}-{d[20:]}"


def from_traceparent(traceparent: str) -> str:
    """The trace id of a W3C `traceparent` in the form of a UUID, so that either finds the other."""
    d = traceparent[3:35]
    return f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}"
