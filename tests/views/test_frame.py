"""A row of the table of views: its route, guard, session and parameters (contract, section 5)."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from webtest import TestApp

import c2cotel_views
from c2cotel_views import VIEWS, _auth
from c2cotel_views._parameters import choice, flag, number, seconds, text, words
from c2cotel_views._reference import reference
from c2cotel_views._view import View
from tests.apps.application import Application, view

SECRET = "pä ss+w&rd"
FORBIDDEN = "Missing or wrong secret, expected as X-API-Key or as the parameter secret"
NO_CHANGE = "A change needs the secret itself, or a POST with the token of the session"

ON = flag("on", "On or off.", default=None)
LIMIT = number("limit", "How many.", 30, least=1, most=500)
TIME = seconds("time", "How long.", 1.5, most=60)
NAME = text("name", "Which one.", default=None, most=20)
CHECKS = words("checks", "Only these.")
LEVEL = choice("level", "How loud.", None, "DEBUG", "INFO")
PARAMETERS = (ON, LIMIT, TIME, NAME, CHECKS, LEVEL)


def show(request: Request) -> dict[str, Any]:
    return {each.name: each(request) for each in PARAMETERS}


def log_in(request: Request) -> Response:
    response = Response("in" if _auth.secret_came(request) else "out", content_type="text/html")
    if _auth.secret_came(request):
        _auth.log_in(request, response)
    return response


def log_out(request: Request) -> Response:
    response = Response(status=204)
    _auth.log_out(request, response)
    return response


ROWS = (
    View("/open", "c2c_open", lambda _: True, show, "Open", "Shows.", PARAMETERS),
    View("/shut", "c2c_shut", lambda _: True, show, "Shut", "Shows.", PARAMETERS, protected=True),
    View(
        "/level",
        "c2c_level",
        lambda _: True,
        lambda request: {"set": LEVEL(request)},
        protected=True,
        changes_state=lambda request: LEVEL(request) is not None,
    ),
    View("/token", "c2c_token", lambda _: True, _auth.token, protected=True),
    View("/in", "c2c_in", lambda _: True, log_in, changes_state=lambda _: False),
    View("/out", "c2c_out", lambda _: True, log_out),
    View("/path/{path:.*}", "c2c_path", lambda _: True, lambda request: request.matchdict, protected=True),
    View("{PROFILER}", "c2c_root", lambda _: True, lambda _: "root", at=lambda _: "profile"),
    View("/off", "c2c_off", lambda _: False, show),
)
DEFAULTS: dict[str, Any] = {"on": None, "limit": 30, "time": 1.5, "name": None, "checks": [], "level": None}


def start(monkeypatch: pytest.MonkeyPatch, ini: dict[str, str], **rest: Any) -> Application:
    monkeypatch.setattr(c2cotel_views, "VIEWS", ROWS)
    return Application({"c2c.base_path": "c2c", **ini}, **rest)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Application:
    return start(monkeypatch, {"c2c.secret": SECRET})


@pytest.fixture
def http(app: Application) -> TestApp[Any]:
    return app.http


def refused(answer: Any, status: int, message: str) -> None:
    """The whole of a refusal."""
    assert answer.status_int == status
    assert answer.content_type == "application/json"
    assert "no-cache" in answer.headers["Cache-Control"]
    assert answer.json == {"message": message, "status": status, "request_id": answer.headers["X-Request-ID"]}


def test_an_open_view_answers_json_that_nobody_caches_to_get_and_head(http: TestApp[Any]) -> None:
    answer = http.get("/c2c/open")
    assert answer.json == DEFAULTS
    assert answer.headers["Content-Type"] == "application/json"
    assert "no-cache" in answer.headers["Cache-Control"]
    head = http.head("/c2c/open")
    assert (head.status_int, head.body, head.content_type) == (200, b"", "application/json")
    http.post("/c2c/open", status=404)


def test_a_view_may_return_a_response_or_stand_at_the_root(http: TestApp[Any]) -> None:
    assert http.get("/c2c/out").status_int == 204
    assert http.get("/c2c/in").content_type == "text/html"
    assert http.get("/c2c/path/a/b", headers=key(SECRET)).json == {"path": "a/b"}
    assert http.get("/profile").json == "root"
    http.get("/c2c/off", status=404)


def key(secret: str) -> dict[str, str]:
    """The header as a server hands it over (PEP 3333)."""
    return {"X-API-Key": secret.encode().decode("latin-1")}


def test_the_secret_comes_as_query_form_or_header(http: TestApp[Any]) -> None:
    assert http.get("/c2c/shut", {"secret": SECRET}).json == DEFAULTS
    assert http.get("/c2c/shut", headers=key(SECRET)).json == DEFAULTS
    assert http.head("/c2c/shut", headers=key(SECRET)).status_int == 200
    changed = {"set": "INFO"}
    assert http.post("/c2c/level", {"secret": SECRET, "level": "info"}).json == changed
    files = [("ignored", "a.txt", b"x")]
    assert http.post("/c2c/level", {"secret": SECRET, "level": "info"}, upload_files=files).json == changed
    assert http.get("/c2c/level", {"secret": SECRET, "level": "info"}).json == changed
    assert http.get("/c2c/level?level=info", headers=key(SECRET)).json == changed


@pytest.mark.parametrize(
    "request_",
    [
        Request.blank("/c2c/shut"),
        Request.blank("/c2c/shut?secret="),
        Request.blank("/c2c/shut?secret=wrong"),
        Request.blank("/c2c/shut?secret=%ff"),
        Request.blank("/c2c/shut?secret=p%C3%A4+ss%2Bw%26r"),
        Request.blank("/c2c/shut?secret=p%C3%A4+ss%2Bw%26rd&secret=p%C3%A4+ss%2Bw%26rd"),
        Request.blank("/c2c/shut?secret=x", headers=key(SECRET)),
        Request.blank("/c2c/shut", headers={"X-API-Key": SECRET}),
        Request.blank("/c2c/shut", headers={"X-API-Key": "€"}),
        Request.blank("/c2c/shut", headers={"X-API-Key": "\xff\xfe"}),
        Request.blank("/c2c/shut", headers={"X-API-Key": ""}),
        Request.blank("/c2c/shut", headers={"Cookie": "c2c_session=x"}),
        Request.blank("/c2c/shut", headers={"Cookie": "c2c_session=\xff; c2c_session=\xfe"}),
        Request.blank("/c2c/shut", headers={"Cookie": f"c2c_session={'A' * 200}"}),
        Request.blank("/c2c/level", POST=b"secret=%ff", content_type="application/x-www-form-urlencoded"),
        Request.blank("/c2c/level", POST=b"x", content_type="multipart/form-data"),
        Request.blank("/c2c/level", POST=b"x", content_type="application/x-www-form-urlencoded; charset=utf-16"),
        Request.blank("/c2c/level", POST=b"x", content_type="application/x-www-form-urlencoded; charset=none"),
        Request.blank("/c2c/level", POST={"secret": ("name.txt", "x")}),
        Request.blank("/c2c/level", POST=b'{"secret": "x"}', content_type="application/json"),
    ],
)
def test_a_missing_wrong_or_unreadable_secret_is_a_403(app: Application, request_: Request) -> None:
    refused(request_.get_response(app.wsgi), 403, FORBIDDEN)


def test_a_form_that_is_too_long_is_not_read(app: Application) -> None:
    class Body:
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

    environ = Request.blank("/c2c/level", method="POST").environ
    environ |= {
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(1 << 30),
        "wsgi.input": Body(),
    }
    refused(Request(environ).get_response(app.wsgi), 403, FORBIDDEN)


@pytest.mark.parametrize("ini", [{}, {"c2c.secret": ""}], ids=["unset", "empty"])
def test_without_a_secret_protected_views_are_absent_and_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ini: dict[str, str]
) -> None:
    http = start(monkeypatch, ini).http
    warnings = [record.getMessage() for record in caplog.records if record.name == "c2cotel_views"]
    (warning,) = warnings
    assert warning.startswith(
        "C2C_SECRET is not set, so these views are not served: /c2c/shut, /c2c/level, /c2c/token, /c2c/path; "
    )
    for path in ("/c2c/shut", "/c2c/shut?secret="):
        http.get(path, headers={"X-API-Key": ""}, status=404)
    assert http.get("/c2c/open").json == DEFAULTS
    assert http.get("/c2c/in?secret=").text == "out"


def test_a_recorder_that_nobody_can_look_at_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    Application({"c2c.base_path": "/c2c"})
    Application({"c2c.secret": SECRET})
    no_secret, no_path = [record.getMessage() for record in caplog.records if record.name == "c2cotel_views"]
    assert "not served: /c2c/requests, /c2c/debug_token; set C2C_SECRET" in no_secret
    assert no_path.startswith("C2C_BASE_PATH is not set, so no page shows what C2C_FLIGHT_RECORDER keeps")


def test_a_secret_that_no_latin1_and_no_utf8_can_hold_opens_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_SECRET", "a\udcff")
    http = start(monkeypatch, {}).http
    assert http.get("/c2c/shut", headers={"X-API-Key": "a\xff"}).json == DEFAULTS
    http.get("/c2c/shut", headers={"X-API-Key": "a"}, status=403)
    assert http.get("/c2c/in", headers={"X-API-Key": "a\xff"}).text == "in"


def test_a_session_sees_everything_and_changes_by_post_with_its_token(http: TestApp[Any]) -> None:
    cookie = http.post("/c2c/in", {"secret": SECRET}).headers["Set-Cookie"]
    value = cookie.partition("=")[2].partition(";")[0]
    assert SECRET not in cookie
    assert sorted(part.strip().partition("=")[0].lower() for part in cookie.split(";")) == [
        "c2c_session",
        "expires",
        "httponly",
        "max-age",
        "path",
        "samesite",
    ]
    assert {"Path=/c2c", "SameSite=Strict", "HttpOnly", "Max-Age=28800"} <= set(cookie.split("; "))
    assert http.get("/c2c/shut").json == DEFAULTS
    token = http.get("/c2c/token").json
    assert value not in token
    change = {"level": "DEBUG", "token": token}
    refused(http.get("/c2c/level", change, expect_errors=True), 403, NO_CHANGE)
    refused(http.post("/c2c/level", {"level": "DEBUG"}, expect_errors=True), 403, NO_CHANGE)
    refused(http.post("/c2c/level", {"level": "DEBUG", "token": "é"}, expect_errors=True), 403, NO_CHANGE)
    refused(http.post("/c2c/level", [*change.items(), ("token", "")], expect_errors=True), 403, NO_CHANGE)
    assert http.post("/c2c/level", change).json == {"set": "DEBUG"}
    assert http.get("/c2c/level").json == {"set": None}
    assert "Max-Age=0" in http.get("/c2c/out").headers["Set-Cookie"]
    refused(http.get("/c2c/shut", expect_errors=True), 403, FORBIDDEN)


def test_the_token_of_one_session_is_not_that_of_another(http: TestApp[Any]) -> None:
    http.post("/c2c/in", {"secret": SECRET})
    first = http.get("/c2c/token").json
    http.post("/c2c/in", {"secret": SECRET})
    assert http.get("/c2c/token").json != first
    refused(http.post("/c2c/level", {"level": "DEBUG", "token": first}, expect_errors=True), 403, NO_CHANGE)


def test_a_session_ends_with_its_time_or_with_its_secret(http: TestApp[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    http.post("/c2c/in", {"secret": SECRET})
    cookie = {"Cookie": f"c2c_session={http.cookies['c2c_session']}"}
    other = start(monkeypatch, {"c2c.secret": "another"}).http
    other.get("/c2c/shut", headers=cookie, status=403)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + _auth.SESSION_SECONDS + 1)
    http.reset()
    http.get("/c2c/shut", headers=cookie, status=403)


def test_over_https_the_cookie_is_secure_and_bound_to_its_path(http: TestApp[Any]) -> None:
    environ = {"wsgi.url_scheme": "https", "SCRIPT_NAME": "/mounted"}
    cookie = http.get("/c2c/in", {"secret": SECRET}, extra_environ=environ).headers["Set-Cookie"]
    assert {"Path=/mounted/c2c", "secure"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("on=1", {"on": True}),
        ("on=0", {"on": False}),
        ("on=&limit=&time=&name=&checks=&level=", {}),
        ("limit=500", {"limit": 500}),
        ("time=0", {"time": 0.0}),
        ("time=60.", {"time": 60.0}),
        ("time=.25", {"time": 0.25}),
        ("name=%C3%A9%20x", {"name": "é x"}),
        ("checks=a,%20b,,", {"checks": ["a", "b"]}),
        ("level=debug", {"level": "DEBUG"}),
    ],
)
def test_parameters_that_are_understood(http: TestApp[Any], query: str, found: dict[str, Any]) -> None:
    assert http.get(f"/c2c/open?{query}").json == {**DEFAULTS, **found}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("on=yes", "on='yes': expected 1 or 0"),
        ("limit=x", "limit='x': expected a whole number from 1 to 500"),
        ("limit=0", "limit='0': expected a whole number from 1 to 500"),
        ("limit=-1", "limit='-1': expected a whole number from 1 to 500"),
        ("limit=501", "limit='501': expected a whole number from 1 to 500"),
        ("limit=%C2%B2", "limit='²': expected a whole number from 1 to 500"),
        ("limit=1_0", "limit='1_0': expected a whole number from 1 to 500"),
        ("limit=" + 5000 * "9", f"limit='{100 * '9'}…': expected a whole number from 1 to 500"),
        ("time=nan", "time='nan': expected seconds from 0 to 60, such as 0.5"),
        ("time=inf", "time='inf': expected seconds from 0 to 60, such as 0.5"),
        ("time=-1", "time='-1': expected seconds from 0 to 60, such as 0.5"),
        ("time=1e1", "time='1e1': expected seconds from 0 to 60, such as 0.5"),
        ("time=60.1", "time='60.1': expected seconds from 0 to 60, such as 0.5"),
        ("name=" + 21 * "x", f"name='{21 * 'x'}': expected at most 20 characters, and no control characters"),
        ("name=a%0Ab", "name='a\\nb': expected at most 20 characters, and no control characters"),
        ("level=loud", "level='loud': expected one of DEBUG, INFO"),
        ("limit=1&limit=1", "limit: given 2 times, expected once"),
        ("limit=%ff", "The parameters are not UTF-8: invalid start byte"),
        ("%ff=1", "The parameters are not UTF-8: invalid start byte"),
    ],
)
def test_a_bad_parameter_is_a_400_that_names_it(http: TestApp[Any], query: str, message: str) -> None:
    refused(http.get(f"/c2c/open?{query}", expect_errors=True), 400, message)


def test_refusals_are_json_without_our_error_views_too(monkeypatch: pytest.MonkeyPatch) -> None:
    http = start(monkeypatch, {"c2c.secret": SECRET, "c2c.disable_exception_handling": "1"}).http
    answer = http.get("/c2c/shut", headers={"Accept": "text/html"}, status=403)
    assert (answer.content_type, answer.json) == ("application/json", {"message": FORBIDDEN, "status": 403})
    answer = http.get("/c2c/open?limit=x", status=400)
    assert answer.json == {"message": "limit='x': expected a whole number from 1 to 500", "status": 400}


def test_the_applications_permissions_and_csrf_tokens_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody:
        def permits(self, *_: object) -> bool:
            return False

    def configure(config: Configurator) -> None:
        config.set_security_policy(Nobody())
        config.set_default_permission("everything")
        config.set_default_csrf_options(require_csrf=True)

    http = start(monkeypatch, {"c2c.secret": SECRET}, configure=configure).http
    assert http.post("/c2c/level", {"secret": SECRET, "level": "INFO"}).json == {"set": "INFO"}


def test_a_secret_in_a_query_reaches_no_log_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: Request) -> None:
        raise RuntimeError(f"no answer from {request.url}")

    caplog.set_level(logging.DEBUG)
    http = start(monkeypatch, {"c2c.secret": "s3cr3t"}, configure=view(fail, "/fail")).http
    http.get("/c2c/shut?secret=s3cr3t")
    http.get("/c2c/shut?limit=x&secret=s3cr3t", status=400)
    http.get("/c2c/nothing?secret=s3cr3t", status=404)
    http.get("/fail?secret=s3cr3t", status=500)
    assert caplog.text.count("secret=REDACTED") >= 2
    formatted = "\n".join(logging.Formatter().format(record) for record in caplog.records)
    assert "s3cr3t" not in formatted


def test_the_reference_page_of_the_views_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs/reference/views.md"
    assert page.read_text() == reference(VIEWS), "run `make docs`"


def test_the_reference_page_tells_what_a_row_says() -> None:
    page = reference(ROWS[1:3])
    assert page.partition("\n## ")[2] == (
        "`/shut`\n"
        "\n"
        "Shows. Route `c2c_shut`, protected.\n"
        "\n"
        "| parameter | takes | default | meaning |\n"
        "|---|---|---|---|\n"
        "| `on` | `1` or `0` | - | On or off. |\n"
        "| `limit` | a whole number, 1 to 500 | `30` | How many. |\n"
        "| `time` | seconds, up to 60 | `1.5` | How long. |\n"
        "| `name` | text | - | Which one. |\n"
        "| `checks` | text | - | Only these. |\n"
        "| `level` | `DEBUG`, `INFO` | - | How loud. |\n"
        "\n"
        "## `/level`\n"
        "\n"
        " Route `c2c_level`, protected, can change state.\n"
    )


def test_the_names_of_the_routes_are_those_of_2018() -> None:
    found = {row.path: row.route for row in VIEWS if row.at is None}
    assert found == {
        "": "c2c_index",
        "/": "c2c_index_slash",
        "/requests": "c2c_requests",
        "/requests.json": "c2c_requests_json",
        "/requests/{id:.+}.json": "c2c_request_json",
        "/requests/{id:.+}": "c2c_request",
        "/overview.json": "c2c_overview_json",
        "/sql": "c2c_sql",
        "/sql.json": "c2c_sql_json",
        "/logs": "c2c_logs",
        "/loggers.json": "c2c_loggers_json",
        "/processes": "c2c_processes",
        "/profiling": "c2c_profiling",
        "/configuration": "c2c_configuration",
        "/views": "c2c_views",
        "/debug_token": "c2c_debug_token",
        "/health_check": "c2c_health_check",
        "/live": "c2c_live",
        "/ready": "c2c_ready",
        "/versions.json": "c2c_versions",
        "/config": "c2c_config",
        "/stats.json": "c2c_read_stats_json",
        "/metrics": "c2c_metrics",
        "/logging/level": "c2c_logging_level",
        "/sql_profiler": "c2c_sql_profiler",
        "/debug/stacks": "c2c_debug_stacks",
        "/debug/memory": "c2c_debug_memory",
        "/debug/memory_maps": "c2c_debug_memory_maps",
        "/debug/memory_diff": "c2c_debug_memory_diff",
        "/debug/memory_diff/{path:.*}": "c2c_debug_memory_diff_deprecated",
        "/debug/sleep": "c2c_debug_sleep",
        "/debug/time": "c2c_debug_time",
        "/debug/headers": "c2c_debug_headers",
        "/debug/error": "c2c_debug_error",
    }
