"""The application whose errors and services the end-to-end tests ask for; it logs JSON."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPTooManyRequests
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel.logs import JsonLogHandler
from c2cotel_views import services

thing_service = services.create("thing", "/thing", cors_credentials=True)


@thing_service.get()
def thing_get(_: Request) -> dict[Any, Any]:
    """What only `fast_json` takes."""
    return {"pid": os.getpid(), 1: 2**64}


@thing_service.post()
def thing_post(request: Request) -> int:
    """How long the body is."""
    return len(request.body)


def fail(request: Request) -> None:
    """Fail as asked for."""
    if "busy" in request.GET:
        raise HTTPTooManyRequests("slower", headers=[("Retry-After", "3")])
    raise ValueError(f"no answer from {request.url}")


def main() -> Any:
    """The WSGI application."""
    logging.basicConfig(level=logging.INFO, handlers=[JsonLogHandler(sys.stdout)], force=True)
    with Configurator(settings={"c2c.base_path": "/c2c", "c2c.stats_view": "1"}) as config:
        c2cotel.setup(config)
        config.add_route("ready", "/ready")
        config.add_view(lambda _: Response("ready"), route_name="ready")
        config.add_route("fail", "/fail")
        config.add_view(fail, route_name="fail")
        config.scan(__name__)
    return config.make_wsgi_app()
