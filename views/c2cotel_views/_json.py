"""JSON as all answers have it: keys sorted, indented by 2."""

from __future__ import annotations

from typing import Any

import orjson
from pyramid.httpexceptions import HTTPException
from pyramid.response import Response

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


def dumps(value: Any) -> bytes:
    """The value as UTF-8 JSON."""
    return orjson.dumps(value, option=_OPTIONS)


def answer(value: Any) -> Response:
    """A response that holds the value."""
    return Response(dumps(value), content_type="application/json", charset="UTF-8")


def refusal(kind: type[HTTPException], message: str) -> HTTPException:
    """An HTTP error to raise, which is JSON whether the application shows errors itself or leaves that to us."""
    body = dumps({"message": message, "status": kind.code})
    error = kind(message, body=body, content_type="application/json", charset="UTF-8")
    error.cache_control = "no-cache, no-store"
    return error
