"""An application with one table, whose answers say which server gave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPConflict
from pyramid.request import Request
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from webtest import TestApp

from c2cotel.db import ScopedSession, setup_session

MASTER, REPLICA = "master", "replica"
SERVER = text("SELECT CASE WHEN pg_is_in_recovery() THEN 'replica' ELSE 'master' END")


class Base(DeclarativeBase):
    """Base of the models."""


class Hello(Base):
    """What somebody said."""

    __tablename__ = "hello"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str]


class HelloRequest(Request):
    """What a view gets."""

    dbsession: ScopedSession
    tm: Any


class Hellos:
    """The application.

    Args:
        master: its URL.
        replica: its URL.
        settings: more of them.
        configure: adds more, after the session is set up.
        rest: further arguments of `setup_session`.

    Attributes:
        session: its session.
        http: a client.
    """

    def __init__(
        self,
        master: str,
        replica: str,
        settings: dict[str, Any] | None = None,
        configure: Callable[[Configurator], object] = lambda _: None,
        **rest: Any,
    ) -> None:
        ini = {
            "sqlalchemy.url": master,
            "sqlalchemy.pool_recycle": "30",
            "sqlalchemy.pool_size": "5",
            "sqlalchemy.max_overflow": "25",
            "sqlalchemy_slave.url": replica,
            "sqlalchemy_slave.pool_size": "5",
            "sqlalchemy_slave.max_overflow": "25",
        }
        self._master = master
        with Configurator(settings={**ini, **(settings or {})}) as config:
            self.session, self.rw, self.ro = setup_session(config, "sqlalchemy", "sqlalchemy_slave", **rest)
            config.add_request_method(lambda _: self.session, "dbsession", property=True)
            self._add_views(config)
            config.include(self._add_views, route_prefix="/api")
            configure(config)
        self.wsgi = config.make_wsgi_app()
        self.http = TestApp(self.wsgi)

    def ask(self, verb: str, path: str, **environ: Any) -> str:
        """Which server answers such a request."""
        response = Request.blank(path, environ=environ, method=verb).get_response(self.wsgi)
        return str(response.headers["X-Server"])

    def saved(self) -> list[str]:
        """What the master has kept, read without this application."""
        engine = create_engine(self._master)
        try:
            with engine.connect() as connection:
                return list(connection.execute(select(Hello.value).order_by(Hello.id)).scalars())
        finally:
            engine.dispose()

    def close(self) -> None:
        """Leave no connection behind."""
        self.session.remove()
        self.rw.dispose()
        self.ro.dispose()

    def _add_views(self, config: Configurator) -> None:
        prefix = config.route_prefix or ""
        for function in (server, hello, break_off, refuse):
            config.add_route(f"{prefix}{function.__name__}", f"/{function.__name__}")
            config.add_view(function, route_name=f"{prefix}{function.__name__}", renderer="json")


def asked(session: ScopedSession) -> str:
    """Which server a session talks to: the server says it."""
    name: str = session.execute(SERVER).scalar_one()
    return name


def server(request: HelloRequest) -> None:
    """Which server answers."""
    request.response.headers["X-Server"] = asked(request.dbsession)


def hello(request: HelloRequest) -> list[str]:
    """Say `say` and list everything said."""
    server(request)
    if "say" in request.params:
        request.dbsession.add(Hello(value=request.params["say"]))
    return list(request.dbsession.scalars(select(Hello.value)))


def break_off(request: HelloRequest) -> None:
    """Fail after having written."""
    hello(request)
    raise ZeroDivisionError


def refuse(request: HelloRequest) -> None:
    """Answer with an HTTP error after having written."""
    hello(request)
    raise HTTPConflict
