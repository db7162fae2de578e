"""The renderers `json` and `fast_json` (contract, section 9)."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.interfaces import IRendererFactory
from pyramid.renderers import JSON, render
from pyramid.request import Request

from tests.apps.application import Application, view

Point = namedtuple("Point", "x y")  # noqa: PYI024  # as old code has it


@pytest.fixture(autouse=True)
def messages_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of unexpected exceptions go to everybody, as in 2018: these tests are about the messages."""
    monkeypatch.setenv("C2C_SHOW_ERRORS", "1")


class Color(Enum):
    RED = "red"


class Adapted:
    pass


class Json:
    def __json__(self, request: Request | None) -> dict[object, object]:
        return {"path": None if request is None else request.path, "big": 2**70, 3: Decimal("1.10")}


@dataclass
class Plain:
    b: int
    a: Any


@dataclass
class Own:
    a: int

    def __json__(self, _: Request | None) -> str:
        return "its own"


def answer(renderer: str, value: object, configure: Any = lambda _: None) -> Any:
    def hello(request: Request) -> object:
        return value

    def both(config: Configurator) -> None:
        view(hello, renderer=renderer)(config)
        configure(config)

    return Application(configure=both).http.get("/hello")


@pytest.mark.parametrize("renderer", ["json", "fast_json"])
def test_both_are_indented_and_sorted_utf8(renderer: str) -> None:
    found = answer(renderer, {"b": [1, 2.5], "a": {"é": None}, "c": []})
    assert found.headers["Content-Type"] == "application/json"
    assert json.loads(found.body) == {"a": {"é": None}, "b": [1, 2.5], "c": []}
    text = found.body.decode().replace("\\u00e9", "é")
    assert text == '{\n  "a": {\n    "é": null\n  },\n  "b": [\n    1,\n    2.5\n  ],\n  "c": []\n}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1.10"), "1.10"),
        ([Decimal("1E+30"), Decimal("NaN"), Decimal("-Infinity")], "[\n  1E+30,\n  null,\n  null\n]"),
        (
            {
                1,
            },
            "[\n  1\n]",
        ),
        (frozenset(), "[]"),
        (Point(1, Decimal(2)), "[\n  1,\n  2\n]"),
        ({None: 1, True: 2, 2.5: 3}, '{\n  "2.5": 3,\n  "null": 1,\n  "true": 2\n}'),
        ({(1, 2): 0, Decimal("1.5"): 1}, '{\n  "(1, 2)": 0,\n  "1.5": 1\n}'),
        ({b"k\xff": {2: 3}}, '{\n  "k�": {\n    "2": 3\n  }\n}'),
        (
            [2**64 - 1, 2**64, -(2**63) - 1],
            "[\n  18446744073709551615,\n  18446744073709551616,\n  -9223372036854775809\n]",
        ),
        ({"a": [{"n": 10**40}]}, '{\n  "a": [\n    {\n      "n": 1' + 40 * "0" + "\n    }\n  ]\n}"),
        ("\ud800", '"\\ud800"'),
        ({"\ud800": 1}, '{\n  "?": 1\n}'),
        ([float("nan"), float("inf")], "[\n  null,\n  null\n]"),
        (datetime(2020, 1, 2, tzinfo=timezone.utc), '"2020-01-02T00:00:00+00:00"'),
        (Color.RED, '"red"'),
        (Plain(1, {2}), '{\n  "a": [\n    2\n  ],\n  "b": 1\n}'),
        (Own(1), '"its own"'),
        (Json(), '{\n  "3": 1.10,\n  "big": 1180591620717411303424,\n  "path": "/hello"\n}'),
        ({(1, 2): Json()}, None),
    ],
    ids=str,
)
def test_fast_json_takes_what_ujson_or_the_standard_library_takes(value: object, expected: str | None) -> None:
    body = answer("fast_json", value).body.decode()
    if expected is None:
        assert json.loads(body) == {"(1, 2)": {"3": 1.1, "big": 2**70, "path": "/hello"}}
    else:
        assert body == expected


def test_fast_json_works_outside_of_a_request_as_text() -> None:
    with Configurator() as config:
        config.include("c2cotel")
    config.begin()
    try:
        config.commit()
        assert render("fast_json", {2: Json()}) == (
            '{\n  "2": {\n    "3": 1.10,\n    "big": 1180591620717411303424,\n    "path": null\n  }\n}'
        )
    finally:
        config.end()


def test_json_sorts_unless_keys_have_no_order() -> None:
    assert answer("json", {"b": 1, None: 2, 3: 3}).json == {"b": 1, "null": 2, "3": 3}


@pytest.mark.parametrize("renderer", ["json", "fast_json"])
def test_adapters_work(renderer: str) -> None:
    def configure(config: Configurator) -> None:
        config.commit()
        factory: Any = config.registry.getUtility(IRendererFactory, renderer)
        factory.add_adapter(Adapted, lambda _, request: {"adapted": request.path})

    assert answer(renderer, {"x": Adapted()}, configure).json == {"x": {"adapted": "/hello"}}


def test_adapters_added_to_pyramids_own_renderer_before_ours_is_there_stay() -> None:
    from pyramid.renderers import json_renderer_factory

    before = json_renderer_factory.components
    json_renderer_factory.components = type(before)()
    try:
        json_renderer_factory.add_adapter(Adapted, lambda _, __: "adapted")
        assert answer("json", Adapted()).body == b'"adapted"'
    finally:
        json_renderer_factory.components = before


@pytest.mark.parametrize("name", ["json", "fast_json"])
@pytest.mark.parametrize("included", [False, True], ids=["root", "include"])
def test_the_applications_own_renderer_wins(name: str, *, included: bool) -> None:
    def own(config: Configurator) -> None:
        config.add_renderer(name, JSON(separators=(",", ":")))

    def configure(config: Configurator) -> None:
        if included:
            config.include(own)
        else:
            own(config)

    assert answer(name, {"a": [1]}, configure).body == b'{"a":[1]}'


@pytest.mark.parametrize("renderer", ["json", "fast_json"])
def test_what_no_json_can_hold_is_a_500_that_names_it(renderer: str) -> None:
    def hello(request: Request) -> object:
        return {"x": Adapted()}

    found = Application(configure=view(hello, renderer=renderer)).http.get("/hello", status=500)
    assert "Adapted object" in found.json["message"]
    assert "is not JSON serializable" in found.json["message"]


def test_a_value_that_holds_itself_is_a_500() -> None:
    ring: list[object] = []
    ring.append(ring)

    def hello(request: Request) -> object:
        return ring

    found = Application(configure=view(hello, renderer="fast_json")).http.get("/hello", status=500)
    assert found.json["message"] == "The value holds itself, or is nested too deeply"
