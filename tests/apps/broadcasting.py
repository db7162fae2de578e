"""Processes that hear broadcasts: ``python -m tests.apps.broadcasting`` is one, `application` is for gunicorn.

Each answers on ``who`` and keeps what ``set`` tells it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel import broadcast
from c2cotel.logs import JsonLogHandler

_kept: list[str] = []


@broadcast.decorator("who", expect_answers=True, timeout=5)
def who(sleep: float = 0, only: int | None = None, fails: bool = False) -> dict[str, Any]:
    """Tell what is kept; `only` that process sleeps or fails."""
    if only in (None, os.getpid()):
        time.sleep(sleep)
        if fails:
            raise ZeroDivisionError
    return {"kept": list(_kept)}


@broadcast.decorator("set")
def keep(value: str) -> None:
    """Keep a text."""
    _kept.append(value)


def _log() -> None:
    logging.basicConfig(level=logging.INFO, handlers=[JsonLogHandler(sys.stdout)], force=True)


def application(sleep: float = 0) -> Any:
    """``/ask`` asks all processes, which take `sleep` seconds to answer; ``/tell?value=x`` tells them."""
    _log()
    config = Configurator(settings={})

    def ask(_: Request) -> Any:
        start = time.monotonic()
        answers = who(sleep=sleep)
        return {"answers": answers, "seconds": time.monotonic() - start}

    def tell(request: Request) -> Any:
        return keep(value=request.params["value"])

    for view in (ask, tell):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__, renderer="json")
    config.add_route("ready", "/ready")
    config.add_view(lambda _: Response("ready"), route_name="ready")
    c2cotel.setup(config)
    return config.make_wsgi_app()


def slow() -> Any:
    """An application whose processes take long to answer."""
    return application(1.5)


def warmed_up() -> Any:
    """An application that has answered a request before its workers are forked."""
    made = application()
    Request.blank("/ready").get_response(made)
    return made


def main() -> None:
    """Be there until it is ended."""
    _log()
    c2cotel.setup()
    time.sleep(600)


if __name__ == "__main__":
    main()
