"""The applications that the end-to-end tests run under gunicorn; each function makes one."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from opentelemetry import metrics, trace
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel import stats
from c2cotel.logs import JsonLogHandler
from c2cotel.testing import ScriptedClock

NUMBERS = 600
"""How many routes the numbered application has."""

_logger = logging.getLogger(__name__)


def _configurator() -> Configurator:
    logging.basicConfig(level=logging.INFO, handlers=[JsonLogHandler(sys.stdout)], force=True)
    config = Configurator(settings={})
    config.add_route("ready", "/ready")
    config.add_view(lambda _: Response("ready"), route_name="ready")
    return config


def numbered() -> Any:
    """A route for each number, so that a line of its timer belongs to the one request that asks for that number.

    Each request is logged with its number and takes 5 ms; the answer is the worker's process id.
    """
    config = _configurator()
    for number in range(NUMBERS):
        # Without a view of its own for each: workers must start quickly.
        config.add_route(f"n{number}", f"/n/{number}", use_global_views=True)

    def view(request: Request) -> Response:
        assert request.matched_route is not None
        time.sleep(0.005)
        pid = os.getpid()
        trace.get_current_span().set_attribute("test.pid", pid)
        stats.set_gauge(["pid"], pid)
        _logger.info("answering", extra={"number": int(request.matched_route.name[1:])})
        return Response(str(pid))

    config.add_view(view)
    c2cotel.setup(config)
    with stats.timer_context(["start", "of", str(os.getpid())]):
        pass
    return config.make_wsgi_app()


def foreign() -> Any:
    """Counts 5 on an instrument of another library when it is made, and 1 for each ``/count``."""
    config = _configurator()
    config.add_route("count", "/count/{number}")
    c2cotel.setup(config)
    counter = metrics.get_meter("another library").create_counter("foreign")
    counter.add(5)

    def view(_: Request) -> Response:
        counter.add(1)
        return Response("counted")

    config.add_view(view, route_name="count")
    return config.make_wsgi_app()


def scripted() -> Any:
    """``/record?series=S&milliseconds=1,2,3`` records a timer of each duration, by a clock that only the view moves."""
    clock = ScriptedClock()
    config = _configurator()
    config.add_route("record", "/record")

    def view(request: Request) -> Response:
        series, durations = request.GET["series"], request.GET["milliseconds"]
        for milliseconds in map(int, durations.split(",")):
            with stats.timer_context(["known", series]):
                clock.advance(milliseconds / 1000)
        return Response("recorded")

    config.add_view(view, route_name="record")
    c2cotel.setup(config, clock=clock)
    return config.make_wsgi_app()
