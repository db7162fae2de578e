"""The parameters of a view: declared once, they are read from requests, shown as form fields and documented.

::

    LIMIT = number("limit", "How many types are shown.", default=30, least=1)

    def view(request):
        most_common(LIMIT(request))
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from webob.multidict import MultiDict

from c2cotel_views._json import refusal

T = TypeVar("T")

_LONGEST_FORM = 65_536
"""Bytes of a form that is read; a longer body stays where it is."""

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_SHOWN = 100
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_FRACTION = re.compile(r"\.(\d{1,6})\d{0,12}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Parameter(Generic[T]):
    """A query or form parameter; calling it with a request gives its value.

    Attributes:
        name: of the parameter.
        doc: what it means, in one sentence.
        parse: text to value; raises `ValueError` whose message completes "expected ...".
        default: its value when it is missing or empty, as a form sends a field that nobody filled in.
        kind: the form field: ``flag``, ``number``, ``seconds``, ``milliseconds``, ``moment``, ``text`` or
            ``choice``.
        choices: what a `choice` may be.
        least: smallest number.
        most: greatest number, or most characters of a text.
    """

    name: str
    doc: str
    parse: Callable[[str], T]
    default: T
    kind: str = "text"
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    def __call__(self, request: Request) -> T:
        """The value that a request gives.

        Raises:
            HTTPBadRequest: the text is none of this parameter, or there are two; a JSON answer that names it.
        """
        given = texts(request, self.name)
        if len(given) > 1:
            raise refusal(HTTPBadRequest, f"{self.name}: given {len(given)} times, expected once")
        if not given or not given[0]:
            return self.default
        try:
            return self.parse(given[0])
        except ValueError as error:
            shown = given[0] if len(given[0]) <= _SHOWN else given[0][:_SHOWN] + "…"
            raise refusal(HTTPBadRequest, f"{self.name}={shown!r}: expected {error}") from None


def flag(name: str, doc: str, default: T) -> Parameter[bool | T]:
    """``1`` or ``0``."""

    def parse(text: str) -> bool:
        if text not in ("0", "1"):
            raise ValueError("1 or 0")
        return text == "1"

    return Parameter(name, doc, parse, default, "flag")


def number(name: str, doc: str, default: int, *, least: int = 0, most: int = 1_000_000) -> Parameter[int]:
    """A whole number."""

    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
            return int(text)
        raise ValueError(f"a whole number from {least} to {most}")

    return Parameter(name, doc, parse, default, "number", least=least, most=most)


def seconds(name: str, doc: str, default: T, *, most: float) -> Parameter[float | T]:
    """A number of seconds, 0 included."""

    def parse(text: str) -> float:
        if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)) and number <= most:
            return number
        raise ValueError(f"seconds from 0 to {most:g}, such as 0.5")

    return Parameter(name, doc, parse, default, "seconds", least=0, most=most)


def milliseconds(name: str, doc: str, default: T, *, most: float = 1e9) -> Parameter[float | T]:
    """A number of milliseconds, 0 included."""

    def parse(text: str) -> float:
        if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)) and number <= most:
            return number
        raise ValueError(f"milliseconds from 0 to {most:g}, such as 250")

    return Parameter(name, doc, parse, default, "milliseconds", least=0, most=most)


def moment(name: str, doc: str, default: T) -> Parameter[float | T]:
    """A time, as seconds since the epoch; without an offset it is UTC."""

    def parse(text: str) -> float:
        if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        # A plus sign in an address is a blank.
        written = text.replace("Z", "+00:00").replace(" ", "+" if "T" in text else " ")
        written = _FRACTION.sub(lambda match: f".{match[1]:0<6}", written, count=1)  # as Python 3.10 reads it
        try:
            time = datetime.fromisoformat(written)
            return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
        except (ValueError, OverflowError):
            raise ValueError("a time as in 2026-01-31T14:30:00Z, or seconds since 1970") from None

    return Parameter(name, doc, parse, default, "moment")


def text(name: str, doc: str, default: T, *, most: int = 1000) -> Parameter[str | T]:
    """Any text without control characters."""

    def parse(text: str) -> str:
        if len(text) > most or _CONTROL.search(text):
            raise ValueError(f"at most {most} characters, and no control characters")
        return text

    return Parameter(name, doc, parse, default, "text", most=most)


def words(name: str, doc: str) -> Parameter[tuple[str, ...]]:
    """Texts separated by commas, blanks around them dropped; empty when missing."""
    inner = text(name, doc, "", most=10_000)

    def parse(text: str) -> tuple[str, ...]:
        return tuple(word for word in map(str.strip, inner.parse(text).split(",")) if word)

    return Parameter(name, doc, parse, (), "text", most=inner.most)


def choice(name: str, doc: str, default: T, *choices: str) -> Parameter[str | T]:
    """One of some words, in any case; the value is as it stands in `choices`."""
    by_lower_case = {word.lower(): word for word in choices}

    def parse(text: str) -> str:
        if text.lower() not in by_lower_case:
            raise ValueError(f"one of {', '.join(choices)}")
        return by_lower_case[text.lower()]

    return Parameter(name, doc, parse, default, "choice", choices)


def texts(request: Request, name: str, *, form: bool = True) -> list[str]:
    """Every text that a request gives a parameter, in its query and, if it is a small form, in its body.

    Args:
        request: to any view.
        name: of the parameter.
        form: whether to look into the body.

    Raises:
        HTTPBadRequest: the query or the form cannot be read; a JSON answer.
    """
    try:
        values = [*request.GET.getall(name), *(_form(request).getall(name) if form else ())]
    except UnicodeDecodeError as error:
        raise refusal(HTTPBadRequest, f"The parameters are not UTF-8: {error.reason}") from None
    except (DeprecationWarning, LookupError, OSError, ValueError) as error:  # WebOb raises the first one
        raise refusal(HTTPBadRequest, f"The form cannot be read: {type(error).__name__}") from None
    if not all(isinstance(value, str) for value in values):
        raise refusal(HTTPBadRequest, f"{name}: expected a text, not a file")
    return values


def _form(request: Request) -> MultiDict[str, Any]:
    if (
        request.method != "POST"
        or request.content_type not in _FORMS
        or request.content_length is None
        or request.content_length > _LONGEST_FORM
    ):
        return MultiDict()
    return request.POST  # type: ignore[return-value]  # not NoVars: that is for other content types
