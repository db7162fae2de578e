"""What must not leave the process in a span, a log line or an error: passwords and secrets.

Everything here takes time that grows with the length of a text, whatever it says, and never raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from c2cotel import state
from c2cotel.redaction._addresses import hide_credentials, hide_encoded_credentials, hide_query
from c2cotel.redaction._extents import HIDDEN, lower
from c2cotel.redaction._names import is_secret
from c2cotel.redaction._pairs import hide_options, hide_pairs
from c2cotel.redaction._quotes import hide_quoted, hide_tokens, may_quote
from c2cotel.redaction._values import Hiding

__all__ = [
    "HIDDEN",
    "LONGEST",
    "anywhere",
    "cut",
    "error_text",
    "hide",
    "is_secret",
    "path",
    "query",
    "quickly",
    "rules",
    "url",
    "value",
]

LONGEST = 100_000
"""Characters of a text that are worth sending: cut what is longer by `cut`."""

_MARGIN = 512
"""Characters after a cut that are looked at, so that it splits no secret."""

_MOST_ROUNDS = 4
_MOST_ESCAPES = 2
"""How many times a text may have been made a literal."""
_ESCAPE = re.compile(r"""\\(['"nrt/\\])""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class _Rules:
    """What an application hides beside what is hidden anyway.

    Attributes:
        pattern: Matches it; None for nothing.
    """

    def __init__(self) -> None:
        self.pattern: re.Pattern[str] | None = None

    def reset(self) -> None:
        """Hide nothing more."""
        self.pattern = None


_rules = state.of(_Rules)


def anywhere(text: str, *, values: bool = True) -> str:
    """Free text in which passwords and secrets are hidden.

    Args:
        text: Any text, of any length.
        values: Whether what the errors of servers quote of their input is hidden, too.

    Returns:
        The same text byte for byte where it holds no secret.
    """
    return _redacted(text, values=values, is_cut=False)


quickly = anywhere
"""The same: a text without any sign of a secret costs less than a microsecond."""


def cut(text: str, longest: int = LONGEST, *, values: bool = True) -> str:
    """The beginning of a text, secrets hidden, also one that the cut would split.

    Args:
        text: Any text.
        longest: Characters that stay.
        values: As for `anywhere`.
    """
    if len(text) <= longest:
        return _redacted(text, values=values, is_cut=False)
    window = text[: longest + _MARGIN]
    hidden = _redacted(window, values=values, is_cut=True)
    after = window[longest:]
    common = 0
    while common < len(after) and hidden.endswith(after[len(after) - common - 1 :]):
        common += 1
    return hidden[: len(hidden) - common][:longest]


def error_text(error: BaseException, longest: int = LONGEST, *, values: bool = True) -> str:
    """What an exception says, secrets hidden; the name of its type if it says nothing or cannot.

    Args:
        error: Any exception.
        longest: Characters that stay.
        values: Whether what it quotes of statements, commands and their values is hidden, too.
    """
    try:
        text = str.__str__(str(error))
    except (Exception, SystemExit):  # noqa: BLE001  # an exception of the application may do anything
        text = ""
    return cut(text, longest, values=values) or type(error).__name__


def value(anything: Any) -> Any:
    """A value of any kind, secrets hidden in every text and under every secret name in it.

    Returns:
        Text, bytes, numbers, booleans and None, in dicts, lists and tuples: no object of the application. Other
        objects are their text; what lies too deep, is too much or contains itself is `…`.
    """
    return Hiding(_of_value).value(anything)


def query(text: str) -> str:
    """A query string whose secret values are hidden, however their names are escaped."""
    return anywhere(hide_query(text)) if "=" in text else text


def path(environ: Mapping[str, Any]) -> str:
    """The path of a WSGI request, for people; any bytes are a path."""
    raw = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return anywhere(raw.encode("latin-1", "replace").decode("utf-8", "replace"))


def url(text: str) -> str:
    """A URL whose password and secret parameters are hidden; the user's name stays unless it is a token."""
    before, mark, rest = anywhere(text).partition("?")
    parameters, hash_mark, fragment = rest.partition("#")
    return before + mark + hide_query(parameters) + hash_mark + hide_query(fragment)


def hide(pattern: str) -> None:
    """Hide what matches a regular expression, too, in everything that leaves the process.

    Args:
        pattern: Of the `re` module; keep it free of nested repetitions.

    Raises:
        re.error: It is no pattern.
    """
    re.compile(pattern)
    earlier = _rules.pattern
    _rules.pattern = re.compile(f"{earlier.pattern}|(?:{pattern})" if earlier is not None else f"(?:{pattern})")


def rules() -> object:
    """Changes whenever more is to be hidden than before."""
    return _rules.pattern


def _redacted(text: str, *, values: bool, is_cut: bool) -> str:
    low = text.lower()
    # One of these stands in every text in which there is something to hide.
    if (
        "secret" in low
        or "pass" in low
        or "pw" in low
        or "token" in low
        or "key" in low
        or "sig" in low
        or "auth" in low
        or "://" in low
        or "cookie" in low
        or "bearer" in low
        or "eyj" in low
        or "%" in low
        or "curl" in low
        or "command # " in low
        or "parameters: " in low
        or (
            ("=" in low or "'" in low or '"' in low)
            and ("sess" in low or "headers" in low or "identified" in low or "\\/" in low or may_quote(low))
        )
    ):
        text = _with_escapes(_thoroughly(text, values=values, is_cut=is_cut), values=values, is_cut=is_cut)
    more = _rules.pattern
    return text if more is None else more.sub(HIDDEN, text)


def _thoroughly(text: str, *, values: bool, is_cut: bool) -> str:
    """The text redacted until nothing changes: what one rule leaves may be what another one hides."""
    for _ in range(_MOST_ROUNDS):
        before = text
        if values:
            text = hide_quoted(text, lower(text))
        text = hide_tokens(text, lower(text), is_cut=is_cut)
        if "://" in text or ":\\/" in text:
            text = hide_credentials(text, lower(text), is_cut=is_cut)
        if "%" in text:
            text = hide_encoded_credentials(text)
        text = hide_pairs(text, lower(text))
        text = hide_options(text, lower(text))
        if text == before:
            break
    return text


def _with_escapes(text: str, *, values: bool, is_cut: bool) -> str:
    """The text redacted as a literal of Python or JSON too, where its line breaks, quotes and slashes are escaped.

    Args:
        text: The text, redacted as it stands.
        values: As for `anywhere`.
        is_cut: Whether the text goes on.
    """
    hidden = text
    for _ in range(_MOST_ESCAPES):
        if "\\" not in hidden:
            break
        literal = _ESCAPE.sub(_unescaped, hidden)
        if literal == hidden:
            break
        better = _thoroughly(literal, values=values, is_cut=is_cut)
        if better != literal:
            return better
        hidden = literal
    return text


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[1])


def _of_value(text: str) -> str:
    return cut(text)
