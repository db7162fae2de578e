"""`logging/level` in one process (contract, section 5); over Redis: `test_operating.py`."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.apps.application import Application
from tests.servers.local import wait_until

SECRET = {"X-API-Key": "secret"}
URL = "/c2c/logging/level"


@pytest.fixture
def app() -> Iterator[Application]:
    logging.getLogger("levels").setLevel(logging.NOTSET)
    app = Application({"c2c.base_path": "/c2c", "c2c.secret": "secret", "c2c.log_view_enabled": "1"})
    yield app
    app.finish()


def test_a_level_is_told_and_set(app: Application) -> None:
    root = logging.getLevelName(logging.getLogger().level)
    told = app.http.get(f"{URL}?name=levels.one", headers=SECRET).json
    assert told == {"status": 200, "name": "levels.one", "level": "NOTSET", "effective_level": root}
    told = app.http.get(f"{URL}?secret=secret&name=levels&level=DEBUG").json
    assert told == {"status": 200, "name": "levels", "level": "DEBUG", "effective_level": "DEBUG"}
    assert logging.getLogger("levels").level == logging.DEBUG
    told = app.http.get(f"{URL}?name=levels.one", headers=SECRET).json
    assert told == {"status": 200, "name": "levels.one", "level": "NOTSET", "effective_level": "DEBUG"}
    assert app.http.get(URL, headers=SECRET).json == {"status": 200, "overrides": {"levels": "DEBUG"}}


def test_case_does_not_matter(app: Application) -> None:
    assert app.http.get(f"{URL}?name=levels&level=warning", headers=SECRET).json["level"] == "WARNING"


@pytest.mark.parametrize("level", ["LOUD", "10", "Level 10", "é"])
def test_an_unknown_level_is_refused_and_nothing_is_stored(app: Application, level: str) -> None:
    answer = app.http.get(URL, {"name": "levels", "level": level}, headers=SECRET, status=400)
    assert f"level={level!r}" in answer.json["message"]
    assert app.http.get(URL, headers=SECRET).json == {"status": 200, "overrides": {}}
    assert logging.getLogger("levels").level == logging.NOTSET


def test_a_level_for_nobody_is_refused(app: Application) -> None:
    assert "name" in app.http.get(f"{URL}?level=DEBUG", headers=SECRET, status=400).json["message"]


def test_the_root_logger_has_a_name(app: Application) -> None:
    before = logging.getLogger().level
    told = app.http.get(f"{URL}?name=root&level=ERROR", headers=SECRET).json
    assert told == {"status": 200, "name": "root", "level": "ERROR", "effective_level": "ERROR"}
    assert logging.getLogger().level == logging.ERROR
    app.finish()
    assert logging.getLogger().level == before, "closing brings the level of before back"


def test_a_level_goes_back_by_itself(app: Application) -> None:
    logging.getLogger("levels").setLevel(logging.WARNING)
    app.http.get(f"{URL}?name=levels&level=INFO", headers=SECRET)
    app.http.get(f"{URL}?name=levels&level=DEBUG&ttl=1", headers=SECRET)
    assert logging.getLogger("levels").level == logging.DEBUG
    wait_until(lambda: logging.getLogger("levels").level != logging.DEBUG, "the end of the level")
    assert logging.getLogger("levels").level == logging.WARNING
    assert app.http.get(URL, headers=SECRET).json["overrides"] == {}


def test_a_level_without_end_takes_the_place_of_one_with(app: Application) -> None:
    app.http.get(f"{URL}?name=levels&level=DEBUG&ttl=1", headers=SECRET)
    app.http.get(f"{URL}?name=levels&level=ERROR", headers=SECRET)
    time.sleep(1.3)
    assert logging.getLogger("levels").level == logging.ERROR


def test_nobody_sees_or_changes_it_without_the_secret(app: Application) -> None:
    app.http.get(f"{URL}?name=levels&level=DEBUG", status=403)
    app.http.get(f"{URL}?name=levels&level=DEBUG&secret=wrong", status=403)
    assert logging.getLogger("levels").level == logging.NOTSET


def test_a_resolver_that_hangs_holds_no_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()

    def resolve(*_: Any, **__: Any) -> Any:
        hanging.wait(60)
        raise socket.gaierror("nobody answers")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("C2C_REDIS_URL", "redis://redis.example:6379")
    ini = {"c2c.base_path": "/c2c", "c2c.secret": "s", "c2c.log_view_enabled": "1"}
    app = Application(ini)
    try:
        start = time.monotonic()
        told = app.http.get("/c2c/logging/level?secret=s&name=app.hanging&level=DEBUG").json
        assert (told["level"], told["effective_level"]) == ("DEBUG", "DEBUG")
        assert app.http.get("/c2c/logging/level?secret=s").json["overrides"] == {"app.hanging": "DEBUG"}
        assert time.monotonic() - start < 15
    finally:
        hanging.set()
        app.finish()
