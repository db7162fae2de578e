"""The JSON behind the console, in one process (contract, section 17)."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPInternalServerError
from pyramid.request import Request
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from c2cotel import broadcast, state
from c2cotel_views._overrides import Overrides
from tests.apps.application import Application

INI = {"c2c.base_path": "/c2c", "c2c.secret": "secret", "c2c.log_view_enabled": "1"}
KEY = {"X-API-Key": "secret"}


def configure(config: Configurator) -> None:
    """``/many?n=`` sends a statement as often, ``/fail`` fails, ``/page?seconds=`` takes its time."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})

    def many(request: Request) -> Any:
        with engine.connect() as connection:
            return [connection.execute(text("SELECT 1")).scalar() for _ in range(int(str(request.params["n"])))]

    def fail(_: Request) -> Any:
        raise HTTPInternalServerError

    def page(request: Request) -> Any:
        time.sleep(float(str(request.params.get("seconds", 0))))
        return {}

    for view in (many, fail, page):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__, renderer="json")


@pytest.fixture
def app() -> Iterator[Application]:
    yield Application(INI, configure)
    state.of(Overrides).clear()


def ask(app: Application, page: str, **parameters: Any) -> Any:
    """The JSON, once everything is written."""
    app.telemetry.flush()
    return app.http.get(f"/c2c/{page}.json", parameters, headers=KEY).json


@pytest.mark.parametrize(("window", "steps", "seconds"), [("15m", 90, 10), ("1h", 360, 10), ("24h", 1440, 60)])
def test_the_overview_has_the_contracts_form(app: Application, window: str, steps: int, seconds: int) -> None:
    for _ in range(4):
        app.http.get("/page")
    app.http.get("/fail", status=500)
    answer = ask(app, "overview", window=window)
    assert set(answer) == {"window", "step_s", "series", "routes", "processes", "deaths", "overflowing"}
    assert (answer["window"], answer["step_s"]) == (window, seconds)
    assert set(answer["series"]) == {"requests", "failed", "p50_ms", "p95_ms", "p99_ms"}
    assert {len(values) for values in answer["series"].values()} == {steps}
    assert (sum(answer["series"]["requests"]), sum(answer["series"]["failed"])) == (5, 1)
    assert sum(answer["series"]["requests"][-2:]) == 5, "oldest first"
    assert {each["route"] for each in answer["routes"]} == {"page", "fail"}
    route = next(each for each in answer["routes"] if each["route"] == "page")
    assert set(route) == {"method", "route", "rate", "failed", "p50_ms", "p95_ms", "p99_ms", "share"}
    assert (route["method"], route["failed"]) == ("GET", 0)
    assert 0 < route["p50_ms"] <= route["p95_ms"] <= route["p99_ms"]
    assert set(route["share"]) == {"sql", "redis", "http", "render", "own"}
    assert sum(route["share"].values()) == pytest.approx(1)
    assert route["share"]["render"] > 0
    (process,) = answer["processes"]
    assert set(process) == {"host", "pid", "version", "up_s", "memory_bytes", "running", "threads", "rate"}
    assert process["memory_bytes"] > 1_000_000
    assert (answer["deaths"], answer["overflowing"]) == ([], [])


def test_time_goes_to_what_took_it(app: Application) -> None:
    app.http.get("/many?n=50")
    (route,) = ask(app, "overview")["routes"]
    assert route["share"]["sql"] > 0.01
    assert route["share"]["redis"] == route["share"]["http"] == 0


def test_statements_have_their_time_repeats_and_routes(app: Application) -> None:
    app.http.get("/many?n=3")
    app.http.get("/many?n=30")
    (statement,) = ask(app, "sql", window="1h")["statements"]
    assert set(statement) == {"query", "n", "total_ms", "p95_ms", "max_repeats", "routes"}
    assert (statement["n"], statement["max_repeats"], statement["routes"]) == (33, 30, ["many"])
    assert statement["total_ms"] > statement["p95_ms"] > 0


