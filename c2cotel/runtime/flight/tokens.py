"""Tokens that ask for everything about a request: signed with the secret, for a time, a route and a number of uses."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2cotel.broadcast import Store

HEADER = "X-C2C-Debug"
ENVIRON_KEY = "HTTP_X_C2C_DEBUG"

LONGEST = 512
"""Characters of a token; longer ones are not looked at."""

MOST_USES = 1000
MOST_MINUTES = 24 * 60
SHORTEST_SECRET = 16
"""Characters of a secret that cannot be guessed from a token."""

_TOKEN = re.compile(
    r"(?P<payload>(\d{1,12})\.(\d{1,4})\.([0-9a-f]{16})\.([A-Za-z0-9_-]{0,340}))\.([0-9a-f]{64})", re.ASCII
)
_PURPOSE = b"c2cotel debug token"
_ONWARD_SECONDS = 60
_ONWARD_USES = 20


@dataclass(frozen=True)
class Token:
    """A token whose signature is right.

    Args:
        until: End of its time, seconds since the epoch.
        uses: Number of requests that it is for.
        nonce: Tells it from others.
        route: Name of the route that it is for; empty for any.
    """

    until: int
    uses: int
    nonce: str
    route: str


def make(secret: str, seconds: float, *, route: str = "", uses: int = 1) -> str:
    """Make a token.

    Args:
        secret: The secret of the services that take it.
        seconds: How long it is valid.
        route: Name of the route that it is for; empty for any.
        uses: Number of requests that it is for, up to `MOST_USES`.
    """
    name = urlsafe_b64encode(route.encode()).decode().rstrip("=")
    payload = f"{int(time.time() + seconds)}.{uses}.{secrets.token_hex(8)}.{name}"
    return f"{payload}.{_signature(secret, payload)}"


def read(secret: str, text: str) -> Token | None:
    """The token in a text, if it is signed with the secret and in time; else None, in a time that tells nothing."""
    if len(text) > LONGEST:
        return None
    match = _TOKEN.fullmatch(text)
    if match is None or not hmac.compare_digest(match[6], _signature(secret, match["payload"])):
        return None
    until = int(match[2])
    if until < time.time():
        return None
    encoded = match[5]
    try:
        route = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return None
    return Token(until, int(match[3]), match[4], route)


def onward(secret: str) -> str:
    """A token for the calls that a request with a token makes: other services that have the secret take it."""
    return make(secret, _ONWARD_SECONDS, uses=_ONWARD_USES)


def use(token: Token, folder: Path | None, shared: Store | None) -> bool:
    """Count a use of a token; returns whether there was one left.

    Args:
        token: Its signature is right.
        folder: Where the processes of the host count; None without one: then it has no use at all.
        shared: Where those of all hosts count; None without one, and where it does not answer the host counts.
    """
    if shared is not None:
        key = shared.key(f"token-{token.nonce}")

        def increment(client: Any) -> int:
            number = int(client.incr(key))
            if number == 1:
                client.expire(key, max(1, token.until - int(time.time()) + 1))
            return number

        with suppress(Exception):  # Redis is away: the host still counts
            return shared.ask(increment) <= token.uses
    return folder is not None and _use_on_host(token, folder)


def _use_on_host(token: Token, folder: Path) -> bool:
    path = folder / token.nonce
    try:
        _remove_expired(folder)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        number = int(os.read(handle, 16).partition(b" ")[0] or 0) + 1
        os.pwrite(handle, f"{number} {token.until}".encode(), 0)
        return number <= token.uses
    except (OSError, ValueError):
        return False
    finally:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # a process that was forked meanwhile has the file open, too
        os.close(handle)


def _remove_expired(folder: Path) -> None:
    for file in folder.iterdir():
        with suppress(OSError, ValueError):
            if int(file.read_text().partition(" ")[2] or 0) < time.time() and file.stat().st_size:
                file.unlink()


def _signature(secret: str, payload: str) -> str:
    key = hmac.digest(secret.encode("utf-8", "surrogateescape"), _PURPOSE, hashlib.sha256)
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()
