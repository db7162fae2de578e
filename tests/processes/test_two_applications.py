"""What belongs to the process is shared by every application in it, and fixed until it is closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from webtest import TestApp

import c2cotel
from c2cotel import SettingsError, stats
from tests.servers.udp import UdpListener


@pytest.fixture
def other_listener() -> Iterator[UdpListener]:
    with closing(UdpListener()) as listener:
        yield listener


def application(name: str, **settings: str) -> TestApp:
    """An application whose only route and only page have its name."""
    config = Configurator(settings=settings)
    config.add_route(name, f"/{name}")

    def view(_: Request) -> Response:
        with stats.timer_context(["work", name]):
            return Response(name)

    config.add_view(view, route_name=name)
    c2cotel.setup(config)
    return TestApp(config.make_wsgi_app())


def test_two_applications_share_one_telemetry(udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    first, second = application("first"), application("second")
    for app, name in ((first, "first"), (second, "second"), (first, "first")):
        assert app.get(f"/{name}").headers["X-Request-ID"]
    assert c2cotel.setup().flush()
    udp_listener.wait_for("route.", 3)
    assert udp_listener.counts("route.") == {"route.GET.first.200": 2, "route.GET.second.200": 1}
    assert udp_listener.counts("work.") == {"work.first": 2, "work.second": 1}


def test_setup_twice_for_one_application_measures_each_request_once(
    udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    config = Configurator(settings={})
    config.add_route("once", "/once")
    config.add_view(lambda _: Response("once"), route_name="once")
    assert c2cotel.setup(config) is c2cotel.setup(config)
    config.include("c2cotel")
    answer = TestApp(config.make_wsgi_app()).get("/once")
    assert len(answer.headers.getall("X-Request-ID")) == len(answer.headers.getall("Server-Timing")) == 1
    assert c2cotel.setup().flush()
    udp_listener.wait_for("route.")
    udp_listener.settle()
    assert udp_listener.counts() == {"route.GET.once.200": 1}


def test_another_address_for_a_second_application_is_refused_by_name(
    udp_listener: UdpListener, other_listener: UdpListener
) -> None:
    first = application("first", **{"c2c.statsd_address": udp_listener.address})
    with pytest.raises(SettingsError, match=r"^c2c\.statsd_address=") as refused:
        application("second", **{"c2c.statsd_address": other_listener.address})
    assert other_listener.address in str(refused.value)
    assert udp_listener.address in str(refused.value)
    first.get("/first")
    assert c2cotel.setup().flush()
    udp_listener.wait_for("route.GET.first.200")
    assert not other_listener.datagrams


def test_after_close_another_address_works(udp_listener: UdpListener, other_listener: UdpListener) -> None:
    first = application("first", **{"c2c.statsd_address": udp_listener.address})
    first.get("/first")
    old = c2cotel.setup()
    old.close()
    udp_listener.wait_for("route.GET.first.200")
    before = len(udp_listener.lines())

    answer = first.get("/first")
    assert answer.text == "first"
    assert "X-Request-ID" not in answer.headers
    assert "Server-Timing" not in answer.headers

    second = application("second", **{"c2c.statsd_address": other_listener.address})
    second.get("/second")
    assert "X-Request-ID" not in first.get("/first").headers
    new = c2cotel.setup()
    assert new is not old
    assert new.flush()
    other_listener.wait_for("route.GET.second.200")
    assert other_listener.counts("route.") == {"route.GET.second.200": 1}
    assert len(udp_listener.lines()) == before


def test_closing_twice_sends_everything_once(udp_listener: UdpListener) -> None:
    application("app", **{"c2c.statsd_address": udp_listener.address}).get("/app")
    telemetry = c2cotel.setup()
    telemetry.close()
    telemetry.close()
    udp_listener.wait_for("route.")
    udp_listener.settle()
    assert udp_listener.counts() == {"route.GET.app.200": 1, "work.app": 1}
    assert telemetry.closed
