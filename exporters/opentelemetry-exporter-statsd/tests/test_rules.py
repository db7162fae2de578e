"""The rule language, and the documented names through the SDK."""

from typing import Any

import pytest
from opentelemetry.exporter.statsd import NameRule, resolve

ROUTE = NameRule(
    "http.server.request.duration",
    ["route", "{http.request.method}", "{pyramid.route.name:_not_found}", "{http.response.status_code:500}"],
    tagged=["route"],
    tags={
        "route": "{pyramid.route.name:_not_found}",
        "status": "{http.response.status_code:500}",
        "group": "{http.response.status_code//100:500}",
    },
)
REQUESTS = NameRule(
    "http.client.request.duration",
    ["requests", "{url.scheme}", "{server.address}", "{server.port:None}", "{http.request.method}", "{status:999}"],
)
COMMIT = NameRule("db.client.operation.duration", ["sql", "commit"], when={"db.operation.name": "COMMIT"})
SQL = NameRule(
    "db.client.operation.duration", ["sql", "{db.query.text}"], tagged=["sql"], tags={"query": "{db.query.text}"}
)
REDIS = NameRule(
    "redis.command.duration",
    ["redis", "{db.operation.name}", "{error.type?failure:success}"],
    tagged=["redis"],
    tags={"cmd": "{db.operation.name}", "success": "{error.type?0:1}"},
)
TIMER = NameRule("c2c.timer", ["{c2c.key*}"], extra_tags=True)
RULES = [ROUTE, REQUESTS, COMMIT, SQL, REDIS, TIMER]

HELLO = {"http.request.method": "GET", "pyramid.route.name": "hello", "http.response.status_code": 200}

ETSY = {"flavor": "etsy", "whole_milliseconds": True, "prefix": "c2c", "rules": RULES}
DATADOG = {"flavor": "datadog", "whole_milliseconds": True, "prefix": "c2c", "rules": RULES}


@pytest.mark.parametrize(
    ("options", "instrument", "seconds", "attributes", "line"),
    [
        (ETSY, ROUTE.instrument, 0.0123, HELLO, "c2c.route.GET.hello.200:12|ms"),
        (DATADOG, ROUTE.instrument, 0.0123, HELLO, "c2c.route:12|ms|#group:2,route:hello,status:200"),
        (
            ETSY,
            ROUTE.instrument,
            0.0004,
            {"http.request.method": "GET", "http.response.status_code": 404},
            "c2c.route.GET._not_found.404:1|ms",
        ),
        (
            ETSY,
            REQUESTS.instrument,
            0.5,
            {"url.scheme": "https", "server.address": "x.y", "http.request.method": "GET"},
            "c2c.requests.https.x_y.None.GET.999:500|ms",
        ),
        (
            ETSY,
            REDIS.instrument,
            0.001,
            {"db.operation.name": "CONFIG GET", "error.type": "x"},
            "c2c.redis.CONFIG_GET.failure:1|ms",
        ),
        (
            DATADOG,
            REDIS.instrument,
            0.001,
            {"db.operation.name": "CONFIG GET", "error.type": "x"},
            "c2c.redis:1|ms|#cmd:CONFIG_GET,success:0",
        ),
        (DATADOG, REDIS.instrument, 0.001, {"db.operation.name": "GET"}, "c2c.redis:1|ms|#cmd:GET,success:1"),
        (ETSY, SQL.instrument, 0.004, {"db.operation.name": "COMMIT"}, "c2c.sql.commit:4|ms"),
        (DATADOG, SQL.instrument, 0.004, {"db.operation.name": "COMMIT"}, "c2c.sql.commit:4|ms"),
        (ETSY, SQL.instrument, 0.004, {"db.query.text": "sélect é€\n--;"}, "c2c.sql.s_lect_______:4|ms"),
        (ETSY, SQL.instrument, 0.004, {"db.query.text": "a😀b"}, "c2c.sql.a_b:4|ms"),
        (ETSY, TIMER.instrument, 0.004, {"c2c.key": ("Toto", "tu.tu")}, "c2c.Toto.tu_tu:4|ms"),
        (ETSY, TIMER.instrument, 0.004, {"c2c.key": ("SELECT 1", "b")}, "c2c.SELECT_1.b:4|ms"),
        (ETSY, TIMER.instrument, 0.004, {"c2c.key": ("a",), "z": "1.2", "b": "x"}, "c2c.a.x.1_2:4|ms"),
        (DATADOG, TIMER.instrument, 0.004, {"c2c.key": ("a",), "z": "1.2", "b": "x"}, "c2c.a:4|ms|#b:x,z:1.2"),
        (ETSY, SQL.instrument, 0.004, {"db.query.text": ("SELECT 1", "b")}, "c2c.sql.SELECT_1_b:4|ms"),
    ],
)
def test_a_documented_name_is_written_to_the_byte(
    application: Any, options: Any, instrument: str, seconds: float, attributes: Any, line: str
) -> None:
    app = application(**options)
    app.meter.create_histogram(instrument, unit="s").record(seconds, attributes)
    assert app.flush() == [line]


