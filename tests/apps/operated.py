"""An application whose operator has everything turned on, for gunicorn."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import select, text

import c2cotel
from c2cotel.db import setup_session
from c2cotel.logs import JsonLogHandler
from c2cotel_views.health import HealthCheck
from tests.apps.database import Hello

logging.getLogger("sqlalchemy").setLevel(logging.WARNING)


def _fail_if_asked(_: Request) -> None:
    if Path(os.environ.get("OPERATING_BROKEN", "")).is_file():
        raise RuntimeError("broken on purpose")


def application() -> Any:
    """``/hello`` reads a table, ``/sql?q=…`` runs a statement, ``/who`` tells the process and its level of ``app``."""
    logging.basicConfig(level=logging.INFO, handlers=[JsonLogHandler(sys.stdout)], force=True)
    with Configurator(settings={"sqlalchemy.url": os.environ["OPERATING_DB"]}) as config:
        c2cotel.setup(config)
        session = setup_session(config, "sqlalchemy")[0]

        def hello(_: Request) -> Any:
            return [row.value for row in session.execute(select(Hello).where(Hello.id < 100)).scalars()]

        def sql(request: Request) -> Any:
            return [list(row) for row in session.execute(text(str(request.params["q"])), {"n": 7})]

        def who(_: Request) -> Any:
            return {"pid": os.getpid(), "level": logging.getLogger("app").level}

        health = HealthCheck(config)
        health.add_db_session_check(session)
        health.add_custom_check("broken", _fail_if_asked, 1)
        for view in (hello, sql, who):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__, renderer="json")
    return config.make_wsgi_app()
