"""The frame of our pages: the service's name, the navigation, the search."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import telemetry_of
from c2cotel_views import _formats
from c2cotel_views._auth import is_authorized, token
from c2cotel_views._page import page
from c2cotel_views._view import SERVED

_HEALTH, _HOME, _SEARCH = "c2c_health_check", "c2c_index_slash", "c2c_requests"


def framed(request: Request, name: str, current: str, **values: Any) -> Response:
    """A page with the frame.

    Args:
        request: The request for it.
        name: Template of the page, in `pages`.
        current: Route that the navigation marks.
        values: What the template names.
    """
    authorized = is_authorized(request)
    rows = [row for row in request.registry[SERVED] if authorized or not row.protected]
    routes = {row.route for row in rows}
    return page(
        name,
        service=telemetry_of(request.registry).folder.service,
        navigation=[
            {"title": row.navigation, "url": request.route_path(row.route), "current": row.route == current}
            for row in rows
            if row.navigation
        ],
        health_url=request.route_path(_HEALTH) if _HEALTH in routes else None,
        home_url=request.route_path(_HOME),
        search_url=request.route_path(_SEARCH) if _SEARCH in routes else None,
        token=token(request),
        duration=_formats.duration,
        clock=_formats.clock,
        calls=_formats.calls,
        **values,
    )
