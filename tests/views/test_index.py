"""The first page and the page of all views without a browser (contract, sections 5 and 17); others have one."""

from __future__ import annotations

import re

import pytest
from webtest import TestApp

from tests.apps.application import Application

ALL = {
    "c2c.base_path": "/c2c",
    "c2c.secret": "a&b c",
    "c2c.stats_view": "1",
    "c2c.log_view_enabled": "1",
    "c2c.sql_profiler_enabled": "1",
    "c2c.debug_view_enabled": "1",
    "c2c.profiler_path": "profiler",
}
OPEN = {"Log in", "Versions"}
CONSOLE = {"Requests", "Failed", "p95", "Processes", "Routes by total time"}
PROTECTED = {"Levels of loggers", "SQL profiler", "CPU profiler", "Debug: stacks", "Debug: sleep", "Debug: error"}


@pytest.fixture
def app() -> Application:
    return Application(ALL)


def headings(text: str) -> set[str]:
    """What the page lists."""
    return set(re.findall(r"<h2[^>]*>([^<]*)</h2>", text))


@pytest.mark.parametrize("path", ["/c2c", "/c2c/"])
def test_without_the_secret_there_is_the_login_alone(app: Application, path: str) -> None:
    answer = app.http.get(path)
    assert answer.content_type == "text/html"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert headings(answer.text) <= OPEN
    for protected in ("/c2c/sql", "/c2c/logs", "/c2c/stats", "/c2c/views", "profiler"):
        assert protected not in answer.text


@pytest.mark.parametrize("path", ["/c2c", "/c2c/"])
def test_with_the_secret_it_is_the_console(app: Application, path: str) -> None:
    assert headings(app.http.get(path, headers={"X-API-Key": "a&b c"}).text) >= CONSOLE
    answer = app.http.get(path, {"secret": "a&b c"})
    assert headings(answer.text) >= CONSOLE
    assert "a&amp;b c" not in answer.text
    assert "a%26b" not in answer.text


def test_every_view_that_is_served_has_a_form(app: Application) -> None:
    app.http.get("/c2c/views", status=403)
    assert headings(app.http.get("/c2c/views", headers={"X-API-Key": "a&b c"}).text) >= PROTECTED


def test_without_the_console_the_first_page_has_the_forms() -> None:
    app = Application({**ALL, "c2c.console": "0"})
    assert headings(app.http.get("/c2c/", headers={"X-API-Key": "a&b c"}).text) >= PROTECTED
    app.http.get("/c2c/views", headers={"X-API-Key": "a&b c"}, status=404)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_wrong_secret_is_a_403_and_starts_no_session(app: Application, method: str) -> None:
    answer = getattr(app.http, method)("/c2c/", {"secret": "a"}, status=403)
    assert "This is not the secret." in answer.text
    assert headings(answer.text) <= OPEN
    assert "Set-Cookie" not in answer.headers


def test_a_session_begins_by_post_reaches_all_pages_and_ends(app: Application) -> None:
    answer = app.http.post("/c2c/", {"secret": "a&b c"}, status=303)
    assert answer.location == "http://localhost/c2c/"
    cookies = answer.headers.getall("Set-Cookie")
    assert [re.findall(r"[Pp]ath=([^;]*)", cookie) for cookie in cookies] == [["/c2c"], ["/profiler"]]
    assert headings(app.http.get("/c2c/").text) >= CONSOLE
    assert app.http.get("/profiler").status_int == 200
    app.http.post("/c2c/", {"log_out": "1"}, status=303)
    assert headings(app.http.get("/c2c/").text) <= OPEN
    app.http.get("/profiler", status=403)


def test_links_have_the_scheme_and_host_that_the_request_came_by(app: Application) -> None:
    http = TestApp(
        app.wsgi, extra_environ={"wsgi.url_scheme": "https", "HTTP_HOST": "example.com", "SCRIPT_NAME": "/p"}
    )
    text = http.get("/c2c/views", headers={"X-API-Key": "a&b c"}).text
    links = re.findall(r'(?:href|action)="([^"#]+)"', text)
    assert len(links) > 10
    assert all(link.startswith(("https://example.com/p/", "/p/")) or link == "data:," for link in links), links
    assert http.post("/c2c/", {"log_out": "1"}).location == "https://example.com/p/c2c/"


def test_nothing_of_other_hosts_is_let_in(app: Application) -> None:
    policy = app.http.get("/c2c/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy


def test_every_parameter_has_a_field_with_a_label(app: Application) -> None:
    text = app.http.get("/c2c/views", headers={"X-API-Key": "a&b c"}).text
    for row in (
        "c2c_read_stats_json-reset",
        "c2c_logging_level-level",
        "c2c_debug_sleep-time",
        "c2c_sql_profiler-enable",
    ):
        assert f'<label for="{row}">' in text
        assert f'id="{row}" name="{row.split("-")[1]}"' in text


def test_without_a_secret_the_page_says_what_is_missing() -> None:
    app = Application({**ALL, "c2c.secret": ""})
    text = app.http.get("/c2c/").text
    assert "C2C_SECRET is not set" in text
    assert headings(text) == {"Statistics"}


def test_without_a_base_path_there_is_no_page() -> None:
    app = Application({**ALL, "c2c.base_path": ""})
    app.http.get("/", status=404)
    app.http.get("/stats.json")


def test_hostile_hosts_are_text(app: Application) -> None:
    headers = {"Host": "<script>alert(1)</script>", "X-API-Key": "a&b c"}
    text = app.http.get("/c2c/views", headers=headers).text
    assert "<script>alert" not in text
