"""A form for every view that is served: what the index of 2018 was."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from c2cotel_views._auth import is_authorized
from c2cotel_views._frame import framed
from c2cotel_views._view import SERVED

ROUTE = "c2c_views"
_VERBS = {
    "c2c_health_check": "Run checks",
    "c2c_ready": "Run checks",
    "c2c_logging_level": "Show or set level",
    "c2c_sql_profiler": "Show or switch",
    "c2c_debug_sleep": "Sleep",
    "c2c_debug_error": "Fail",
    "c2c_debug_memory_diff": "Call and compare",
    "c2c_debug_token": "Make a token",
}
"""What the button of a form says, where it is not *Show*."""


def page(request: Request) -> Response:
    """The forms, in the frame."""
    return forms_page(request, ROUTE)


def forms_page(request: Request, current: str, **values: Any) -> Response:
    """The forms of the views that a request may see.

    Args:
        request: The request for the page.
        current: Route that the navigation marks.
        values: What else the template names.
    """
    authorized = is_authorized(request)
    served = [row for row in request.registry[SERVED] if row.title and (authorized or not row.protected)]
    return framed(
        request,
        "views.html",
        current,
        title="All views",
        rows=served,
        verbs={row.route: _VERBS.get(row.route, "Show") for row in served},
        url={row.route: request.route_url(row.route) for row in served},
        **{"without_secret": False, **values},
    )
