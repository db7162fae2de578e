"""Whether the console is served, and which window of time a request to it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from c2cotel.plugin import ApplicationSettings, Settings, Telemetry, request_history, telemetry_of
from c2cotel_views._json import refusal
from c2cotel_views._parameters import choice

DEFAULT = "15m"
WINDOW = choice("window", "How far back: `15m`, `1h` or `24h`.", DEFAULT, *request_history.WINDOWS)


def enabled(settings: Settings) -> bool:
    """Whether there is a console: unless it is turned off, where there is a place for it and a secret."""
    application = settings.section(ApplicationSettings)
    wanted = bool(application.secret) if application.console is None else application.console
    return bool(application.base_path) and wanted


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Keep the history, and tell other hosts of it; returns what ends that."""
    telemetry.keep_history()
    return request_history.serve(history_of(telemetry))


def history_of(telemetry: Telemetry) -> Any:
    """The history of a process that has one.

    Raises:
        HTTPNotFound: It has none.
    """
    if telemetry.history is None:
        raise refusal(HTTPNotFound, "The history is off: set C2C_CONSOLE=1 and start the application again")
    return telemetry.history


def overview_of(request: Request) -> Any:
    """What all processes did in the window that a request names."""
    return request_history.overview(
        history_of(telemetry_of(request.registry)), request_history.WINDOWS[WINDOW(request)]
    )


def statements_of(request: Request) -> Any:
    """The statements of the window that a request names, and who did not answer."""
    window = request_history.WINDOWS[WINDOW(request)]
    return request_history.statements(history_of(telemetry_of(request.registry)), window)
