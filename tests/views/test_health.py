"""Health checks without servers (contract, section 7)."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import transaction
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.threadlocal import get_current_request
from sqlalchemy.exc import ProgrammingError

import c2cotel
from c2cotel import SettingsError
from c2cotel_views.health import HealthCheck, JsonCheckException
from tests.apps.application import Application
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, plain

Configure = Callable[[HealthCheck], object]


def application(checks: Configure, **ini: str) -> Application:
    settings = {"c2c.health_timeout": "0.3", "c2c.base_path": "c2c", "c2c.secret": "hush"}
    given = {name.replace("c2c_", "c2c.", 1): held for name, held in ini.items()}
    return Application({**settings, **given}, lambda config: checks(HealthCheck(config)))


def asked(app: Application, query: str = "", status: int = 200, **headers: str) -> dict[str, Any]:
    """The report, timings checked and taken out."""
    named = {name.replace("_", "-"): held for name, held in headers.items()}
    report: dict[str, Any] = app.http.get(f"/c2c/health_check{query}", status=status, headers=named).json
    assert report["status"] == status
    for entry in (*report["successes"].values(), *report["failures"].values()):
        assert 0 <= entry.pop("timing") < 20
    return report


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("c2cotel health check")]


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a check waits for that hangs; set at the end."""
    event = threading.Event()
    yield event
    event.set()
    wait_until(lambda: not threads(), "no check hangs any more")


def unhappy(_: Request) -> None:
    raise ValueError("I'm not happy")


def test_what_succeeds_what_fails_and_their_results() -> None:
    def checks(health_check: HealthCheck) -> None:
        def odd(_: Request) -> None:
            raise JsonCheckException("odd", {"n": 1})

        health_check.add_custom_check("fine", lambda _: None, 1)
        health_check.add_custom_check("happy", lambda _: "happy", 1)
        health_check.add_custom_check("unhappy", unhappy, 1)
        health_check.add_custom_check("odd", odd, 1)

    app = application(checks)
    expected = {
        "status": 500,
        "successes": {"fine": {}, "happy": {"result": "happy"}},
        "failures": {"unhappy": {"message": "I'm not happy"}, "odd": {"message": "odd", "result": {"n": 1}}},
    }
    assert asked(app, status=500) == expected
    assert "no-cache" in app.http.get("/c2c/health_check", status=500).headers["Cache-Control"]
    head = app.http.head("/c2c/health_check", status=500)
    assert head.body == b""
    assert head.content_type == "application/json"


def test_levels_and_names_choose() -> None:
    def checks(health_check: HealthCheck) -> None:
        for level in (1, 2, 3):
            health_check.add_custom_check(f"level {level}", lambda _: None, level)
        health_check.add_custom_check("bad", unhappy, 4)

    app = application(checks)
    assert asked(app) == {"status": 200, "successes": {"level 1": {}}, "failures": {}}
    assert asked(app, "?max_level=2")["successes"] == {"level 1": {}, "level 2": {}}
    assert asked(app, "?max_level=0") == {"status": 200, "successes": {}, "failures": {}}
    assert asked(app, "?max_level=9&checks=level 1, level 3")["successes"] == {"level 1": {}, "level 3": {}}
    assert asked(app, "?max_level=3&checks=")["successes"].keys() == {"level 1", "level 2", "level 3"}
    assert asked(app, "?max_level=3&checks=bad")["failures"] == {}
    assert asked(app, "?max_level=100", status=500)["failures"] == {"bad": {"message": "I'm not happy"}}
    for query, named in (
        ("max_level=a", "max_level='a'"),
        ("max_level=-1", "max_level='-1'"),
        ("checks=x", "checks='x'"),
    ):
        assert named in app.http.get(f"/c2c/health_check?{query}", status=400).json["message"]


