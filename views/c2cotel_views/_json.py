"""JSON as all answers have it: keys sorted, indented by 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import orjson
from pyramid.httpexceptions import HTTPException
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import note_rendering, telemetry_of

# A data class is offered to the caller's `default` first.
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
_SMALLEST, _GREATEST = -(2**63), 2**64 - 1


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """The value as UTF-8 JSON.

    Beyond what orjson takes: `Decimal` (as a number), sets, named tuples, keys of any type, integers of any size, texts
    with lone surrogates. What is no number in JSON (NaN, infinity) is ``null``.

    Args:
        value: of any type.
        default: gives what stands for an object of another type; raises `TypeError` if nothing does.

    Raises:
        TypeError: the value holds something that JSON cannot, or itself.
    """

    def convert(other: Any) -> Any:
        if isinstance(other, Decimal):
            return orjson.Fragment(str(other)) if other.is_finite() else None
        if isinstance(other, (set, frozenset, tuple)):
            return _encodable(list(other))
        if default is not None and not (is_dataclass(other) and not hasattr(other, "__json__")):
            return _encodable(default(other))
        if is_dataclass(other) and not isinstance(other, type):
            return _encodable({field.name: getattr(other, field.name) for field in fields(other)})
        raise TypeError(f"{type(other).__name__} is not JSON serializable")

    try:
        return orjson.dumps(value, convert, _OPTIONS)
    except TypeError as error:
        _raise_cause(error)
    try:
        return orjson.dumps(_encodable(value), convert, _OPTIONS)
    except TypeError as error:
        _raise_cause(error)
        raise
    except RecursionError as error:
        raise TypeError("The value holds itself, or is nested too deeply") from error


def answer(value: Any, request: Request) -> Response:
    """A response that holds the value, whose rendering is timed as that of any other view."""
    clock = telemetry_of(request.registry).clock
    start = clock()
    response = Response(dumps(value) + b"\n", content_type="application/json")
    note_rendering(request, clock() - start)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def refusal(kind: type[HTTPException], message: str) -> HTTPException:
    """An HTTP error to raise, which is JSON whether the application shows errors itself or leaves that to us."""
    body = dumps({"message": message, "status": kind.code}) + b"\n"
    error = kind(message, body=body, content_type="application/json")
    error.cache_control = "no-cache, no-store"
    error.headers["X-Content-Type-Options"] = "nosniff"
    return error


def _raise_cause(error: TypeError) -> None:
    """What `default` raised says more than orjson's own error around it."""
    if error.__cause__ is not None:
        raise error.__cause__


def _encodable(value: Any) -> Any:
    """The same, made of what orjson encodes or asks `convert` for; it is slow, and few values need it."""
    if isinstance(value, dict):
        return {_key(key): _encodable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_encodable(inner) for inner in value]
    if isinstance(value, str):
        return value if _is_utf8(value) else orjson.Fragment(json.dumps(value))
    if isinstance(value, int) and not _SMALLEST <= value <= _GREATEST:
        return orjson.Fragment(int.__repr__(value))
    return value


def _key(key: Any) -> str:
    """A key as the standard library writes it; one that it refuses becomes its text."""
    if key is None or isinstance(key, (bool, int, float)):
        return json.dumps(key)
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    return text if _is_utf8(text) else text.encode("utf-8", "replace").decode()


def _is_utf8(text: str) -> bool:
    return text.isprintable() or not any("\ud800" <= character <= "\udfff" for character in text)
