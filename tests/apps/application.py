"""Small Pyramid applications for tests, entered through the user's door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from webtest import TestApp

import c2cotel


class Application:
    """An application with c2cotel and some views.

    Args:
        ini: the settings of its configurator.
        configure: adds more, after `setup`.
        setup: arguments of `c2cotel.setup`.
    """

    def __init__(
        self,
        ini: dict[str, Any] | None = None,
        configure: Callable[[Configurator], object] = lambda _: None,
        **setup: Any,
    ) -> None:
        with Configurator(settings=ini or {}) as config:
            self.telemetry = c2cotel.setup(config, **setup)
            configure(config)
        self.wsgi = config.make_wsgi_app()
        self.http = TestApp(self.wsgi)

    def finish(self) -> None:
        """Send everything."""
        self.telemetry.close()


def start_response(*_: Any) -> Callable[[bytes], object]:
    """A server that does not care what it is answered."""
    return lambda _: None


def view(function: Callable[[Request], Any], pattern: str = "/hello", **options: Any) -> Callable[[Configurator], None]:
    """Adds one view; its route is named as the function."""

    def configure(config: Configurator) -> None:
        config.add_route(function.__name__, pattern)
        config.add_view(function, route_name=function.__name__, **options)

    return configure
