"""Which modules c2cotel's threads import by themselves: ``python -m tests.apps.importing``.

A process that forks meanwhile has a child in which such an import never ends. Prints thread and module of each.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from io import BytesIO
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel import broadcast

_ENVIRON = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "h", "SERVER_PORT": "80", "SCRIPT_NAME": ""}
_TICKS = 1.2
"""Seconds in which each thread has its turn."""


def main() -> None:
    """Serve a request that logs and one that stalls, and let each thread have its turn before and after."""
    found: set[str] = set()

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import" and (thread := threading.current_thread()) is not threading.main_thread():
            found.add(f"{thread.name}: {arguments[0]}")

    def view(request: Request) -> Response:
        logging.getLogger(__name__).warning("asked")
        time.sleep(float(request.GET["seconds"]))
        return Response("answered")

    def answered(*_: Any) -> Any:
        return None

    logging.basicConfig(level=logging.INFO)
    with Configurator() as config:
        config.add_route("any", "/")
        config.add_view(view, route_name="any")
        sys.addaudithook(see)
        telemetry = c2cotel.setup(config)
    application = config.make_wsgi_app()
    time.sleep(_TICKS)
    telemetry.flush(2)
    for seconds in (0, _TICKS):
        environ = {**_ENVIRON, "QUERY_STRING": f"seconds={seconds}", "wsgi.input": BytesIO(), "wsgi.url_scheme": "http"}
        b"".join(application(environ, answered))
        time.sleep(_TICKS)
    broadcast.broadcast("nobody", expect_answers=True, timeout=1)
    telemetry.flush(2)
    telemetry.close()
    print("IMPORTED", *sorted(found), sep="\n", flush=True)


if __name__ == "__main__":
    main()
