"""What must not leave the process in a span, a log line or an error: passwords and secrets."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

HIDDEN = "REDACTED"
"""What stands where a secret stood (the word of OpenTelemetry's semantic conventions)."""

_NAMES = frozenset(
    {
        "secret",
        "password",
        "passwd",
        "pwd",
        "token",
        "access_token",
        "api_key",
        "apikey",
        "x-api-key",
        # https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/ names these four
        "awsaccesskeyid",
        "signature",
        "sig",
        "x-goog-signature",
    }
)
# In a web address a slash ends the host; in the URL of a database it may be part of the password.
_CREDENTIALS = re.compile(r"(?<=://)([^\s/@:?#]*):[^\s/?#]*@")
_DATABASE = re.compile(r"\b((?!https?:)[a-z][a-z0-9+.-]*://[^\s/@:?#]*):[^\s'\"]*@", re.IGNORECASE)
_PAIR = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True)) + r")=[^\s&;,'\"<>)]+", re.IGNORECASE
)


def query(text: str) -> str:
    """A query string whose secret values are hidden, however their names are escaped."""
    if not text:
        return text
    return "&".join(_hide_value(pair) for pair in text.split("&"))


def url(text: str) -> str:
    """A URL whose password and secret parameters are hidden; the user's name stays."""
    before, mark, rest = _credentials(text).partition("?")
    parameters, hash_mark, fragment = rest.partition("#")
    return before + mark + query(parameters) + hash_mark + fragment


def anywhere(text: str) -> str:
    """Free text in which passwords of URLs and values of secret parameters are hidden."""
    return _PAIR.sub(rf"\1={HIDDEN}", _credentials(text))


def _credentials(text: str) -> str:
    return _CREDENTIALS.sub(rf"\1:{HIDDEN}@", _DATABASE.sub(rf"\1:{HIDDEN}@", text))


def _hide_value(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and unquote_plus(name).lower() in _NAMES else pair