def test_our_own_views_count_only_when_they_fail(app: Application) -> None:
    for _ in range(3):
        ask(app, "overview")
    app.http.get("/c2c/", headers=KEY)
    assert ask(app, "overview")["routes"] == []


def test_arbitrary_verbs_and_paths_are_one_route_each(app: Application) -> None:
    for number in range(50):
        Request.blank(f"/nothing/{number}", method=f"VERB{number}").get_response(app.wsgi)
    (route,) = ask(app, "overview")["routes"]
    assert (route["method"], route["route"]) == ("_OTHER", "_not_found")


def test_metrics_that_are_full_are_named() -> None:
    app = Application({**INI, "c2c.statsd_max_series": "1"}, configure)
    for path in ("/page", "/many?n=1"):
        app.http.get(path)
    answer = ask(app, "overview")
    assert "http.server.request.duration" in answer["overflowing"]
    assert {each["route"] for each in answer["routes"]} == {"page", "_overflow"}
    assert sum(answer["series"]["requests"]) == 2


def test_loggers_have_levels_and_what_overrides_them(app: Application) -> None:
    logging.getLogger("console.shop").setLevel(logging.ERROR)
    logging.getLogger("console.shop.orders")
    app.http.get("/c2c/logging/level", {"name": "console.shop", "level": "DEBUG", "ttl": "600"}, headers=KEY)
    loggers = {each["name"]: each for each in ask(app, "loggers")["loggers"]}
    assert next(iter(loggers)) == "root"
    assert set(loggers["root"]) == {"name", "level", "effective_level", "override"}
    assert loggers["console.shop.orders"] == {
        "name": "console.shop.orders",
        "level": "NOTSET",
        "effective_level": "DEBUG",
        "override": None,
    }
    override = loggers["console.shop"]["override"]
    assert override["level"] == "DEBUG"
    assert 590 <= override["expires_s"] <= 600
    app.http.get("/c2c/logging/level", {"name": "console.shop", "level": "RESET"}, headers=KEY)
    assert {"name": "console.shop", "level": "ERROR", "effective_level": "ERROR", "override": None} in ask(
        app, "loggers"
    )["loggers"]


def test_a_name_that_is_no_logger_is_set_and_marked(app: Application) -> None:
    answer = app.http.get("/c2c/logging/level", {"name": "console.typo", "level": "DEBUG"}, headers=KEY).json
    assert answer["unknown"] is True
    assert logging.getLogger("console.typo").level == logging.DEBUG


@pytest.mark.parametrize("page", ["overview", "sql", "loggers"])
def test_the_json_needs_the_secret(app: Application, page: str) -> None:
    app.http.get(f"/c2c/{page}.json", status=403)


def test_an_unknown_window_is_a_400(app: Application) -> None:
    answer = app.http.get("/c2c/overview.json", {"window": "7d"}, headers=KEY, status=400)
    assert answer.json["message"] == "window='7d': expected one of 15m, 1h, 24h"


@pytest.mark.parametrize("ini", [{"c2c.console": "0"}, {"c2c.secret": ""}])
def test_the_console_can_be_off(ini: dict[str, str]) -> None:
    app = Application({**INI, **ini}, configure)
    app.http.get("/c2c/overview.json", headers=KEY, status=404)
    assert app.telemetry.history is None


def test_without_a_folder_to_write_to_everything_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_STATE_DIR", "/proc/nowhere")
    app = Application(INI, configure)
    app.http.get("/page")
    answer = ask(app, "overview")
    assert sum(answer["series"]["requests"]) == 0
    assert answer["processes"] == []


