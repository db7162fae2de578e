"""CORS headers of what no CORS service answers (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

import re

from pyramid.request import Request
from pyramid.response import Response

_MAX_AGE = "86400"
_TOKENS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def allow(request: Request, response: Response) -> None:
    """Let scripts of every origin read a response; for a CORS service of cornice, cornice decides who may."""
    service = getattr(request, "current_service", None)
    if service is not None and service.cors_enabled:
        # Cornice looked at the origin for a response that is not sent; it looks again once it sees this one.
        request.info["cors_checked"] = False  # type: ignore[attr-defined]  # cornice's
    else:
        response.headers.setdefault("Access-Control-Allow-Origin", "*")


def allow_preflight(request: Request, response: Response) -> None:
    """Let a script of any origin send what it asks for."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Max-Age"] = _MAX_AGE
    for asked, allowed in (
        ("Access-Control-Request-Method", "Access-Control-Allow-Methods"),
        ("Access-Control-Request-Headers", "Access-Control-Allow-Headers"),
    ):
        if tokens := _TOKENS.findall(request.headers.get(asked, "")):
            response.headers[allowed] = ", ".join(tokens)
