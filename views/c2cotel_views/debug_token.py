"""Makes tokens with which one request is traced, kept and logged with everything."""

from __future__ import annotations

from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import ApplicationSettings, FlightRecorderSettings, Settings, debug_tokens, settings_of
from c2cotel_views._frame import framed
from c2cotel_views._parameters import number, text
from c2cotel_views._view import View

ROUTE = text("route", "Name of the route that the token is for; any if it is left out.", "", most=200)
MINUTES = number("minutes", "How long it is valid.", 15, least=1, most=debug_tokens.MOST_MINUTES)
USES = number("uses", "Number of requests that it is for.", 1, least=1, most=debug_tokens.MOST_USES)


def view(request: Request) -> dict[str, Any] | Response:
    """Make a token; a browser gets a page with it."""
    secret = settings_of(request.registry).section(ApplicationSettings).secret or ""
    route, minutes, uses = ROUTE(request), MINUTES(request), USES(request)
    made = debug_tokens.make(secret, minutes * 60, route=route, uses=uses)
    answer = {"token": made, "header": debug_tokens.HEADER, "route": route, "minutes": minutes, "uses": uses}
    if "text/html" not in request.headers.get("Accept", ""):
        return answer
    values = {**answer, "made": made, "too_short": len(secret) < debug_tokens.SHORTEST_SECRET}
    del values["token"]
    return framed(request, "debug_token.html", "c2c_requests", title="Debug token", **values)


def _enabled(settings: Settings) -> bool:
    return bool(settings.section(ApplicationSettings).base_path and settings.section(FlightRecorderSettings).enabled)


VIEWS = (
    View(
        path="/debug_token",
        route="c2c_debug_token",
        enabled=_enabled,
        view=view,
        title="Debug token",
        doc="Make a token for the header `X-C2C-Debug`: that request is traced, exported, and kept with its `DEBUG` "
        "records, the plan of each `SELECT` and a profile; present if the flight recorder is on.",
        parameters=(ROUTE, MINUTES, USES),
        protected=True,
        changes_state=lambda _: True,
    ),
)
