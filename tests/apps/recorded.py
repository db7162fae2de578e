"""An application with a flight recorder, for gunicorn: ``/hello``, ``/fail``, ``/slow``, ``/fork`` and ``/die``."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

import c2cotel

_log = logging.getLogger("app")
_log.setLevel(logging.INFO)


def _hello(_: Request) -> Any:
    return {"pid": os.getpid()}


def _fail(request: Request) -> Any:
    _log.warning("x" * int(str(request.params.get("log", "10"))))
    raise ValueError(f"failure {request.params['n']}")


def _slow(request: Request) -> Any:
    _log.info("slow %s", request.params["n"])
    time.sleep(float(str(request.params.get("seconds", "0.1"))))
    return {"pid": os.getpid()}


def _fork(_: Request) -> Any:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return {"pid": os.getpid()}


def _die(_: Request) -> Response:
    os.kill(os.getpid(), signal.SIGKILL)
    return Response("")


def application() -> Any:
    """The WSGI application."""
    with Configurator(settings={}) as config:
        c2cotel.setup(config)
        for view in (_hello, _fail, _slow, _fork, _die):
            name = view.__name__.removeprefix("_")
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name, renderer="json")
    return config.make_wsgi_app()
