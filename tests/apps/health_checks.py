"""Applications with health checks of databases, for gunicorn; ``MASTER``, ``REPLICA`` are their URLs."""

from __future__ import annotations

import os
import threading
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from zope.sqlalchemy import register

import c2cotel
from c2cotel.db import setup_session
from c2cotel_views.health import HealthCheck
from tests.apps.database import Hello, HelloRequest, asked


def application() -> Any:
    """Checks by c2cotel's session, by `request.dbsession` that pyramid_tm ends, and by a session that nobody ends."""
    master, replica = os.environ["MASTER"], os.environ["REPLICA"]
    config = Configurator(settings={"sqlalchemy.url": master, "sqlalchemy_slave.url": replica})
    c2cotel.setup(config)
    session, rw, ro = setup_session(config, "sqlalchemy", "sqlalchemy_slave")
    own: Engine = create_engine(master)
    joined = sessionmaker(own)

    def dbsession(request: HelloRequest) -> Session:
        made = joined()
        register(made, transaction_manager=request.tm)
        return made

    config.add_request_method(dbsession, reify=True)
    scoped = scoped_session(sessionmaker(own))

    def write(request: HelloRequest) -> None:
        request.dbsession.add(Hello(value="never kept"))
        request.dbsession.flush()

    def read(request: HelloRequest) -> str:
        request.dbsession.execute(text("SELECT 1"))
        return asked(session)

    def forget(_: Request) -> None:
        scoped.execute(select(Hello)).first()

    def hang(_: Request) -> None:
        if "hang" in os.environ:
            threading.Event().wait()

    def pools(_: Request) -> Response:
        return Response(json=[engine.pool.checkedout() for engine in (rw, ro, own)])  # type: ignore[attr-defined]

    def threads(_: Request) -> Response:
        names = [thread.name for thread in threading.enumerate()]
        return Response(json={"pid": os.getpid(), "checks": sum(name.startswith("c2cotel health") for name in names)})

    checks = HealthCheck(config)
    checks.add_db_session_check(session, at_least_one_model=Hello)
    checks.add_custom_check("write", write)
    checks.add_custom_check("read", read)
    checks.add_custom_check("forget", forget)
    checks.add_custom_check("hang", hang, 3)
    for view in (pools, threads):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__)
    return config.make_wsgi_app()
