"""The texts of a `Server-Timing` header.

https://www.w3.org/TR/server-timing/
"""

from __future__ import annotations

_TOKEN_CHARS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

LONG = 0.01
"""Seconds below which a time has its text in `SHORT`."""
SHORT = tuple(f"{hundredths / 100:.2f}" for hundredths in range(1001))
"""Milliseconds of times below `LONG`, made once, as formatting a float costs a request 3 %."""


def milliseconds(seconds: float) -> str:
    """A time of any length in milliseconds."""
    return f"{seconds * 1000:.2f}"


def description(name: str) -> str:
    """The name of a route as the header takes it: a token, else a quoted string (RFC 9110)."""
    if _TOKEN_CHARS.issuperset(name):
        return name
    printable = "".join(c if " " <= c <= "~" else "_" for c in name)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