def test_live_answers_always_and_ready_runs_level_one() -> None:
    def checks(health_check: HealthCheck) -> None:
        health_check.add_custom_check("vital", unhappy, 1)
        health_check.add_custom_check("other", lambda _: None, 2)

    app = application(checks)
    assert app.http.get("/c2c/live").json == {"status": 200}
    ready = app.http.get("/c2c/ready", status=500).json
    assert ready["failures"].keys() == {"vital"}
    assert ready["successes"] == {}


def test_without_a_health_check_there_are_no_views() -> None:
    app = Application()
    for path in ("/health_check", "/live", "/ready"):
        app.http.get(path, status=404)


def test_it_may_be_made_before_setup_and_more_than_once() -> None:
    with Configurator(settings={}) as config:
        for n in (1, 2, 2):
            HealthCheck(config).add_custom_check(f"check {n}", lambda _: None)
    c2cotel.setup(config)
    from webtest import TestApp

    report = TestApp(config.make_wsgi_app()).get("/health_check").json
    assert report["successes"].keys() == {"check 1", "check 2", "check 2_2"}, "no check takes another's place"


@pytest.mark.parametrize("level", [0, -1, "1", None, True])
def test_a_level_that_would_never_be_run_is_refused(level: Any) -> None:
    with pytest.raises(ValueError, match=f"level={level!r}: expected a whole number of at least 1"):
        application(lambda health_check: health_check.add_custom_check("x", lambda _: None, level))


def test_stack_traces_are_for_those_with_the_secret_and_for_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    app = application(lambda health_check: health_check.add_custom_check("bad", unhappy))
    assert "stacktrace" not in asked(app, status=500)["failures"]["bad"]
    assert "stacktrace" not in asked(app, "?secret=wrong", status=500)["failures"]["bad"]
    for found in (asked(app, status=500, X_API_Key="hush"), asked(app, "?secret=hush", status=500)):
        assert 'raise ValueError("I\'m not happy")' in found["failures"]["bad"]["stacktrace"]
    monkeypatch.setenv("DEVELOPMENT", "1")
    app = application(lambda health_check: health_check.add_custom_check("bad", unhappy))
    assert "stacktrace" in asked(app, status=500)["failures"]["bad"]


class _Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


_ENDLESS: list[Any] = []
_ENDLESS.append(_ENDLESS)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (float("nan"), "nan"),
        (2**70, 2**70),
        (Decimal("1.5"), 1.5),
        ({1: {2}, (3,): b"\xff"}, {"1": [2], "(3,)": "\ufffd"}),
        (Path("/x"), "/x"),
        ("\ud800", "?"),
        (
            {"password": "hunter2", "url": "redis://me:hunter2@h"},
            {"password": "REDACTED", "url": "redis://me:REDACTED@h"},
        ),
        ("postgresql://me:hunter2@h/db?password=hunter2", "postgresql://me:REDACTED@h/db?password=REDACTED"),
    ],
)
def test_any_result_becomes_json_without_passwords(result: Any, shown: Any) -> None:
    def fail(_: Request) -> None:
        raise JsonCheckException("no", result)

    def checks(health_check: HealthCheck) -> None:
        health_check.add_custom_check("it", lambda _: result)
        health_check.add_custom_check("fails", fail)

    report = asked(application(checks), status=500)
    assert report["successes"]["it"] == {"result": shown}
    assert report["failures"]["fails"] == {"message": "no", "result": shown}


def test_an_sql_error_that_another_one_quotes_shows_no_statement() -> None:
    inner = str(ProgrammingError("SELECT private", {"name": "private"}, Exception("no such table")))

    def checks(health_check: HealthCheck) -> None:
        def quoting(_: Request) -> None:
            raise JsonCheckException(f"no data: {inner}", {"error": inner})

        health_check.add_custom_check("quoting", quoting)

    text = "(builtins.Exception) no such table"
    found = {"message": f"no data: {text}", "result": {"error": text}}
    assert asked(application(checks), status=500)["failures"] == {"quoting": found}


