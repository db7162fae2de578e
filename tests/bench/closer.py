"""What looking closer costs: a waiting log record, a counted statement, a request noted as one in progress.

``python -m tests.bench.closer`` prints ready, then for each line ``N`` the CPU ns per operation of each kind.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from time import time
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

import c2cotel
from c2cotel.host.running import Running
from c2cotel.logs import JsonFormatter
from c2cotel.metrics.instruments import SQL
from c2cotel.runtime.flight.tokens import ENVIRON_KEY
from tests.bench.hello import run
from tests.bench.kinds import serve

_A_REQUEST = 100
"""Operations of one request."""

REQUEST_ID, TRACE_ID = "4bf2bcac-947f-451b-9873-3274549ef216", "4bf2bcac947f451b98733274549ef216"


def main() -> None:  # noqa: C901  # a list of small pieces of work
    """Serve commands until the standard input ends."""
    os.environ["C2C_FLIGHT_RECORDER"] = "1"
    os.environ["C2C_STATE_DIR"] = tempfile.mkdtemp()
    logging.getLogger("c2cotel_views").setLevel(logging.ERROR)  # nobody looks at the pages here
    os.environ["C2C_LOG_BUFFER"] = "bench:DEBUG"
    null = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # as long as the process
    handler = logging.StreamHandler(null)
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger("bench.part")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    config = Configurator(settings={})
    telemetry = c2cotel.setup(config)
    series = telemetry.recorder.series(SQL, {"db.query.summary": "SELECT hello", "db.system.name": "postgresql"})
    note = telemetry.statements.note

    def buffered() -> None:
        for number in range(_A_REQUEST):
            log.debug("row %d of %s was read", number, "hello")

    def emitted() -> None:
        for number in range(_A_REQUEST):
            log.info("row %d of %s was read", number, "hello")

    def counted() -> None:
        for _ in range(_A_REQUEST):
            note(series, 0.001, None, "SELECT value FROM hello WHERE id = 7 OFFSET 0")

    running = Running(Path(tempfile.mkdtemp()))
    thread, now = get_ident(), time()

    def noted() -> None:
        for _ in range(_A_REQUEST):
            slot = running.begin(thread, now, REQUEST_ID, TRACE_ID, "GET", "/hello/world")
            running.end(slot)

    flight, environ = telemetry.flight, {f"HTTP_X_{number}": "" for number in range(20)}

    def looked_for() -> None:
        for _ in range(_A_REQUEST):
            if ENVIRON_KEY in environ and flight is not None and flight.keeps:
                raise AssertionError

    work: Callable[[], None] = buffered

    def view(_: Request) -> Any:
        work()
        return {}

    config.add_route("hello", "/hello/{name}")
    config.add_view(view, route_name="hello", renderer="json")
    app = config.make_wsgi_app()

    def kind(function: Callable[[], None]) -> Callable[[int], None]:
        def many(n: int) -> None:
            nonlocal work
            work = function
            run(app, max(1, n // _A_REQUEST))

        return many

    serve(
        {
            "nothing": kind(lambda: None),
            "buffered": kind(buffered),
            "emitted": kind(emitted),
            "counted": kind(counted),
            "noted": kind(noted),
            "looked for": kind(looked_for),
        }
    )


if __name__ == "__main__":
    main()
