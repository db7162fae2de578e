"""Secrets in web addresses and in the URLs of databases."""

from __future__ import annotations

import re

from c2cotel.redaction._extents import HIDDEN, MOST_MARKS, MOST_SECRETS
from c2cotel.redaction._names import is_secret

_RUN = re.compile(r"""\s|["'`](?=[\s,;:)\}\]>\\]|\Z)|\\{1,15}["']|\Z""")
"""Where an address ends in free text."""

_MARK = re.compile(r":\\?/\\?/")
"""What follows the scheme; in JSON, slashes may have backslashes."""

_AUTHORITY = re.compile(r"[/?#\\]|\Z")
_SCHEME = "abcdefghijklmnopqrstuvwxyz0123456789+.-"
_WEB = frozenset({"http", "https", "ws", "wss"})
_MARKERS = frozenset({"", "x", "x-oauth-basic", "api_token", "apitoken", "api_key", "apikey", "token"})
"""What stands for the password where the user is a token."""

_KEY = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
"""A key of Sentry's in a DSN."""

_HOST = re.compile(r"[^\s/@:?#]{1,255}(?::\d{1,5})?(?:[/?#,]|\Z)")
_PORT = re.compile(r"\d{0,5}")
_ENCODED = re.compile(r"%(?:25){0,3}3a%(?:25){0,3}2f%(?:25){0,3}2f", re.IGNORECASE)
_ENCODED_PARTS = re.compile(r"""%(?:25){0,3}(?P<sign>40|3a|2f|3f)|(?P<end>[\s&"'<>]|\Z)""", re.IGNORECASE)


def hide_query(text: str) -> str:
    """A query string whose secret values are hidden, however their names are escaped and parted."""
    parts = []
    hidden = False
    for pair in text.split("&"):
        shown = []
        for part in pair.split(";"):
            name, equals, value = part.partition("=")
            if equals:
                hidden = is_secret(name)
                shown.append(f"{name}={HIDDEN}" if hidden and value else part)
            elif not (hidden and part and part != "amp"):  # otherwise it belongs to the secret before it
                shown.append(part)
        if shown:
            parts.append(";".join(shown))
    return "&".join(parts)


def hide_credentials(text: str, low: str, *, is_cut: bool) -> str:
    """The text with passwords, and tokens in the place of users, hidden in every URL.

    Args:
        text: any.
        low: the same in lower case, of the same length.
        is_cut: whether the text ends where somebody cut it, maybe in a password.
    """
    parts: list[str] = []
    done = run_end = last_at = 0
    at = addresses = 0
    while (mark := _MARK.search(low, at)) is not None:
        addresses += 1
        if addresses > MOST_MARKS:
            return "".join([*parts, text[done : mark.start()], HIDDEN])
        start = mark.end()
        if start > run_end:
            run = _RUN.search(text, start)
            assert run is not None
            run_end = run.start()
            last_at = text.rfind("@", start, run_end)
        end, shown = _hidden(text, _scheme(low, mark.start()), start, run_end, last_at)
        if is_cut and shown is None and run_end == len(text) and _may_be_cut(text, start, run_end):
            end, shown = run_end, HIDDEN
        if shown is not None:
            parts += [text[done:start], shown]
            done = start = end
            if len(parts) >= 2 * MOST_SECRETS:
                return "".join([*parts, HIDDEN])
        at = start
    return "".join([*parts, text[done:]]) if parts else text


def hide_encoded_credentials(text: str) -> str:
    """The text with what stands between `://` and `@` hidden where both are percent-encoded."""
    parts: list[str] = []
    done = at = signs = 0
    while (mark := _ENCODED.search(text, at)) is not None:
        at = mark.end()
        user_end = last = 0
        while (sign := _ENCODED_PARTS.search(text, at)) is not None and sign["end"] is None:
            signs += 1
            if signs > MOST_MARKS:
                return "".join([*parts, text[done:at], HIDDEN])
            at = sign.end()
            if sign["sign"] == "40":
                last = sign.start()
            elif sign["sign"].lower() == "3a" and not user_end:
                user_end = sign.end()
            elif sign["sign"].lower() in ("2f", "3f") and last:
                break
        start = user_end or mark.end()
        if last > start:
            parts += [text[done:start], HIDDEN]
            done = last
    return "".join([*parts, text[done:]]) if parts else text


def _scheme(low: str, mark: int) -> str:
    before = low[max(0, mark - 40) : mark]
    return before[len(before.rstrip(_SCHEME)) :]


def _hidden(text: str, scheme: str, start: int, run_end: int, last_at: int) -> tuple[int, str | None]:
    """Where the credentials that begin at a position end, and what is shown of them; None for all of it."""
    if last_at < start:
        return start, None
    end = last_at
    if scheme in _WEB:
        authority = _AUTHORITY.search(text, start, run_end)
        assert authority is not None
        in_authority = text.rfind("@", start, authority.start())
        if in_authority >= 0:
            end = in_authority
        else:
            _, colon, port = text[start : authority.start()].rpartition(":")
            if not colon or _PORT.fullmatch(port) or text.startswith("[", start):
                return start, None  # a host, and an @ in the path
        user, colon, password = text[start:end].partition(":")
        if not colon:
            return end, HIDDEN
        is_key = password.lower() in _MARKERS or _KEY.fullmatch(user) is not None
        return end, f"{HIDDEN if is_key else user}:{HIDDEN}"
    following = text.find("://", start, end)
    if following >= 0 and (first := text.rfind("@", start, following)) >= 0:
        end = first  # more addresses, one after the other
    first = text.find("@", start, end + 1)
    if ":" not in text[start:first] and _HOST.match(text, first + 1, run_end):
        return (start, None) if _KEY.fullmatch(text, start, first) is None else (first, HIDDEN)
    user, colon, _ = text[start:end].partition(":")
    return (end, f"{user}:{HIDDEN}") if colon else (start, None)


def _may_be_cut(text: str, start: int, end: int) -> bool:
    """Whether what follows `://` to the end of the text may be the beginning of a password."""
    authority = _AUTHORITY.search(text, start, end)
    assert authority is not None
    after = text[start : authority.start()].partition(":")
    is_at_end = authority.start() == end
    return is_at_end or (bool(after[1]) and not after[2].isdigit())
