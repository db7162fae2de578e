"""Requests of a Pyramid application (contract, sections 2 and 3)."""

from __future__ import annotations

import logging
import re
from typing import Any
from uuid import UUID

import pytest
from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.httpexceptions import HTTPFound, HTTPNotFound
from pyramid.renderers import get_renderer, render, render_to_response
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.testing import ScriptedClock
from tests.apps.application import Application, start_response, view
from tests.servers.udp import UdpListener

TIMING = re.compile(r"route;dur=(\d+\.\d\d);desc=hello, render;dur=(\d+\.\d\d)")


@pytest.fixture
def statsd(udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch) -> UdpListener:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    return udp_listener


def hello(request: Request) -> dict[str, Any]:
    return {"id": request.c2c_request_id}


def received(app: Application, statsd: UdpListener) -> dict[str, int]:
    app.finish()
    statsd.settle(0.1)
    return dict(statsd.counts())


def test_a_request_is_timed_as_route_and_its_rendering_as_render(statsd: UdpListener) -> None:
    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    assert received(app, statsd) == {"route.GET.hello.200": 1, "render.GET.hello.200": 1}


def test_with_tags_the_names_are_short(statsd: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_USE_TAGS", "1")
    monkeypatch.setenv("STATSD_TAG_ENV", "prod")
    clock = ScriptedClock()

    def slow(request: Request) -> Response:
        clock.advance(0.0125)
        return Response("x")

    app = Application(configure=view(slow, "/slow"), clock=clock)
    app.http.post("/slow")
    app.finish()
    statsd.settle(0.1)
    assert statsd.lines() == ["route:12|ms|#env:prod,group:2,method:POST,route:slow,status:200"]


def test_the_2018_names_have_no_method_tag(statsd: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_USE_TAGS", "1")
    monkeypatch.setenv("STATSD_2018_NAMES", "1")
    app = Application(configure=view(hello, renderer="json"), clock=ScriptedClock())
    app.http.get("/hello")
    app.finish()
    statsd.settle(0.1)
    assert statsd.lines() == [
        "route:1|ms|#group:2,route:hello,status:200",
        "render:1|ms|#group:2,route:hello,status:200",
    ]


def test_times_are_whole_milliseconds_and_at_least_one(statsd: UdpListener) -> None:
    clock = ScriptedClock()

    def hello(request: Request) -> Response:
        clock.advance(float(request.GET["s"]))
        return Response("x")

    app = Application(configure=view(hello), clock=clock)
    for seconds in ("0", "0.0004", "0.0025", "0.0035", "1.5"):
        app.http.get("/hello", {"s": seconds})
    app.finish()
    statsd.settle(0.1)
    assert [line.removeprefix("route.GET.hello.200:") for line in statsd.lines()] == [
        "1|ms",
        "1|ms",
        "2|ms",
        "4|ms",
        "1500|ms",
    ]


def test_the_status_is_that_of_the_response_really_sent(statsd: UdpListener) -> None:
    def hello(request: Request) -> Any:
        what = request.params["what"]
        if what == "returned":
            return Response("gone", status=404)
        if what == "redirect":
            raise HTTPFound("/elsewhere")
        if what == "raised":
            raise HTTPNotFound
        raise ValueError(what)

    def explain(error: Exception, request: Request) -> dict[str, str]:
        request.response.status = 400
        return {"message": str(error)}

    def configure(config: Configurator) -> None:
        view(hello)(config)
        config.add_view(explain, context=ValueError, renderer="json")

    app = Application(configure=configure)
    for what in ("returned", "redirect", "raised", "other"):
        app.http.get("/hello", {"what": what}, status="*")
    assert received(app, statsd) == {
        "route.GET.hello.404": 2,
        "route.GET.hello.302": 1,
        "route.GET.hello.400": 1,
        "render.GET.hello.400": 1,
        "render.GET.hello.404": 1,
    }


def test_an_error_that_nobody_answers_counts_as_500(statsd: UdpListener) -> None:
    def hello(request: Request) -> None:
        raise ValueError("nobody answers this")

    app = Application({"c2c.disable_exception_handling": "1"}, view(hello, renderer="json"))
    with pytest.raises(ValueError, match="nobody answers this"):
        app.http.get("/hello")
    assert received(app, statsd) == {"route.GET.hello.500": 1}


def test_no_route_and_unknown_verbs_have_names_of_their_own(statsd: UdpListener) -> None:
    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/nowhere", status=404)
    assert Request.blank("/hello", method="BREW").get_response(app.wsgi).status_code == 200
    assert received(app, statsd) == {
        "route.GET._not_found.404": 1,
        "render.GET._not_found.404": 1,
        "route._OTHER.hello.200": 1,
        "render._OTHER.hello.200": 1,
    }


def test_a_view_with_renderer_that_returns_a_response_has_rendered_nothing(statsd: UdpListener) -> None:
    def hello(request: Request) -> Response:
        return Response("ready-made")

    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    assert received(app, statsd) == {"route.GET.hello.200": 1}


def test_rendering_by_hand_is_timed_too_each_time(statsd: UdpListener) -> None:
    def hello(request: Request) -> Response:
        render("json", {"a": 1}, request=request)
        return render_to_response("string", "text", request=request)

    app = Application(configure=view(hello))
    answer = app.http.get("/hello")
    assert answer.headers["Server-Timing"].count("render;dur=") == 2
    assert received(app, statsd) == {"route.GET.hello.200": 1, "render.GET.hello.200": 2}


def test_a_renderer_keeps_its_attributes_and_works_anywhere(statsd: UdpListener) -> None:
    class Template:
        def __call__(self, value: Any, system: Any) -> str:
            return f"<{value}>"

        def implementation(self) -> str:
            return "the template"

    def configure(config: Configurator) -> None:
        config.add_renderer(".tpl", lambda _: Template())
        view(hello, renderer="json")(config)

    app = Application(configure=configure)
    request = Request.blank("/")
    request.registry = app.wsgi.registry
    renderer: Any = get_renderer("x.tpl", registry=app.wsgi.registry)
    assert renderer.implementation() == "the template"
    assert render("x.tpl", "v", request=request) == "<v>"
    assert received(app, statsd) == {}


def test_a_tween_added_after_setup_runs_inside_ours(statsd: UdpListener) -> None:
    clock = ScriptedClock()

    def configure(config: Configurator) -> None:
        view(hello, renderer="json")(config)
        config.registry["clock"] = clock
        config.add_tween(f"{__name__}.slow_tween")

    app = Application(configure=configure, clock=clock)
    app.http.get("/hello")
    app.finish()
    statsd.settle(0.1)
    assert "route.GET.hello.200:250|ms" in statsd.lines()


def slow_tween(handler: Any, registry: Any) -> Any:
    """A tween of an application."""

    def tween(request: Request) -> Any:
        registry["clock"].advance(0.25)
        return handler(request)

    return tween


def test_an_explicit_list_of_tweens_needs_none_of_ours(statsd: UdpListener, caplog: pytest.LogCaptureFixture) -> None:
    app = Application({"pyramid.tweens": "pyramid.tweens.excview_tween_factory"}, view(hello, renderer="json"))
    app.http.get("/hello")
    assert received(app, statsd)["route.GET.hello.200"] == 1
    assert not caplog.records


def test_an_explicit_list_of_tweens_with_ours_works(statsd: UdpListener, caplog: pytest.LogCaptureFixture) -> None:
    tweens = "c2cotel.instrumentation.pyramid.tween_factory pyramid.tweens.excview_tween_factory"
    app = Application({"pyramid.tweens": tweens}, view(hello, renderer="json"))
    app.http.get("/hello")
    assert received(app, statsd)["route.GET.hello.200"] == 1
    assert caplog.text == ""


def test_the_callers_id_is_on_the_request_and_on_the_response() -> None:
    app = Application(configure=view(hello, renderer="json"))
    answer = app.http.get("/hello", headers={"X-Request-ID": "42 is the answer"})
    assert answer.json == {"id": "42 is the answer"}
    assert answer.headers.getall("X-Request-ID") == ["42 is the answer"]


def test_without_a_callers_id_there_is_a_new_uuid() -> None:
    app = Application(configure=view(hello, renderer="json"))
    answers = [app.http.get("/hello") for _ in range(2)]
    ids = {answer.json["id"] for answer in answers}
    assert len(ids) == 2
    assert all(UUID(text).version == 4 for text in ids)
    assert [answer.headers["X-Request-ID"] for answer in answers] == [answer.json["id"] for answer in answers]


def test_the_extra_header_of_the_settings_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_REQUEST_ID_HEADER", "X-Mine")
    app = Application(configure=view(hello, renderer="json"))
    assert app.http.get("/hello", headers={"X-Mine": "a", "X-Request-ID": "b"}).json == {"id": "a"}


@pytest.mark.parametrize("use_tweens", [False, True])
def test_a_sub_request_carries_the_id_of_the_request_around_it(use_tweens: bool, statsd: UdpListener) -> None:
    def outer(request: Request) -> dict[str, Any]:
        inner = request.invoke_subrequest(Request.blank("/hello"), use_tweens=use_tweens)
        own = request.invoke_subrequest(Request.blank("/hello", headers={"X-Request-ID": "own"}), use_tweens=use_tweens)
        return {"outer": request.c2c_request_id, "inner": inner.json["id"], "own": own.json["id"]}

    def configure(config: Configurator) -> None:
        view(hello, renderer="json")(config)
        view(outer, "/outer", renderer="json")(config)

    app = Application(configure=configure)
    assert app.http.get("/outer", headers={"X-Request-ID": "7"}).json == {"outer": "7", "inner": "7", "own": "own"}
    found = app.http.get("/outer").json
    assert found["outer"] == found["inner"] != found["own"]
    counts = received(app, statsd)
    assert counts["route.GET.outer.200"] == 2
    assert counts["route.GET.hello.200"] == counts["render.GET.hello.200"] == 4
    assert counts["render.GET.outer.200"] == 2


def test_the_id_is_there_with_a_request_factory_of_the_application() -> None:
    class Special(Request):
        pass

    def configure(config: Configurator) -> None:
        config.set_request_factory(Special)
        view(hello, renderer="json")(config)

    app = Application(configure=configure)
    assert app.http.get("/hello", headers={"X-Request-ID": "7"}).json == {"id": "7"}


def test_an_environ_that_comes_again_keeps_its_id(statsd: UdpListener) -> None:
    app = Application(configure=view(hello, renderer="json"))
    environ = Request.blank("/hello").environ
    ids = {b"".join(app.wsgi(environ, start_response)) for _ in range(3)}
    assert len(ids) == 1
    assert received(app, statsd) == {"route.GET.hello.200": 3, "render.GET.hello.200": 3}


def test_close_takes_the_property_away_and_lets_requests_through() -> None:
    def hello(request: Request) -> dict[str, bool]:
        return {"has_id": hasattr(request, "c2c_request_id")}

    app = Application(configure=view(hello, renderer="json"))
    assert app.http.get("/hello").json == {"has_id": True}
    app.finish()
    answer = app.http.get("/hello")
    assert answer.json == {"has_id": False}
    assert "Server-Timing" not in answer.headers


def test_server_timing_tells_route_and_render() -> None:
    clock = ScriptedClock()

    def hello(request: Request) -> dict[str, int]:
        clock.advance(0.01234)
        return {}

    app = Application(configure=view(hello, renderer="json"), clock=clock)
    assert app.http.get("/hello").headers["Server-Timing"] == "route;dur=12.34;desc=hello, render;dur=0.00"


def test_a_route_name_that_is_no_token_is_quoted() -> None:
    def configure(config: Configurator) -> None:
        config.add_route('my "route", é', "/x")
        config.add_view(lambda _: Response("x"), route_name='my "route", é')

    timing = Application(configure=configure).http.get("/x").headers["Server-Timing"]
    assert timing.endswith(r';desc="my \"route\", _"')


def test_a_response_object_that_is_used_again_does_not_pile_up_headers() -> None:
    reused = Response(b"x", headerlist=[("Content-Type", "text/plain"), ("Server-Timing", "db;dur=1")])

    def hello(request: Request) -> Response:
        return reused

    http = Application(configure=view(hello)).http
    http.get("/hello", headers={"X-Request-ID": "first"})
    answer = http.get("/hello", headers={"X-Request-ID": "second"})
    assert answer.headers.getall("X-Request-ID") == ["second"]
    timings = answer.headers.getall("Server-Timing")
    assert [timing.partition(";")[0] for timing in timings] == ["db", "route"]


def test_an_id_that_the_application_set_is_replaced() -> None:
    def hello(request: Request) -> Response:
        return Response(b"x", headerlist=[("Content-Type", "text/plain"), ("x-request-id", "other")])

    answer = Application(configure=view(hello)).http.get("/hello", headers={"X-Request-ID": "mine"})
    assert answer.headers.getall("X-Request-ID") == ["mine"]


def test_what_cannot_be_measured_is_answered_all_the_same_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Response):
        @property
        def status(self) -> str:  # type: ignore[override]
            raise RuntimeError("no status")

    def hello(request: Request) -> Response:
        response = Odd()
        response.body = b"fine"
        return response

    app = Application(configure=view(hello))
    environ = Request.blank("/hello").environ
    for _ in range(2):
        with pytest.raises(RuntimeError):  # by the WSGI call itself, after our tween
            list(app.wsgi(dict(environ), start_response))
    assert caplog.text.count("A request could not be measured") == 1


def test_no_subscriber_is_added_so_that_pyramid_notifies_nobody() -> None:
    app = Application(configure=view(hello, renderer="json"))
    assert app.wsgi.registry.has_listeners is False

    def configure(config: Configurator) -> None:
        view(hello, renderer="json")(config)
        config.add_subscriber(lambda _: None, NewRequest)

    assert Application(configure=configure).wsgi.registry.has_listeners is True


def test_setup_twice_and_include_measure_once(statsd: UdpListener) -> None:
    import c2cotel

    def configure(config: Configurator) -> None:
        c2cotel.setup(config)
        config.include("c2cotel")
        view(hello, renderer="json")(config)

    app = Application(configure=configure)
    app.http.get("/hello")
    assert received(app, statsd) == {"route.GET.hello.200": 1, "render.GET.hello.200": 1}


def test_our_loggers_are_named_after_us(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Application({"c2c.base_path": "/c2c", "c2c.debug_view_enabled": "1"})
    assert {record.name.partition(".")[0] for record in caplog.records} == {"c2cotel_views"}
