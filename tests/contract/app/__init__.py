"""An application made only of the snippets of the 2018 README, under c2cotel's import names."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import c2cotel
from c2cotel import stats
from c2cotel.db import setup_session
from c2cotel_views import services
from c2cotel_views.health import HealthCheck

not_happy = False


class Base(DeclarativeBase):
    """Of the tables."""


class Hello(Base):
    """Something said once."""

    __tablename__ = "hello"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(unique=True)


def do_something() -> None:
    """What the README's examples time."""


hello_service = services.create("hello", "/hello", cors_credentials=True)


@hello_service.get()
def hello_get(request: Request) -> dict[str, Any]:
    """The README's CORS view, with the README's two ways to time something."""
    with stats.timer_context(["toto", "tutu"]):
        do_something()
    with stats.outcome_timer_context(["toto", "tutu"]):
        do_something()
    return {"hello": True, "request_id": request.c2c_request_id}


def custom_check(_: Request) -> str:
    """The README's check of its own."""
    if not_happy:
        raise RuntimeError("I'm not happy")
    return "happy"


def init(config: Configurator) -> None:
    """The README's database session and health checks, a view forced to the slave, and one whose data are refused."""
    db_session, master, _ = setup_session(config, "sqlalchemy", "sqlalchemy_slave", force_slave=["POST /api/hello"])

    def api_hello(_: Request) -> dict[str, str]:
        engine: Any = db_session.connection().engine
        return {"engine": engine.c2c_name}

    def error(_: Request) -> str:
        """Two equal rows: the database refuses them at the commit, after the view."""
        Base.metadata.create_all(master)
        db_session.add_all([Hello(value="toto"), Hello(value="toto")])
        return "saved"

    config.add_route("error", "/error")
    config.add_view(error, route_name="error", renderer="json")
    config.add_route("api_hello", "/api/hello")
    config.add_route("api_other", "/api/other")
    for route in ("api_hello", "api_other"):
        config.add_view(api_hello, route_name=route, renderer="json")

    health_check = HealthCheck(config)
    health_check.add_db_session_check(db_session, at_least_one_model=Hello)
    health_check.add_custom_check("custom", custom_check, 2)


def main(_: Any, **settings: Any) -> Any:
    """The WSGI main of the README."""
    config = Configurator(settings=settings)
    config.include(c2cotel.includeme)
    config.scan()
    init(config)
    return config.make_wsgi_app()
