"""What must not leave the process in a span, a log line or an error: passwords and secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

HIDDEN = "REDACTED"
"""What stands where a secret stood (the word of OpenTelemetry's semantic conventions)."""

# awsaccesskeyid, signature, sig, x-goog-signature: https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/
_NAME = r"(?:[\w.-]*(?:secret|password|passwd|pwd|token|api[_-]?key|signature)|awsaccesskeyid|sig)"
_NAMED = re.compile(_NAME, re.IGNORECASE)
# In JSON that is itself a text of JSON, quotes have backslashes.
_VALUE = r"""\\+"[^"\\]*\\+"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&;'"<>)\]}]+"""
_PAIR = re.compile(rf"""(?<![\w.-])({_NAME}(?:\\*['"])?\s*[=:]\s*)({_VALUE})""", re.IGNORECASE)
# In a web address a slash ends the host; in the URL of a database it may be part of the password. Everything has a
# greatest length, or a hostile text would take time that grows with the square of its own.
_CREDENTIALS = re.compile(r"(?<=://)([^\s/@:?#]{0,256}):[^\s/?#]{0,4096}@")
_DATABASE = re.compile(r"\b((?!https?:)[a-z][a-z0-9+.-]{0,40}://[^\s/@:?#]{0,256}):[^\s'\"]{0,4096}@", re.IGNORECASE)
_DSN_KEY = re.compile(r"(?<=://)[0-9a-f]{32}(?=[:@])", re.IGNORECASE)
"""The key of Sentry's in a DSN."""
_PARAMETERS = re.compile(r"\[parameters: .*?(?:\](?=\s|$)|\Z)", re.DOTALL)
"""What SQLAlchemy adds to its errors; one that is cut off is hidden to its end."""
_PIPELINE = re.compile(r"(Command # \d+ \(\w+)[^)]*\)?")
"""What redis-py adds to its errors."""
_more: re.Pattern[str] | None = None


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a name, such as that of a variable, is one of a secret."""
    return _NAMED.fullmatch(name) is not None


def query(text: str) -> str:
    """A query string whose secret values are hidden, however their names are escaped."""
    if not text:
        return text
    return "&".join(_hide_value(pair) for pair in text.split("&"))


def path(environ: Mapping[str, Any]) -> str:
    """The path of a WSGI request, for people; any bytes are a path."""
    raw = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return anywhere(raw.encode("latin-1", "replace").decode("utf-8", "replace"))


def url(text: str) -> str:
    """A URL whose password and secret parameters are hidden; the user's name stays."""
    before, mark, rest = _credentials(text).partition("?")
    parameters, hash_mark, fragment = rest.partition("#")
    return before + mark + query(parameters) + hash_mark + fragment


def anywhere(text: str, *, values: bool = True) -> str:
    """Free text in which passwords and secret parameters are hidden.

    Args:
        text: of any kind.
        values: whether the values of failed statements and commands are hidden too.
    """
    if values:
        text = _PIPELINE.sub(r"\1 …)", _PARAMETERS.sub(f"[parameters: {HIDDEN}]", text))
    hidden = _PAIR.sub(rf"\1{HIDDEN}", _credentials(text))
    return hidden if _more is None else _more.sub(HIDDEN, hidden)


def quickly(text: str) -> str:
    """As `anywhere`, after a look whether there can be a secret at all: nearly every text of a log has none.

    One of the words below stands in every text that the patterns above change.
    """
    low = text.lower()
    if (
        _more is not None
        or "secret" in low
        or "passw" in low
        or "pwd" in low
        or "token" in low
        or "key" in low
        or "sig" in low
        or "://" in low
        or "[parameters: " in low
        or "command # " in low
    ):
        return anywhere(text)
    return text


def hide(pattern: str) -> None:
    """Hide what matches a regular expression, too, in everything that leaves the process.

    Args:
        pattern: of the `re` module; keep it free of nested repetitions.

    Raises:
        re.error: it is no pattern.
    """
    global _more  # noqa: PLW0603  # of the process
    re.compile(pattern)
    _more = re.compile(f"{_more.pattern}|(?:{pattern})" if _more is not None else f"(?:{pattern})")


def rules() -> object:
    """Changes whenever more is to be hidden than before."""
    return _more


def _credentials(text: str) -> str:
    return _DSN_KEY.sub(HIDDEN, _CREDENTIALS.sub(rf"\1:{HIDDEN}@", _DATABASE.sub(rf"\1:{HIDDEN}@", text)))


def _hide_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and _NAMED.fullmatch(unquote_plus(name)) else pair