PAGES = [
    "",
    "sql",
    "logs",
    "processes",
    "processes?stacks=1",
    "processes?objects=1",
    "profiling",
    "configuration",
    "views",
    "requests",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_served_and_needs_the_secret(app: Application, page: str) -> None:
    app.http.get("/many?n=1")
    app.telemetry.flush()
    if page:
        app.http.get(f"/c2c/{page}", status=403)
        browser = app.http.get(f"/c2c/{page}", headers={"Accept": "text/html"}, status=303)
        assert "/c2c/?back=" in str(browser.location)
    answer = app.http.get(f"/c2c/{page}", headers=KEY)
    assert answer.content_type == "text/html"
    assert "default-src 'none'" in str(answer.headers["Content-Security-Policy"])
    assert "style=" not in answer.text.partition("</style>")[2]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\ud800\udfff\x00", "x" * 400_000, "a b&c=d#e?f%"])
def test_hostile_names_are_text(app: Application, name: str) -> None:
    logger = logging.getLogger(name)
    try:
        answer = app.http.get("/c2c/logs", headers=KEY)
        assert "<script>alert" not in answer.text
        assert len(answer.text) < 400_000
        assert name in [each["name"] for each in ask(app, "loggers")["loggers"]] or not name.isprintable()
    finally:
        logging.root.manager.loggerDict.pop(logger.name)


@pytest.mark.parametrize("page", ["", "sql", "processes", "logs", "configuration"])
@pytest.mark.parametrize("filter_", ["<b>", "\u202e", "%", "x" * 200])
def test_a_filter_is_text(app: Application, page: str, filter_: str) -> None:
    text = app.http.get(f"/c2c/{page}", {"filter": filter_, "sort": "-nothing", "page": "99"}, headers=KEY).text
    assert "<b>" not in text


def test_routes_are_sorted_filtered_and_paged(app: Application) -> None:
    for path in ("/page?seconds=0.5", "/many?n=40", "/fail"):
        app.http.get(path, status="*")
    app.telemetry.flush()

    def routes(**parameters: str) -> list[str]:
        text = app.http.get("/c2c/", parameters, headers=KEY).text
        return re.findall(r'route=(\w+)">GET', text)

    assert routes()[0] == "page", "by total time"
    assert routes(sort="route") == ["fail", "many", "page"]
    assert routes(sort="-route") == ["page", "many", "fail"]
    assert routes(sort="failed")[0] == "fail"
    assert routes(filter="PAG") == ["page"]


def test_a_logger_that_nobody_uses_is_marked(app: Application) -> None:
    def overrides() -> str:
        text = app.http.get("/c2c/logs", headers=KEY).text
        return text.partition("Levels that were set")[2].partition("</section>")[0]

    logging.getLogger("used.by.the.application")
    for name in ("used.by.the.application", "usde.by.the.application"):
        app.http.get("/c2c/logging/level", {"name": name, "level": "DEBUG"}, headers=KEY)
    rows = overrides().split("<tr>")
    assert [("no process had this logger" in row) for row in rows if "by.the.application" in row] == [True, False]
    app.http.get("/c2c/logging/level", {"name": "usde.by.the.application", "level": "RESET"}, headers=KEY)
    assert "no process had this logger" not in overrides()
    assert set(ask(app, "loggers")["loggers"][0]) == {"name", "level", "effective_level", "override"}


def test_lines_of_kept_requests_lead_to_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")

    def chatty(request: Request) -> Any:
        log = logging.getLogger("chatty")
        log.warning("stock of <b>%s</b> is low, password=hunter2", request.params["n"])
        log.error("%s", "x" * 100_000)
        raise HTTPInternalServerError

    def views(config: Configurator) -> None:
        config.add_route("chatty", "/chatty")
        config.add_view(chatty, route_name="chatty")

    app = Application(INI, views)
    for n in (1, 2):
        app.http.get(f"/chatty?n={n}", headers={"X-Request-ID": f"request-{n}"}, status=500)
    app.telemetry.flush()
    page = app.http.get("/c2c/logs", headers=KEY)
    text = page.text.partition("Lines of kept requests")[2]
    messages = [each for each in re.findall(r'/requests/[^>]*">([^<]*)</a>', text) if "stock" in each]
    assert [re.sub(r"\D", "", each.partition("is low")[0]) for each in messages] == ["2", "1"], "the newest first"
    assert "&lt;b&gt;" in text
    assert "hunter2" not in text
    assert len(text) < 20_000
    assert page.click(href=r".*/requests/request-2", index=1).status_int == 200
    assert "stock" not in app.http.get("/c2c/logs", {"least": "ERROR"}, headers=KEY).text
    assert "stock" not in app.http.get("/c2c/logs", {"filter": "else"}, headers=KEY).text
    assert "stock" in app.http.get("/c2c/logs", {"filter": "CHAT"}, headers=KEY).text


class Leaked:
    """What a leak leaves behind."""


def test_the_types_that_grow_come_first(app: Application) -> None:
    def types() -> dict[str, tuple[str, str]]:
        text = app.http.get("/c2c/processes", {"objects": "1"}, headers=KEY).text
        found = re.findall(
            r'<code class="text">([\w.]+)</code></th><td class="number">([\d,]+)</td>\s*<td class="number">(\S+)</td>',
            text,
        )
        return {name: (number, growth) for name, number, growth in found}

    assert {growth for _, growth in types().values()} == {"-"}
    leaked = [Leaked() for _ in range(5000)]
    grown = types()
    assert next(iter(grown.items())) == (f"{__name__}.Leaked", ("5,000", "+5,000"))
    assert len(leaked) == 5000


def test_the_collectors_work_is_shown(app: Application) -> None:
    text = app.http.get("/c2c/processes", {"objects": "1"}, headers=KEY).text
    row = text.partition("Garbage collection of each process")[2].partition("</table>")[0]
    assert f"/{os.getpid()}</code>" in row
    assert re.search(r'<td class="number">[\d,]+ / [\d,]+ / [\d,]+</td>', row)


def test_stacks_leave_out_the_threads_that_answer(app: Application) -> None:
    text = app.http.get("/c2c/processes", {"stacks": "1"}, headers=KEY).text
    assert "stacks_here" not in text
    assert "waits" in text


FORGED: list[Any] = [
    None,
    5,
    [],
    {},
    {"plans": None},
    {"plans": 5},
    {
        "plans": [
            None,
            {"at": 1e300, "statement": "x", "plan": "y"},
            {"at": float("nan"), "statement": "x", "plan": "y"},
        ]
    },
    {"plans": [{"at": 1, "statement": 5, "plan": "y"}]},
    {"hostname": "h", "pid": 1, "objects": 1, "since": 10**400, "collections": [[1, 1, 1]] * 3, "types": []},
    {"hostname": "h", "pid": 1, "objects": "1", "since": None, "collections": [], "types": None},
    {"hostname": "h", "pid": 1, "objects": 1, "since": None, "collections": [[1, 1, 1]] * 3, "types": [["a", 1]]},
    {"host": "h", "lines": 5},
    {"host": "h", "lines": [None, {"time": 1}]},
    {"loggers": [{"name": "x"}, 5]},
    {"enabled": True, "requests": []},
]


@pytest.mark.parametrize("answer", FORGED, ids=range(len(FORGED)))
def test_answers_of_another_form_break_no_page(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    app = Application({**INI, "c2c.sql_profiler_enabled": "1"}, configure)
    monkeypatch.setattr(broadcast, "store", object)
    monkeypatch.setattr(broadcast, "ask", lambda *_, **__: SimpleNamespace(answers=[answer], silent=[]))
    for page in ("sql", "logs", "processes?objects=1", "processes?stacks=1", ""):
        assert app.http.get(f"/c2c/{page}", headers=KEY, status="*").status_int == 200, page


def test_lines_of_other_hosts_are_short_and_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    app = Application(INI, configure)
    texts = dict.fromkeys(("level", "logger", "message", "id", "trace_id", "request"), "\ud800" + "x" * 400_000)
    line = {**texts, "time": "2026-12-01T00:00:00.000Z", "start": "2026-12-01T00:00:00.000Z", "pid": 1}
    monkeypatch.setattr(broadcast, "store", object)
    lines: list[Any] = []
    monkeypatch.setattr(
        broadcast, "ask", lambda *_, **__: SimpleNamespace(answers=[{"host": "other", "lines": lines}], silent=[])
    )
    without = app.http.get("/c2c/logs", headers=KEY).text
    lines.append(line)
    text = app.http.get("/c2c/logs", headers=KEY).text
    assert "xxx" in text
    assert len(text) - len(without) < 50_000
