"""The page in the place of the CPU profiler's where that is off."""

from __future__ import annotations

from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import ApplicationSettings, Settings
from c2cotel_views._frame import framed
from c2cotel_views.console._switch import enabled as has_console

ROUTE = "c2c_profiling"


def enabled(settings: Settings) -> bool:
    """Whether there is a console and no profiler."""
    return has_console(settings) and not settings.section(ApplicationSettings).profiler_path


def page(request: Request) -> Response:
    """How to turn it on."""
    return framed(request, "profiler_off.html", ROUTE, title="Profiler")
