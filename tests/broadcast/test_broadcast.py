"""Broadcast without Redis, and its settings (contract, sections 1 and 5)."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import pytest

import c2cotel
from c2cotel import SettingsError, broadcast
from c2cotel.config.declare import Settings
from c2cotel.config.settings import BroadcastSettings

US = {"hostname": socket.gethostname(), "pid": os.getpid()}


def test_without_redis_this_process_answers() -> None:
    broadcast.subscribe("sum", lambda a, b: {"sum": a + b})
    for _ in range(2):
        assert broadcast.broadcast("sum", {"a": 1, "b": 2}, expect_answers=True) == [{"sum": 3, **US}]
        assert broadcast.broadcast("sum", {"a": 1, "b": 2}) is None
        c2cotel.setup()
    assert broadcast.broadcast("nobody", expect_answers=True) == []
    broadcast.unsubscribe("sum")
    broadcast.unsubscribe("sum")
    assert broadcast.broadcast("sum", {"a": 1, "b": 2}, expect_answers=True) == []
    assert broadcast.store() is None


def test_a_handler_that_fails_is_logged_and_answers_nothing(caplog: pytest.LogCaptureFixture) -> None:
    broadcast.subscribe("sum", lambda a: a / 0)
    assert broadcast.broadcast("sum", {"a": 1}, expect_answers=True) == [None]
    assert broadcast.broadcast("sum", {"b": 1}, expect_answers=True) == [None]
    assert ["channel sum failed" in record.getMessage() for record in caplog.records] == [True, True]


def test_a_decorated_function_is_called_everywhere() -> None:
    @broadcast.decorator(expect_answers=True)
    def double(number: int) -> int:
        """Twice as much."""
        return 2 * number

    assert double(number=21) == [42]
    assert double.__doc__ == "Twice as much."
    channel = f"c2c_decorated_{__name__}.{double.__qualname__}"
    assert broadcast.broadcast(channel, {"number": 4}, expect_answers=True) == [8]
    named: list[int] = []
    decorated = broadcast.decorator("append")(lambda n: named.insert(0, n))
    assert decorated(n=1) is None
    assert broadcast.broadcast("append", {"n": 2}) is None
    assert named == [2, 1]


@pytest.mark.parametrize(
    ("name", "held", "accepted"),
    [
        ("C2C_REDIS_URL", "localhost:6379", "a URL such as redis://host:6379/0"),
        ("C2C_REDIS_URL", "http://host", "a URL such as redis://host:6379/0"),
        ("C2C_REDIS_URL", "redis://", "a URL such as redis://host:6379/0"),
        ("C2C_REDIS_SENTINELS", "host", "host:port,host:port"),
        ("C2C_REDIS_SENTINELS", "host:0", "host:port,host:port"),
        ("C2C_REDIS_SENTINELS", "::1:26379", "host:port,host:port"),
        ("C2C_REDIS_SENTINELS", "a:1,b", "host:port,host:port"),
        ("C2C_REDIS_SENTINELS", ",", "host:port,host:port"),
        ("C2C_REDIS_DB", "-1", "a whole number of at least 0"),
        ("C2C_REDIS_DB", "one", "a whole number of at least 0"),
        ("C2C_REDIS_OPTIONS", "socket_timeout", "name=value,name=value"),
        ("C2C_REDIS_OPTIONS", "socket timeout=3", "name=value,name=value"),
    ],
)
def test_what_cannot_be_understood_is_refused(name: str, held: str, accepted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings({name: held}).section(BroadcastSettings)
    assert f"{name}={held!r}: expected {accepted}" in str(caught.value)


def test_settings_that_are_understood() -> None:
    settings = Settings(
        {
            "C2C_REDIS_SENTINELS": "one:26379, [::1]:26380",
            "C2C_REDIS_DB": "3",
            "C2C_REDIS_OPTIONS": "socket_timeout=1.5, max_connections=7,retry_on_timeout=TRUE,client_name=a=b,x=-2",
        }
    ).section(BroadcastSettings)
    assert settings.sentinels == (("one", 26379), ("::1", 26380))
    assert settings.db == 3
    assert settings.prefix == "broadcast_api_"
    options: Any = settings.options
    assert options == {
        "socket_timeout": 1.5,
        "max_connections": 7,
        "retry_on_timeout": True,
        "client_name": "a=b",
        "x": -2,
    }
    assert options["retry_on_timeout"] is True


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"C2C_REDIS_URL": "redis://h", "C2C_REDIS_OPTIONS": "colour=red"}, "C2C_REDIS_OPTIONS.*colour"),
        ({"C2C_REDIS_URL": "redis://h/0?socket_timeout=x"}, "C2C_REDIS_URL.*socket_timeout"),
        ({"C2C_REDIS_SENTINELS": "h:1"}, "C2C_REDIS_SERVICENAME is not set: expected the name"),
    ],
)
def test_what_the_redis_client_refuses_is_an_error_at_start(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], message: str
) -> None:
    for name, held in env.items():
        monkeypatch.setenv(name, held)
    with pytest.raises(SettingsError, match=message):
        c2cotel.setup()
    for name in env:
        monkeypatch.delenv(name)
    c2cotel.setup().close()


def test_without_the_extra_a_url_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_REDIS_URL", "redis://localhost:1")
    for module in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SettingsError, match=r"C2C_REDIS_URL.*pip install 'c2cotel\[redis\]'"):
        c2cotel.setup()


def test_no_password_is_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings({"C2C_REDIS_URL": "http://me:hunter2@host"}).section(BroadcastSettings)
    with pytest.raises(SettingsError) as unlike:
        Settings({"C2C_REDIS_URL": "redis://:hunter2@one"}).must_agree(
            Settings({"C2C_REDIS_URL": "redis://me:hunter2@two"}), BroadcastSettings
        )
    assert "hunter2" not in str(refused.value) + str(unlike.value)
    assert "redis://me:REDACTED@two" in str(unlike.value)