def test_what_is_no_result_at_all_is_a_failure_and_costs_no_other_check() -> None:
    def leave(_: Request) -> None:
        raise SystemExit(3)

    def bad_error(_: Request) -> None:
        raise ValueError(_Unprintable())

    def not_found(_: Request) -> None:
        raise HTTPNotFound("Hello record not found")

    def secretive(_: Request) -> None:
        raise OSError("cannot reach https://me:hunter2@host/?token=hunter2")

    def checks(health_check: HealthCheck) -> None:
        health_check.add_custom_check("unprintable", lambda _: _Unprintable())
        health_check.add_custom_check("endless", lambda _: _ENDLESS)
        for check in (leave, bad_error, not_found, secretive):
            health_check.add_custom_check(check.__name__, check)
        health_check.add_custom_check("redis://me:hunter2@host", unhappy)

    report = asked(application(checks), status=500)
    assert report["successes"].keys() == {"endless"}
    assert report["failures"] == {
        "unprintable": {"message": "no text"},
        "leave": {"message": "3"},
        "bad_error": {"message": "ValueError"},
        "not_found": {"message": "Hello record not found"},
        "secretive": {"message": "cannot reach https://me:REDACTED@host/?token=REDACTED"},
        "redis://me:REDACTED@host": {"message": "I'm not happy"},
    }


