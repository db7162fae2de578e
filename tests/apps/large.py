"""An application with 500 routes and 200 loggers, for gunicorn."""

from __future__ import annotations

import logging
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

import c2cotel

ROUTES = 500
LOGGERS = 200


def application() -> Any:
    """``/section/{n}`` for each n; ``/fail`` fails."""
    logging.basicConfig(level=logging.WARNING)
    for number in range(LOGGERS):
        logging.getLogger(f"large.{('orders', 'stock', 'mail', 'auth')[number % 4]}.part{number}")
    with Configurator() as config:
        c2cotel.setup(config)

        def section(_: Request) -> Any:
            return {}

        def fail(_: Request) -> Any:
            raise RuntimeError("duplicate key")

        for number in range(ROUTES):
            config.add_route(f"section_{number}", f"/section/{number}")
            config.add_view(section, route_name=f"section_{number}", renderer="json")
        config.add_route("fail", "/fail")
        config.add_view(fail, route_name="fail", renderer="json")
    return config.make_wsgi_app()
