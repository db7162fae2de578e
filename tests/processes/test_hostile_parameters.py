"""Whatever stands in the parameters of the views: no error but those asked for, no stack trace without the secret."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from pyramid.config import Configurator
from webtest import TestApp

from c2cotel import state
from c2cotel_views import health
from c2cotel_views._overrides import Overrides
from c2cotel_views._view import SERVED, View
from tests.apps.application import Application

REQUESTS = 6_000
_ERROR = "c2c_debug_error"
# They walk through all objects of the process; the rest of their answers, and all their errors, are quick.
_SLOW = {"c2c_debug_memory", "c2c_debug_memory_maps", "c2c_debug_memory_diff", "c2c_debug_memory_diff_deprecated"}
_OF_A_REQUEST = {"c2c_request", "c2c_request_json"}
_RARELY = 60


def _configure(config: Configurator) -> None:
    health.HealthCheck(config).add_custom_check("custom", lambda _: None, 1)
    config.add_route("hello", "/hello")
    config.add_view(lambda _: {}, route_name="hello", renderer="json")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Everything on."""
    versions = tmp_path_factory.mktemp("versions") / "versions.json"
    versions.write_text('{"main": {"git_hash": "1"}, "packages": {}}')
    switched_on = ("stats_view", "log_view_enabled", "sql_profiler_enabled", "debug_view_enabled")
    ini = {f"c2c.{name}": "1" for name in switched_on}
    ini |= {"c2c.base_path": "/c2c", "c2c.secret": "secret", "c2c.profiler_path": "/profiler"}
    ini |= {"c2c.flight_recorder": "1", "c2c.metrics_view_enabled": "1"}
    patch = pytest.MonkeyPatch()
    patch.setattr(time, "sleep", lambda _: None)
    logger = logging.getLogger("c2cotel_views")
    logger.setLevel(logging.CRITICAL)  # what is answered with an error is logged
    made = Application({**ini, "c2c.versions_path": str(versions)}, _configure)
    yield made
    made.finish()
    state.of(Overrides).clear()
    logger.setLevel(logging.NOTSET)
    patch.undo()


GOOD = [
    "0",
    "1",
    "2",
    "30",
    "0.5",
    "app",
    "DEBUG",
    "INFO",
    "/hello",
    "/hello?x=1",
    "custom",
    "500",
    "404",
    "all",
    "page",
]
HOSTILE = [
    "",
    " ",
    "-1",
    "nan",
    "inf",
    "1e400",
    "\uff19",
    "0x1",
    "1_0",
    "9" * 400,
    "a" * 20_000,
    "%",
    "%%%",
    "%zz",
    "+",
]
HOSTILE += ["\x00", "\n", "a\r\nX: y", "{}", "{0.__class__}", "<script>", "' OR 1=1 --", "../../etc/passwd", "&#0;"]
HOSTILE += ["\ud800", "\U0001f600", "\u2028", "\u202e", "true", "None", "[]", "1,2", ",,,", "a,custom", "é"]
TYPES = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
]


def _value(draw: random.Random) -> bytes:
    if draw.random() < 0.1:
        return draw.randbytes(draw.randrange(20))
    return draw.choice(draw.choice([GOOD, HOSTILE])).encode("utf-8", "surrogatepass")


def _request(draw: random.Random, row: View) -> dict[str, Any]:
    known = [parameter.name for parameter in row.parameters]
    names = [*known, *known, *known, "secret", "token", "other"]
    pairs = [(draw.choice(names), _value(draw)) for _ in range(draw.randrange(4))]
    escaped = draw.random() < 0.7
    encoded = "&".join(f"{n}={quote_from_bytes(value) if escaped else value.decode('latin-1')}" for n, value in pairs)
    return {
        "pairs": pairs,
        "encoded": re.sub(r"[\x00-\x20\x7f-\xff#]", "", encoded),
        "post": draw.random() < 0.4,
        "type": draw.choice(TYPES),
        "key": draw.choice(["secret", "secret", "secret", "wrong", "", "é"]),
        "cookie": draw.choice(["", "c2c_session=x", "c2c_session=" + "A" * 200]),
        "tail": draw.choice(["hello", "nowhere", "%ff", "%00", ""]),
    }


# WebOb leaves the temporary file of a multipart form that breaks off to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_nothing_but_what_is_asked_for(app: Application) -> None:
    router: Any = app.wsgi
    rows: list[View] = router.registry[SERVED]
    paths = {route.name: route.pattern for route in router.routes_mapper.get_routes()}
    statuses: dict[str, set[int]] = {}

    draw = random.Random(2018)
    often = [row for row in rows if row.route not in _SLOW]
    rarely = [row for row in rows if row.route in _SLOW]
    for n in range(REQUESTS):
        row = draw.choice(rarely if n % _RARELY == 0 else often)
        request = _request(draw, row)
        path = re.sub(r"\{.*\}", request["tail"], paths[row.route])
        http = TestApp(app.wsgi)
        headers = {"X-API-Key": request["key"].encode().decode("latin-1"), "Cookie": request["cookie"]}
        if request["post"]:
            headers["Content-Type"] = request["type"]
            answer = http.post(path, request["encoded"], headers=headers, status="*")
        else:
            answer = http.get(f"{path}?{request['encoded']}", headers=headers, status="*")
        statuses.setdefault(row.route, set()).add(answer.status_int)
        asked_for = row.route == _ERROR and answer.status_int == int(_first(request["pairs"], b"status") or b"500")
        assert answer.status_int < 500 or asked_for, (path, request, answer.text)
        if request["key"] != "secret":
            assert "Traceback" not in answer.text
            assert "stacktrace" not in answer.text
    assert set(statuses) == {row.route for row in rows}
    for row in rows:
        if row.route in _OF_A_REQUEST:
            assert 404 in statuses[row.route], "no request has such an id"
        elif row.route not in _SLOW | {_ERROR}:
            assert statuses[row.route] & {200, 204, 303}, f"{row.route} was never reached"
        if row.protected:
            assert 403 in statuses[row.route]
        if row.parameters:
            assert 400 in statuses[row.route], f"{row.route} refused nothing"


def _first(pairs: list[tuple[str, bytes]], name: bytes) -> bytes:
    found = [value for each, value in pairs if each.encode() == name]
    return found[0] if found and found[0].isdigit() else b""
