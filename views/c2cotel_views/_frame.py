"""The frame of our pages: the service's name, the navigation, the search."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import telemetry_of
from c2cotel_views import _formats
from c2cotel_views._auth import is_authorized, log_in, secret_came, token
from c2cotel_views._page import page
from c2cotel_views._view import SERVED

_HEALTH, _HOME, _SEARCH = "c2c_health_check", "c2c_index_slash", "c2c_requests"


def framed(request: Request, name: str, current: str, **values: Any) -> Response:
    """A page with the frame; with the secret, the browser gets a session, as the index gives it.

    Args:
        request: The request for it.
        name: Template of the page, in `pages`.
        current: Route that the navigation marks.
        values: What the template names.
    """
    authorized = is_authorized(request)
    rows = [row for row in request.registry[SERVED] if authorized or not row.protected]
    routes = {row.route for row in rows}
    session = Response()
    form_token = log_in(request, session) if secret_came(request) else token(request)
    response = page(
        name,
        service=telemetry_of(request.registry).folder.service,
        navigation=[
            {"title": row.navigation, "url": request.route_path(row.route), "current": row.route == current}
            for row in rows
            if row.navigation
        ],
        health_url=request.route_path(_HEALTH) if _HEALTH in routes else None,
        home_url=request.route_path(_HOME) if request.registry.getUtility(IRoutesMapper).get_route(_HOME) else None,
        search_url=request.route_path(_SEARCH) if _SEARCH in routes else None,
        token=form_token,
        duration=_formats.duration,
        elapsed=_formats.elapsed,
        clock=_formats.clock,
        calls=_formats.calls,
        rate=_formats.rate,
        percent=_formats.percent,
        ms=_formats.ms,
        day_time=_formats.day_time,
        **values,
    )
    response.headers.extend((name, value) for name, value in session.headerlist if name == "Set-Cookie")
    return response


def redirect(request: Request, address: str) -> Response:
    """An answer that leads to another one of our pages; with the secret, the browser gets a session for it."""
    response: Response = HTTPSeeOther(address)
    if secret_came(request):
        log_in(request, response)
    return response
