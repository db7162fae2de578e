"""An application with a flight recorder, for gunicorn: ``/hello``, ``/fail``, ``/slow``, ``/fork`` and ``/die``."""

from __future__ import annotations

import logging
import os
import re
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import redis
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from redis.backoff import NoBackoff
from redis.retry import Retry

import c2cotel
from c2cotel.logs import JsonLogHandler

_log = logging.getLogger("app")
_log.setLevel(logging.INFO)
_LOCK = threading.Lock()
_LOCK.acquire()


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


def _regex(request: Request) -> Any:
    """Hold the interpreter for some seconds."""
    n = int(str(request.params.get("n", "27")))
    return {"match": bool(re.match(r"(a+)+$", "a" * n + "b"))}


def _lock(_: Request) -> Any:
    """Wait for a lock that nobody gives back in time."""
    return {"got": _LOCK.acquire(timeout=3)}


def _redis(request: Request) -> Any:
    """Ask a Redis that may never answer."""
    client = redis.Redis(port=int(str(request.params["port"])), socket_timeout=3, retry=Retry(NoBackoff(), 0))
    with suppress(redis.RedisError):
        client.get("key")
    return {}


def _memory(_: Request) -> Any:
    """Want more memory than the process may have."""
    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    return {"bytes": len(bytearray(2**33))}


def application() -> Any:
    """The WSGI application."""
    logging.basicConfig(level=logging.INFO, handlers=[JsonLogHandler(sys.stdout)], force=True)
    with Configurator(settings={}) as config:
        c2cotel.setup(config)
        for view in (_hello, _fail, _slow, _fork, _die, _regex, _lock, _redis, _memory):
            name = view.__name__.removeprefix("_")
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name, renderer="json")
    return config.make_wsgi_app()
