"""A shop with the flight recorder, for gunicorn: it sells, is slow and fails as it is asked to."""

from __future__ import annotations

import logging
import time
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

import c2cotel
from c2cotel import stats

_logger = logging.getLogger("shop.orders")


def application() -> Any:
    """``/order`` fails after many statements, as a table is missing, ``/wait?s=`` takes a while, ``/book`` is quick."""
    logging.basicConfig(level=logging.INFO)
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with Configurator() as config:
        c2cotel.setup(config)

        def order(_: Request) -> Any:
            with engine.connect() as connection:
                connection.execute(text("CREATE TABLE IF NOT EXISTS invoices (number integer UNIQUE)"))
                with stats.timer_context(["orders", "price"]):
                    for n in range(12):
                        connection.execute(text("SELECT 1 FROM invoices WHERE number = :n"), {"n": n})
                _logger.info("order of %d lines priced", 12)
                connection.execute(text("INSERT INTO orders VALUES (1)"))

        def wait(request: Request) -> Any:
            _logger.warning("a report begins")
            time.sleep(float(str(request.params["s"])))
            return {}

        def book(_: Request) -> Any:
            return {}

        for view in (order, wait, book):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__, renderer="json")
    return config.make_wsgi_app()
