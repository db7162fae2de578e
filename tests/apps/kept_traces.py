"""A service that calls the service behind it, for gunicorn: some requests fail or are slow on purpose."""

from __future__ import annotations

import os
import time
from typing import Any

import requests
from opentelemetry import trace
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

import c2cotel

_calls = requests.Session()


def _work(request: Request) -> Any:
    """Do what the parameter ``what`` says, below a span, here or in the service behind."""
    what, n = str(request.params.get("what", "")), str(request.params["n"])
    with trace.get_tracer("app").start_as_current_span("work", attributes={"n": n}):
        if behind := os.environ.get("KEPT_BEHIND"):
            answer = _calls.get(f"{behind}/work", params={"n": n, "what": what}, timeout=20)
            if "front" in what:
                return Response(status=500)
            return Response(status=500 if answer.status_code >= 500 and "hidden" not in what else 200)
        if "fail" in what:
            raise ValueError(what)
        if "slow" in what:
            time.sleep(0.25)
    return Response("x")


def application() -> Any:
    """The WSGI application."""
    with Configurator(settings={}) as config:
        c2cotel.setup(config)
        config.add_route("work", "/work")
        config.add_view(_work, route_name="work")
        config.add_route("ready", "/ready")
        config.add_view(lambda _: Response("x"), route_name="ready")
    return config.make_wsgi_app()
