"""How long a scrape of `/metrics` takes where many processes have many series."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

import c2cotel
from c2cotel import stats
from tests.servers.client import Load, get
from tests.servers.gunicorn import Gunicorn

WORKERS, SERIES, SCRAPES = 8, 500, 30


def application() -> Any:
    """Each process has all series once it has answered a request."""
    with Configurator(settings={}) as config:
        c2cotel.setup(config)

        def hello(_: Request) -> Any:
            for number in range(SERIES):
                stats.increment_counter(["bench", "sold"], tags={"shop": str(number)})
            return {}

        config.add_route("hello", "/hello")
        config.add_view(hello, route_name="hello", renderer="json")
    return config.make_wsgi_app()


def median_milliseconds() -> tuple[float, int]:
    """Median time of a scrape in milliseconds, and the number of its lines."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"C2C_BASE_PATH": "/c2c", "C2C_METRICS_VIEW_ENABLED": "1", "C2C_STATE_DIR": folder}
        server = Gunicorn("tests.bench.scrape:application()", Path(folder), env=env, workers=WORKERS, threads=1)
        with closing(server):
            server.wait_ready("/hello")
            Load(lambda _: f"{server.url}/hello", range(WORKERS * 50), clients=WORKERS).start().join()
            time.sleep(2)
            times, lines = [], 0
            for _ in range(SCRAPES):
                start = time.perf_counter()
                answer = get(f"{server.url}/c2c/metrics")
                times.append((time.perf_counter() - start) * 1000)
                assert answer is not None
                assert answer.status == 200  # fine
                lines = answer.body.count(b"\n")
        return statistics.median(times), lines
