"""`stats.json` (contract, sections 3 and 5)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from webtest import TestApp

import c2cotel
from c2cotel import broadcast, stats
from c2cotel.testing import ScriptedClock
from tests.apps.application import Application, view


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


@pytest.fixture
def app(clock: ScriptedClock) -> Application:
    def hello(request: Request) -> dict[str, str]:
        with stats.timer_context(["work", "a/b"], {"n": 1}):
            clock.advance(0.02)
        return {}

    return Application({"c2c.stats_view": "1", "c2c.base_path": "/c2c"}, view(hello, renderer="json"), clock=clock)


def test_totals_of_timers_gauges_and_counters(app: Application) -> None:
    app.http.get("/hello")
    stats.set_gauge(["test", "gauge_s"], 24, {"toto": "tutu", "value": 24})
    stats.increment_counter(["test", "counter"], 3)
    answer = app.http.get("/c2c/stats.json")
    twenty = dict.fromkeys(("avg_ms", "min_ms", "max_ms", "p50_ms", "p95_ms", "p99_ms"), 20)
    zero = dict.fromkeys(twenty, 0)
    assert answer.content_type == "application/json"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert answer.json == {
        "timers": {
            "work/a_b/n=1": {"nb": 1, **twenty},
            "route/GET/hello/200": {"nb": 1, **twenty},
            "render/GET/hello/200": {"nb": 1, **zero},
        },
        "gauges": {"test/gauge_s/toto=tutu/value=24": 24},
        "counters": {"test/counter": 3},
    }


def test_reset_needs_the_secret(app: Application) -> None:
    app.http.get("/hello")
    app.http.get("/c2c/stats.json?reset=1", status=403)
    assert "route/GET/hello/200" in app.http.get("/c2c/stats.json").json["timers"]


def test_reset_returns_and_clears(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_OPEN_RESET", "1")
    with Configurator(settings=app.wsgi.registry.settings) as config:
        c2cotel.setup(config)
    http = TestApp(config.make_wsgi_app())
    app.http.get("/hello")
    assert "route/GET/hello/200" in http.get("/c2c/stats.json?reset=1").json["timers"]
    assert set(http.get("/c2c/stats.json").json["timers"]) == {
        f"{kind}/GET/c2c_read_stats_json/200" for kind in ("route", "render")
    }


def test_a_bad_parameter_is_a_400_that_names_it(app: Application) -> None:
    answer = app.http.get("/c2c/stats.json?reset=maybe", status=400)
    assert "reset='maybe'" in answer.text


def test_with_tags_the_totals_carry_them(clock: ScriptedClock) -> None:
    def hello(request: Request) -> dict[str, str]:
        return {}

    ini = {"c2c.stats_view": "1", "c2c.statsd_use_tags": "1"}
    app = Application(ini, view(hello, renderer="json"), clock=clock)
    app.http.get("/hello")
    assert set(app.http.get("/stats.json").json["timers"]) == {
        "route/group=2/method=GET/route=hello/status=200",
        "render/group=2/method=GET/route=hello/status=200",
    }


def test_the_view_is_absent_when_it_is_not_turned_on() -> None:
    Application().http.get("/stats.json", status=404)


def test_the_view_ignores_the_route_prefix_of_the_application() -> None:
    def prefixed(config: Configurator) -> None:
        config.include(lambda inner: inner.include("c2cotel"), route_prefix="/api")

    app = Application({"c2c.stats_view": "1"}, prefixed)
    assert app.http.get("/stats.json").json["timers"] == {}


def test_a_second_application_that_wants_totals_gets_them_from_then_on(clock: ScriptedClock) -> None:
    def hello(request: Request) -> dict[str, str]:
        return {}

    first = Application({}, view(hello, renderer="json"), clock=clock)
    first.http.get("/hello")
    second = Application({"c2c.stats_view": "1"})
    first.http.get("/hello")
    assert second.http.get("/stats.json").json["timers"]["route/GET/hello/200"]["nb"] == 1
    first.http.get("/stats.json", status=404)


def test_the_view_is_open_whatever_the_applications_default_permission_is() -> None:
    class Nobody:
        def identity(self, _: Request) -> None:
            return None

        def permits(self, *_: object) -> bool:
            return False

    def configure(config: Configurator) -> None:
        config.set_security_policy(Nobody())
        config.set_default_permission("everything")

    app = Application({"c2c.stats_view": "1"}, configure)
    assert app.http.get("/stats.json").status_code == 200


def test_a_query_that_is_no_utf8_is_a_400(app: Application) -> None:
    app.http.get("/c2c/stats.json?reset=%ff", status=400)


def test_without_redis_all_processes_are_this_one(app: Application) -> None:
    app.http.get("/hello")
    answer = app.http.get("/c2c/stats.json?scope=all").json
    assert answer.pop("processes") == {"answered": 1, "silent": 0}
    assert answer["timers"]["work/a_b/n=1"]["nb"] == 1
    assert "scope='some'" in app.http.get("/c2c/stats.json?scope=some", status=400).text


def test_many_who_ask_for_all_processes_share_few_collections(app: Application) -> None:
    asked: list[bool] = []

    def slow(reset: bool) -> dict[str, Any]:
        asked.append(reset)
        time.sleep(0.2)
        return {"totals": app.telemetry.totals(reset=reset)}

    broadcast.unsubscribe("c2c_stats")
    broadcast.subscribe("c2c_stats", slow)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: app.http.get("/c2c/stats.json?scope=all").json, range(12)))
    assert {answer["processes"]["answered"] for answer in answers} == {1}
    assert 1 <= len(asked) <= 3
