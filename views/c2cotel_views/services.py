"""Cornice services that answer to every origin.

::

    hello_service = services.create("hello", "/hello", cors_credentials=True)

    @hello_service.get()
    def hello_get(request):
        return {"hello": True}
"""

from __future__ import annotations

from typing import Any

from cornice import Service
from cornice.renderer import CorniceRenderer
from pyramid.request import Request


def _refuse(request: Request) -> Any:
    """What a validator found, as cornice shows it; cornice itself would ask the service's renderer for that."""
    return CorniceRenderer().render_errors(request)


_DEFAULTS = {
    "cors_origins": "*",
    "cors_max_age": 86400,
    "http_cache": 0,
    "renderer": "fast_json",
    "error_handler": _refuse,
}


def create(name: str, path: str, **kwargs: Any) -> Service:
    """A service for every origin, not to be cached by default, found by `config.scan` where it is made.

    Args:
        name: of the service and of its route.
        path: the pattern of its route.
        kwargs: of `cornice.Service`; they win over the defaults ``cors_origins="*"``, ``cors_max_age=86400`` (seconds),
            ``http_cache=0`` and ``renderer="fast_json"``.
    """
    given = {**_DEFAULTS, **kwargs}
    # One frame further out than cornice expects: the module to scan is that of our caller.
    given["depth"] = given.get("depth", 1) + 1
    return Service(name, path, **given)
