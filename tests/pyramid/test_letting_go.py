"""What hangs on a request goes with it, at once: it must not wait for the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.runtime.request_scope import SCOPE
from tests.apps.application import Application, start_response


class Belongings:
    """What an application puts on a request, such as a session of its database."""


alive: weakref.WeakSet[Belongings] = weakref.WeakSet()


def hello(request: Request) -> Any:
    take(request)
    return {}


def refuse(request: Request) -> Any:
    take(request)
    request.response.status_int = 404
    return request.response


def stream(request: Request) -> Response:
    take(request)

    def body() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    request.response.app_iter = body()
    answer: Response = request.response
    return answer


def ask_itself(request: Request) -> Any:
    take(request)
    request.invoke_subrequest(Request.blank("/hello"), use_tweens=True)
    return {}


def take(request: Request) -> None:
    belongings = request.__dict__["belongings"] = Belongings()
    alive.add(belongings)


VIEWS: dict[str, Callable[[Request], Any]] = {
    "hello": hello,
    "refuse": refuse,
    "stream": stream,
    "ask_itself": ask_itself,
}


def configure(config: Configurator) -> None:
    for name, view in VIEWS.items():
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, renderer="json")


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize(
    "env",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_TRACES_EXPORTER": "console", "C2C_TRACER": "sdk"},
        {"C2C_FLIGHT_RECORDER": "1"},
        {"C2C_FLIGHT_RECORDER": "1", "C2C_SLOW": "0"},
        {"C2C_ACCESS_LOG": "1"},
    ],
    ids=lambda env: ",".join(env) or "default",
)
def test_what_hangs_on_a_request_goes_at_its_end(
    name: str, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, text in env.items():
        monkeypatch.setenv(variable, text)
    app = Application(configure=configure)
    for _ in range(3):
        app.http.get(f"/{name}", status="*")
        assert not alive


def test_a_body_keeps_its_scope_though_its_environ_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_ACCESS_LOG", "1")
    app = Application(configure=configure)
    environ = Request.blank("/stream").environ
    body: Any = app.wsgi(environ, start_response)
    scope = environ[SCOPE]
    assert scope in app.telemetry.active
    environ["PATH_INFO"] = "/hello"
    list(app.wsgi(environ, start_response))
    list(body)
    body.close()
    assert not app.telemetry.active
    assert scope.request is None
