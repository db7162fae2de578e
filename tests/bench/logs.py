"""What one log record costs, from the call to a file that nobody reads, inside of a request and outside.

``python -m tests.bench.logs`` prints ready, then for each line ``N`` the CPU ns per record of each kind.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from pyramid.request import Request
from pyramid.threadlocal import manager
from pythonjsonlogger.json import JsonFormatter as PythonJsonLogger

from c2cotel.logs import JsonFormatter, PyramidCeeSysLogHandler
from tests.bench.kinds import serve

_PLAIN = "%(asctime)s %(levelname)-5.5s [%(name)s][%(threadName)s] %(message)s"
_ALL = "%(asctime)s %(levelname)s %(name)s %(pathname)s %(lineno)d %(funcName)s %(process)d %(threadName)s %(message)s"


def _logger(handler: logging.Handler, formatter: logging.Formatter | None = None) -> Callable[[int], None]:
    logger = logging.Logger("bench.part")  # noqa: LOG001  # not one of the process
    if formatter is not None:
        handler.setFormatter(formatter)
    logger.addHandler(handler)

    def work(n: int) -> None:
        for number in range(n):
            logger.info("row %d of %s was read", number, "hello")

    return work


def _request() -> Any:
    request: Any = Request.blank("/hello/1?a=b")
    request.environ["REMOTE_ADDR"] = "10.1.2.3"
    request.c2c_request_id = "42"
    request.matched_route = None
    return request


def _inside(work: Callable[[int], None]) -> Callable[[int], None]:
    """The same in a request."""
    threadlocals = {"request": _request(), "registry": None}

    def inside(n: int) -> None:
        manager.push(threadlocals)
        work(n)
        manager.pop()

    return inside


def main() -> None:
    """Serve commands until the standard input ends."""
    host, port = os.environ["BENCH_STATSD"].rsplit(":", 1)
    null = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # as long as the process
    kinds = {
        "plain": _logger(logging.StreamHandler(null), logging.Formatter(_PLAIN)),
        "c2cotel": _logger(logging.StreamHandler(null), JsonFormatter()),
        "c2cotel CEE": _logger(PyramidCeeSysLogHandler((host, int(port)))),
        "python-json-logger": _logger(logging.StreamHandler(null), PythonJsonLogger(_ALL)),
    }
    outside = {f"outside {name}": work for name, work in kinds.items()}
    serve({**outside, **{f"inside {name}": _inside(work) for name, work in kinds.items()}})


if __name__ == "__main__":
    main()
