"""An application made only of the snippets of the 2018 README, under c2cotel's import names.

Each part that a later issue owes is switched on there: see `OWED`.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

import c2cotel
from c2cotel import stats
from c2cotel.db import setup_session

OWED = {
    "Health checks": 4,
    "CORS": 4,
    "Exception handling": 4,
    "Sentry integration": 6,
}
"""Parts of the README that are not here yet, and the issue that brings each."""


def do_something() -> None:
    """What the README's examples time."""


def hello_get(request: Request) -> dict[str, Any]:
    """The README's view, with the README's two ways to time something."""
    with stats.timer_context(["toto", "tutu"]):
        do_something()
    with stats.outcome_timer_context(["toto", "tutu"]):
        do_something()
    return {"hello": True, "request_id": request.c2c_request_id}


def init(config: Configurator) -> None:
    """The README's database session, and a view that the README forces to the slave."""
    db_session = setup_session(config, "sqlalchemy", "sqlalchemy_slave", force_slave=["POST /api/hello"])[0]

    def api_hello(_: Request) -> dict[str, str]:
        engine: Any = db_session.connection().engine
        return {"engine": engine.c2c_name}

    config.add_route("api_hello", "/api/hello")
    config.add_route("api_other", "/api/other")
    for route in ("api_hello", "api_other"):
        config.add_view(api_hello, route_name=route, renderer="json")


def main(_: Any, **settings: Any) -> Any:
    """The WSGI main of the README."""
    config = Configurator(settings=settings)
    config.include(c2cotel.includeme)
    config.add_route("hello", "/hello")
    config.add_view(hello_get, route_name="hello", renderer="json")
    init(config)
    return config.make_wsgi_app()
