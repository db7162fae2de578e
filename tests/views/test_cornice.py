"""Cornice comes in with the first service and not before: it costs every request 25 µs."""

from __future__ import annotations

from cornice import Service
from pyramid.config import Configurator
from pyramid.request import Request

from tests.apps.application import Application, view


def hello(request: Request) -> dict[str, str]:
    return {}


def _tweens(app: Application) -> list[str]:
    from pyramid.interfaces import ITweens

    return [name for name, _ in app.wsgi.registry.getUtility(ITweens).implicit()]


def test_without_a_service_cornice_is_not_included() -> None:
    app = Application(configure=view(hello, renderer="json"))
    assert not hasattr(app.wsgi.registry, "cornice_services")
    assert app.wsgi.registry.has_listeners is False
    assert [name for name in _tweens(app) if "cornice" in name] == []


def test_a_service_brings_cornice_in() -> None:
    service = Service("things", "/things", cors_origins=("*",))
    service.add_view("GET", hello, renderer="json")

    def configure(config: Configurator) -> None:
        config.add_cornice_service(service)
        config.add_cornice_service(Service("more", "/more"))

    app = Application(configure=configure)
    assert app.http.get("/things").json == {}
    preflight = app.http.options("/things", headers={"Origin": "http://x", "Access-Control-Request-Method": "GET"})
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"


def test_an_application_that_includes_cornice_itself_still_works() -> None:
    service = Service("things", "/things")
    service.add_view("GET", hello, renderer="json")

    def configure(config: Configurator) -> None:
        config.include("cornice")
        config.add_cornice_service(service)

    assert Application(configure=configure).http.get("/things").json == {}
