"""A small application for the tests of faults: made here, called here, or run as a process.

``python -m tests.apps.faults REQUESTS [slow-names]`` answers that many requests, prints the monotonic time at which
it had nothing more to do, and ends. With ``slow-names`` the name server takes half a minute to answer.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from io import BytesIO
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

_SLOW = 30.0


def hello() -> Any:
    """An application with telemetry as the environment has it; `hello` is its only route."""
    config = Configurator(settings={})
    config.add_route("hello", "/hello")

    def view(_: Request) -> dict[str, str]:
        return {"hello": "world"}

    config.add_view(view, route_name="hello", renderer="json")
    import c2cotel

    c2cotel.setup(config)
    return config.make_wsgi_app()


def under_gunicorn() -> Any:
    """The same, with its log on standard error."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", force=True)
    return hello()


def call(app: Any, path: str = "/hello", times: int = 1) -> None:
    """Call an application as a WSGI server does."""
    for _ in range(times):
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "localhost",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        statuses: list[str] = []
        for _chunk in app(environ, lambda status, *_: statuses.append(status)):  # noqa: B023  # called at once
            pass
        assert statuses == ["200 OK"]


def main() -> None:
    """Answer requests and end."""
    if "slow-names" in sys.argv:

        def slowly(*_: Any, **__: Any) -> list[Any]:
            time.sleep(_SLOW)
            return []

        socket.getaddrinfo = slowly
    call(under_gunicorn(), times=int(sys.argv[1]))
    print(f"done {time.monotonic()}", flush=True)


if __name__ == "__main__":
    main()