def test_without_use_tags_only_tags_of_the_user_are_sent(application: Any) -> None:
    app = application(**DATADOG, use_tags=False)
    app.meter.create_histogram(ROUTE.instrument, unit="s").record(0.01, HELLO)
    app.meter.create_histogram(TIMER.instrument, unit="s").record(0.01, {"c2c.key": ("a",), "b": "x"})
    assert app.flush() == ["c2c.route.GET.hello.200:10|ms", "c2c.a:10|ms|#b:x"]


def test_constant_tags_go_on_every_metric_and_a_metrics_own_tag_wins(application: Any) -> None:
    app = application(tags={"env": "prod", "Zone": "a b"})
    app.meter.create_counter("one").add(1)
    app.meter.create_counter("two").add(1, {"env": "test"})
    assert app.flush() == ["one:1|c|#Zone:a_b,env:prod", "two:1|c|#Zone:a_b,env:test"]


def test_a_rule_whose_required_attribute_is_missing_does_not_match() -> None:
    assert resolve(ROUTE, {"pyramid.route.name": "hello"}, tagged=False) is None
    assert resolve(ROUTE, {"http.request.method": None}, tagged=False) is None


def test_the_first_rule_that_matches_wins(application: Any) -> None:
    rules = [NameRule("X", ["first", "{a}"]), NameRule("x", ["second"], when={"b": "true"}), NameRule("x", ["third"])]
    app = application(flavor="etsy", rules=rules)
    counter = app.meter.create_counter("x")
    counter.add(1, {"a": 1, "b": True})
    counter.add(1, {"b": True})
    counter.add(1, {"b": "false"})
    assert app.flush() == ["first.1:1|c", "second:1|c", "third:1|c"]


def test_what_a_rule_resolves_to_is_neither_sanitised_nor_cut() -> None:
    assert resolve(TIMER, {"c2c.key": ["a.b", "é" * 1000], "t": "x|y", "n": None, "e": ""}, tagged=False) == (
        ["a.b", "é" * 1000],
        {"t": "x|y"},
    )


def test_the_default_of_a_division_is_divided_too() -> None:
    rule = NameRule("x", ["{status//100:500}", "{code//10}"])
    assert resolve(rule, {"code": 404.9}, tagged=False) == (["5", "40"], {})
    assert resolve(rule, {"status": "abc", "code": "77"}, tagged=False) == (["5", "7"], {})
    assert resolve(rule, {"status": 204, "code": "x"}, tagged=False) is None


def test_a_default_may_be_empty_and_text_may_stand_around_a_field() -> None:
    rule = NameRule("x", ["a-{b:}-c", "{d:e:f}"])
    assert resolve(rule, {}, tagged=True) == (["a--c", "e:f"], {})


@pytest.mark.parametrize("template", ["{", "a}b", "{}", "{a//0}", "{a//x}", "{a?b}", "x{a*}", "{a*}{b}", "{a*:b}"])
def test_a_template_that_is_not_of_the_language_is_refused_with_its_text(template: str) -> None:
    with pytest.raises(ValueError, match="template") as caught:
        NameRule("x", [template])
    assert repr(template) in str(caught.value)


def test_a_name_given_as_one_text_is_refused() -> None:
    with pytest.raises(ValueError, match="list of segments"):
        NameRule("x", "route")


def test_a_splat_in_a_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="splat"):
        NameRule("x", ["x"], tags={"a": "{b*}"})
