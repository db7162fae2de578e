"""The id that one request carries through logs, databases and other services."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from itertools import count
from random import getrandbits
from typing import Any
from uuid import uuid4

from c2cotel.background import forks

HEADERS = ("X-Request-ID", "X-Correlation-ID", "Request-ID", "X-Varnish", "X-Amzn-Trace-Id")
"""Where an incoming id is looked for, in this order, after `C2C_REQUEST_ID_HEADER`."""

MAX_LENGTH = 128

_UNPRINTABLE = re.compile(r"[^ -~]+")

Current = tuple[str, list[float]]
"""What is known of the request that a thread or task works for: its id, and the seconds of each rendering so far."""

current: ContextVar[Current | None] = ContextVar("c2c_request", default=None)


def current_id() -> str | None:
    """The id of the request that this thread or task works for; None outside of one."""
    known = current.get()
    return None if known is None else known[0]


def environ_key(header: str) -> str:
    """Where a WSGI environ has a header (PEP 3333)."""
    return "HTTP_" + header.upper().replace("-", "_")


def environ_keys(extra_header: str | None) -> tuple[str, ...]:
    """Where a WSGI environ has the headers that may hold an id, in the order they are looked at."""
    return tuple(map(environ_key, (extra_header, *HEADERS) if extra_header else HEADERS))


def read(environ: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    """The caller's id: printable ASCII, 128 characters at most; None when there is none."""
    for key in keys:
        if key in environ and (found := clean(environ[key])):
            return found
    return None


def clean(text: str) -> str:
    """Printable ASCII of a text, blanks at its ends dropped, cut at 128 characters."""
    return _UNPRINTABLE.sub("", text).strip()[:MAX_LENGTH].rstrip()


class Ids:
    """Makes ids: UUIDs (version 4, RFC 9562) of which this process makes none twice.

    The last 90 bits are random and the process's own; the first 32 count, scattered so that ids of neighbouring
    requests differ at first glance. `uuid.uuid4` costs six times as much.
    """

    def __init__(self) -> None:
        self._renew()
        forks.watch(self)

    def __call__(self) -> str:
        return "%08x-%s" % (self._next() * _ODD & 0xFFFFFFFF, self._own)  # noqa: UP031  # half the time of an f-string

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        """A child makes other ids than its parent."""
        self._renew()

    def _renew(self) -> None:
        self._own = str(uuid4())[9:]
        self._next = count(getrandbits(32)).__next__


_ODD = 0x9E3779B1
"""Odd, so that multiplying by it modulo 2**32 maps no two numbers to one (Knuth, The Art of Computer Programming 6.4)."""


def from_trace(trace_id: int) -> str:
    """A trace id in the form of a UUID, so that either finds the other."""
    digits = f"{trace_id:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