def test_a_hanging_check_fails_at_its_deadline_and_leaks_nothing(
    hanging: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    started: list[str] = []

    def wait_for_it(_: Request) -> str:
        started.append("now")
        hanging.wait()
        return "over"

    def checks(health_check: HealthCheck) -> None:
        health_check.add_custom_check("hangs", wait_for_it)
        health_check.add_custom_check("fine", lambda _: None)

    app = application(checks)
    start = time.monotonic()
    assert asked(app, status=500)["failures"] == {
        "hangs": {"message": "No answer within 0.3 s"},
        "fine": {"message": "Not reached: the checks before took all of 0.3 s"},
    }
    assert 0.3 <= time.monotonic() - start < 1
    assert asked(app, status=500)["successes"] == {"fine": {}}
    assert "hanging.wait()" in asked(app, "?secret=hush", status=500)["failures"]["hangs"]["stacktrace"]
    start = time.monotonic()
    for _ in range(200):
        asked(app, status=500)
    assert time.monotonic() - start < 5, "nobody waits for it again"
    assert started == ["now"]
    assert len(threads()) == 1
    time.sleep(1.2)
    assert "not asked again before there is one" in asked(app, status=500)["failures"]["hangs"]["message"]
    hanging.set()
    wait_until(lambda: not threads(), "it has ended")
    assert asked(app)["successes"]["hangs"] == {"result": "over"}
    told = [record.getMessage() for record in caplog.records if record.name == "c2cotel.health"]
    assert [line for line in told if "hangs" in line] == [
        "The health check hangs fails: No answer within 0.3 s (logged once)",
        "The health check hangs succeeds again",
    ]


def test_however_many_checks_hang_the_report_takes_one_deadline(hanging: threading.Event) -> None:
    def checks(health_check: HealthCheck) -> None:
        for number in range(4):
            health_check.add_custom_check(f"hangs{number}", lambda _: hanging.wait())

    app = application(checks)
    start = time.monotonic()
    failures = asked(app, status=500)["failures"]
    assert time.monotonic() - start < 0.9
    assert [failure["message"].partition(":")[0] for failure in failures.values()] == [
        "No answer within 0.3 s",
        *["Not reached"] * 3,
    ]


def test_calls_at_the_same_time_share_a_check_that_runs(hanging: threading.Event) -> None:
    def checks(health_check: HealthCheck) -> None:
        health_check.add_custom_check("hangs", lambda _: hanging.wait())

    app = application(checks)
    calls = [threading.Thread(target=asked, args=(app, "", 500)) for _ in range(20)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(threads()) == 1


def test_custom_checks_run_one_after_another() -> None:
    running: list[int] = []
    most: list[int] = []

    def slow(_: Request) -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()

    def checks(health_check: HealthCheck) -> None:
        for n in range(4):
            health_check.add_custom_check(f"{n}", slow)

    asked(application(checks))
    assert most == [1, 1, 1, 1]


_context: ContextVar[str] = ContextVar("_context", default="none")


def test_a_check_sees_the_request_and_context_of_its_caller() -> None:
    seen: dict[str, Any] = {}
    ended: list[str] = []

    def look(request: Request) -> None:
        untyped: Any = request
        untyped.add_finished_callback(lambda _: ended.append("finished"))
        seen["current"] = get_current_request() is request
        seen["context"] = _context.get()
        seen["id"] = request.c2c_request_id
        seen["asked"] = (request.method, request.path, request.params["x"])
        seen["computed"] = untyped.computed is untyped.computed
        seen["route"] = request.matched_route is not None and request.matched_route.name
        seen["daemon"] = threading.current_thread().daemon

    made: list[Request] = []

    def configure(config: Configurator) -> None:
        def computed(request: Request) -> object:
            made.append(request)
            return object()

        config.add_request_method(computed, reify=True)
        HealthCheck(config).add_custom_check("look", look)

    app = Application({}, configure)
    token = _context.set("the caller's")
    try:
        app.http.get("/health_check?x=y", headers={"X-Request-ID": "42"})
    finally:
        _context.reset(token)
    assert seen == {
        "current": True,
        "context": "the caller's",
        "id": "42",
        "asked": ("GET", "/health_check", "y"),
        "computed": True,
        "route": "c2c_health_check",
        "daemon": True,
    }
    assert len(made) == 1
    assert ended == ["finished"]


def test_a_check_has_a_transaction_of_its_own_that_is_always_aborted() -> None:
    ended: list[str] = []

    def configure(config: Configurator) -> None:
        config.include("pyramid_tm")

        def spoil(request: Any) -> None:
            request.tm.get().addAfterAbortHook(ended.append, ("the request's",))
            transaction.get().addAfterAbortHook(ended.append, ("the thread's",))
            for hook in (request.tm.get().addAfterCommitHook, transaction.get().addAfterCommitHook):
                hook(lambda _, text: ended.append(text), ("committed",))

        HealthCheck(config).add_custom_check("spoil", spoil)

    Application({}, configure).http.get("/health_check")
    assert sorted(ended) == ["the request's", "the thread's"]


class _Hello(BaseHTTPRequestHandler):
    received: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.received.append((self.path, dict(self.headers.items())))
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""


@pytest.fixture
def hello() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """A URL, and what was asked of it."""
    received: list[tuple[str, dict[str, str]]] = []
    handler = type("Hello", (_Hello,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_urls(hello: tuple[str, list[tuple[str, dict[str, str]]]]) -> None:
    url, received = hello

    def target(request: Request) -> str:
        return f"{url}/{request.params['path']}"

    def refuse(_: Request, response: Any) -> None:
        raise ValueError(f"not with {response.status_code}")

    def checks(health_check: HealthCheck) -> None:
        health_check.add_url_check(f"{url}/hello")
        health_check.add_url_check(url.replace("//", "//me:hunter2@") + "/missing?token=hunter2")
        health_check.add_url_check(
            target,
            params=lambda request: {"q": request.params["path"]},
            headers=lambda _: {"X-Extra": "1"},
            check_cb=lambda _, response: response.json(),
        )
        health_check.add_url_check(f"{url}/named", {"a": "b"}, {"X-Given": "2"}, name="named", check_cb=refuse, level=2)
        health_check.add_url_check("http://127.0.0.1:1/", name="closed", level=2)

    app = application(checks)
    report = asked(app, "?max_level=2&path=dynamic", status=500, X_Request_ID="42")
    closed = report["failures"].pop("closed")["message"]
    assert "Connection refused" in closed
    missing = url.replace("//", "//me:REDACTED@") + "/missing?token=REDACTED"
    assert report == {
        "status": 500,
        "successes": {f"{url}/hello": {}, "target": {"result": {}}},
        "failures": {
            missing: {"message": f"404 Client Error: Not Found for url: {missing}"},
            "named": {"message": "not with 200"},
        },
    }
    found = dict(received)
    assert found.keys() == {"/hello", "/missing?token=hunter2", "/dynamic?q=dynamic", "/named?a=b"}
    assert {headers["X-Request-ID"] for headers in found.values()} == {"42"}
    assert found["/dynamic?q=dynamic"]["X-Extra"] == "1"
    assert found["/named?a=b"]["X-Given"] == "2"


def test_each_check_is_a_span_of_the_request_and_a_gauge(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)

    def checks(health_check: HealthCheck) -> None:
        health_check.add_custom_check("good", lambda _: None)
        health_check.add_custom_check("bad", unhappy)
        health_check.add_custom_check("never run", lambda _: None, 2)

    app = application(checks)
    asked(app, status=500)
    app.finish()
    spans = {cast("Span", received.item).name: received.item for received in otlp.spans}
    server = spans["GET /c2c/health_check"]
    assert {name: span.parent_span_id == server.span_id for name, span in spans.items()} == {
        "GET /c2c/health_check": False,
        "health_check good": True,
        "health_check bad": True,
    }
    assert plain(spans["health_check bad"].attributes)["c2c.health_check.name"] == "bad"
    assert spans["health_check bad"].status.code == 2
    [gauge] = [m.item for m in otlp.metrics if cast("Metric", m.item).name == "c2c.health_check.status"]
    points = {plain(point.attributes)["c2c.health_check.name"]: point.as_int for point in gauge.gauge.data_points}
    assert points == {"good": 1, "bad": 0}


VERSIONS = {"main": {"git_hash": "abc123", "git_tag": "1.0"}, "packages": {"pyramid": "2.1"}}


def test_the_versions_file_is_served_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "versions.json"
    monkeypatch.setenv("C2C_VERSIONS_PATH", str(file))
    Application({"c2c.base_path": "c2c"}).http.get("/c2c/versions.json", status=404)
    file.write_text(json.dumps(VERSIONS))
    app = Application({"c2c.base_path": "c2c"})
    answer = app.http.get("/c2c/versions.json")
    assert answer.json == VERSIONS
    assert "no-cache" in answer.headers["Cache-Control"]
    file.unlink()
    assert app.http.get("/c2c/versions.json", status=404).json["message"] == "The versions file is gone"
    for content in ("{", "[]", "\xff"):
        file.write_bytes(content.encode("latin-1"))
        with pytest.raises(SettingsError, match=r"C2C_VERSIONS_PATH=.*expected a JSON"):
            Application()


def test_the_version_check_without_redis_tells_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "versions.json"
    monkeypatch.setenv("C2C_VERSIONS_PATH", str(file))
    with pytest.raises(SettingsError, match=r"C2C_VERSIONS_PATH=.*main\.git_hash"):
        application(lambda health_check: health_check.add_version_check())
    file.write_text(json.dumps(VERSIONS))
    app = application(lambda health_check: health_check.add_version_check(name="mine", level=1))
    assert asked(app)["successes"] == {"mine": {"result": "abc123"}}


@pytest.mark.parametrize(
    ("add", "error"),
    [
        (
            lambda h: h.add_redis_check("http://me:hunter2@host"),
            "url='http://me:REDACTED@host': Redis URL must specify",
        ),
        (lambda h: h.add_db_session_check("no session"), "session='no session': expected a Session"),
        (lambda h: h.add_alembic_check(None, "/nowhere.ini"), "alembic_ini_path='/nowhere.ini': there is no such file"),
    ],
)
def test_what_cannot_be_checked_is_refused_at_start(add: Configure, error: str) -> None:
    with pytest.raises((SettingsError, TypeError), match=error.replace("?", r"\?")):
        application(add)
