"""What newcomers and attackers meet at the views: plain answers, logins that end, one line where something lacks."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import Any

import pytest
from pyramid.config import Configurator
from webtest import TestApp

import c2cotel
from tests.apps.application import Application

SECRET = "a&b c"
ALL = {
    "c2c.base_path": "/c2c",
    "c2c.secret": SECRET,
    "c2c.stats_view": "1",
    "c2c.debug_view_enabled": "1",
    "c2c.log_view_enabled": "1",
    "c2c.sql_profiler_enabled": "1",
}
KEY = {"X-API-Key": SECRET}
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def cookie_of(http: Any) -> str:
    """The session that the login gives a browser."""
    answer = http.post("/c2c/", {"secret": SECRET}, status=303)
    return str(answer.headers.getall("Set-Cookie")[0].partition(";")[0])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("stats.json", 200),
        ("logging/level?name=x", 200),
        ("debug/headers", 200),
        ("debug/stacks", 200),
        ("nowhere", 404),
        ("debug/error?status=503", 503),
        ("stats.json?reset=x", 400),
        ("debug/sleep?time=nan", 400),
    ],
)
def test_json_ends_with_a_newline_and_is_taken_for_nothing_else(path: str, status: int) -> None:
    answer = Application(ALL).http.get(f"/c2c/{path}", headers=KEY, status=status)
    assert answer.body.endswith(b"}\n") or answer.body.endswith(b"]\n")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}])
def test_a_refusal_is_json_too(headers: dict[str, str]) -> None:
    answer = Application(ALL).http.get("/c2c/debug/headers", headers=headers, status=403)
    assert answer.body.endswith(b"}\n")
    assert answer.headers.getall("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("path", ["debug/headers", "logging/level?name=a%26b", "sql_profiler"])
def test_a_browser_without_session_is_led_to_the_login_and_back(path: str) -> None:
    http = Application(ALL).http
    login = str(http.get(f"/c2c/{path}", headers=BROWSER, status=303).location)
    assert login.startswith("http://localhost/c2c/?back=")
    assert 'name="secret"' in http.get(login, headers=BROWSER).text
    assert http.post(login, {"secret": SECRET}, status=303).location == f"http://localhost/c2c/{path}"
    assert http.get(f"/c2c/{path}", headers=BROWSER).status_int == 200


@pytest.mark.parametrize("back", ["//evil.example/c2c/", "http://evil.example/", "/other", "/c2c/\\evil", "/c2cx/"])
def test_a_login_leads_to_no_other_place(back: str) -> None:
    answer = Application(ALL).http.post("/c2c/", {"secret": SECRET, "back": back}, status=303)
    assert answer.location == "http://localhost/c2c/"


@pytest.mark.parametrize("path", ["stats.json?reset=maybe", "logging/level?name=x&level=LOUD", "debug/memory?limit=x"])
def test_a_typing_error_shows_no_stack(path: str) -> None:
    answer = Application(ALL).http.get(f"/c2c/{path}", headers=KEY, status=400)
    assert set(answer.json) <= {"message", "request_id", "status"}
    assert answer.json["message"].partition("=")[0] in path


def test_a_session_is_no_more_after_its_logout() -> None:
    http = Application(ALL).http
    stolen = {"Cookie": cookie_of(http)}
    thief = TestApp(http.app)
    assert thief.get("/c2c/debug/headers", headers=stolen).status_int == 200
    http.post("/c2c/", {"log_out": "1"}, status=303)
    thief.get("/c2c/debug/headers", headers=stolen, status=403)
    later = Application(ALL).http  # a process that starts later
    later.get("/c2c/debug/headers", headers=stolen, status=403)


@pytest.mark.parametrize("other", [{"c2c.base_path": "/ops"}, {"c2c.secret": "another"}])
def test_a_session_is_none_elsewhere(other: dict[str, str]) -> None:
    cookie = {"Cookie": cookie_of(Application(ALL).http)}
    ini = {**ALL, **other}
    Application(ini).http.get(f"{ini['c2c.base_path']}/debug/headers", headers=cookie, status=403)


def test_a_session_of_another_service_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Application(ALL)
    cookie = {"Cookie": cookie_of(app.http)}
    app.finish()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "another")
    Application(ALL).http.get("/c2c/debug/headers", headers=cookie, status=403)


@pytest.mark.parametrize(
    "path",
    [
        "/c2c/debug/memory_diff",
        "/c2c/debug/memory_diff/c2c/debug/memory_diff",
        "/c2c/debug/memory_diff?path=/c2c/debug/memory_diff",
    ],
)
def test_memory_diff_never_calls_itself(path: str) -> None:
    http = Application(ALL).http
    http.get("/c2c/debug/memory_diff", {"path": path}, headers=KEY, status=400)
    http.get("/c2c/debug/memory_diff", {"path": path.replace("memory_diff", "memory%5Fdiff")}, headers=KEY, status=400)


def test_views_that_are_not_installed_are_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(**_: Any) -> tuple[()]:
        return ()

    monkeypatch.setattr("c2cotel._setup.entry_points", none)
    with Configurator(settings=ALL) as config:
        c2cotel.setup(config)
    (line,) = [record for record in caplog.records if "c2cotel-views is not installed" in record.getMessage()]
    assert line.levelno == logging.WARNING
    assert "C2C_BASE_PATH, STATS_VIEW, C2C_LOG_VIEW_ENABLED" in line.getMessage()
    caplog.clear()
    with Configurator(settings={}) as config:
        c2cotel.setup(config)
    assert "not installed" not in caplog.text


def test_the_views_come_by_their_entry_point() -> None:
    assert "views" in {point.name for point in importlib.metadata.entry_points(group="c2cotel.plugins")}
