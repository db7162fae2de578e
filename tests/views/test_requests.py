"""The requests that the flight recorder shows, without a browser (contract, section 13)."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from webtest import TestApp

import c2cotel
from c2cotel.host.records import Record, iso
from c2cotel.host.running import Running
from tests.apps.application import Application, view
from tests.apps.storing import a_record

INI = {"c2c.base_path": "/c2c", "c2c.secret": "secret", "c2c.flight_recorder": "1"}
ENTRY = {"id", "trace_id", "state", "kept", "method", "path", "route", "status", "start", "duration_ms", "queue_ms"}
ENTRY |= {"host", "pid", "error", "sql", "redis", "http", "render_ms"}
WHOLE = ENTRY | {"thread", "query", "versions", "spans", "logs", "dropped", "stacks"}
WHOLE |= {"reason", "attributes"}
OFF = "The flight recorder is off: set C2C_FLIGHT_RECORDER=1 and start the application again to keep requests"
PATHS = ("/c2c/requests", "/c2c/requests.json", "/c2c/requests/request-000001", "/c2c/requests/request-000001.json")
HOSTILE = "</script><script>alert(1)</script>\ud800\x00\u202e" + "<b>&\"'" * 60_000


class Recorded:
    """An application whose flight recorder has what a test gives it."""

    def __init__(self, **rest: Any) -> None:
        self.app = Application(INI, **rest)
        self.http = TestApp(self.app.wsgi, extra_environ={"HTTP_X_API_KEY": "secret"})
        flight = self.app.telemetry.flight
        assert flight is not None
        assert flight.open()
        assert flight.store is not None
        self.flight, self.store = flight, flight.store

    def keep(self, *records: Record) -> None:
        self.store.write(records)

    def json(self, path: str, **parameters: Any) -> Any:
        return self.http.get(f"/c2c{path}", parameters).json

    def ids(self, **parameters: Any) -> list[str]:
        return [entry["id"] for entry in self.json("/requests.json", **parameters)["requests"]]

    def page(self, path: str, status: int = 200, **parameters: Any) -> str:
        answer = self.http.get(f"/c2c{path}", parameters, status=status)
        assert answer.content_type == "text/html"
        return str(answer.text)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def slots(recorded: Recorded) -> Iterator[Running]:
    """Running requests that are noted in the place of those of the application."""
    recorded.ids()  # it has its file from its first request on
    folder = recorded.flight.running_folder()
    assert folder is not None
    running = Running(folder)
    yield running
    running.close()


def a_span(number: int, parent: int | None, name: str, start: float, length: float, **rest: Any) -> dict[str, Any]:
    return {
        "span_id": f"{number:016x}",
        "parent_id": None if parent is None else f"{parent:016x}",
        "name": name,
        "kind": "internal",
        "start_ms": start,
        "duration_ms": length,
        "attributes": {},
        "events": [],
        "status": {"code": "UNSET"},
        **rest,
    }


def sql(statement: str) -> dict[str, Any]:
    return {"attributes": {"db.system.name": "postgresql", "db.query.text": statement}, "kind": "client"}


def labels(page: str) -> list[str]:
    """The labels of the waterfall's rows, in their order."""
    inner = re.findall(r'<span class="label[^>]*>(.*?)</span>\s*<svg', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", "", each).split()) for each in inner]


def test_an_entry_is_as_the_contract_says(recorded: Recorded) -> None:
    start = 1_800_000_000.25
    recorded.keep(
        a_record(1, start=start, status=None, error={"type": "E", "message": "m", "stack": ""}, sql={"n": 2, "ms": 3.5})
    )
    answer = recorded.json("/requests.json")
    assert set(answer) == {"requests", "next", "processes"}
    (entry,) = answer["requests"]
    assert set(entry) == ENTRY
    assert entry["start"] == "2027-01-15T08:00:00.250Z"
    assert (entry["state"], entry["kept"], entry["status"]) == ("done", ["failed"], None)
    assert entry["error"] == {"type": "E", "message": "m"}
    assert (entry["sql"], entry["redis"]) == ({"n": 2, "ms": 3.5}, {"n": 0, "ms": 0.0})
    (process,) = answer["processes"]
    assert (process["host"], process["pid"], process["silent"]) == (recorded.flight.host, os.getpid(), False)


def test_a_whole_record_is_found_by_both_ids(recorded: Recorded) -> None:
    span = a_span(1, None, "GET thing", 0, 5)
    log = {"ms": 1.0, "level": "INFO", "logger": "app", "message": "hello", "buffered": False}
    recorded.keep(a_record(7, spans=[span], logs=[log], query="a=b", thread="t", versions={"app": "1"}))
    record = recorded.json("/requests/request-000007.json")
    assert set(record) == WHOLE
    assert (record["spans"], record["logs"], record["dropped"]) == ([span], [log], {"spans": 0, "logs": 0})
    assert recorded.json(f"/requests/{7:032x}.json") == record


@pytest.mark.parametrize("path", PATHS)
def test_the_views_are_protected_and_for_get_alone(recorded: Recorded, path: str) -> None:
    recorded.keep(a_record(1))
    http = recorded.app.http
    assert http.get(path, status=403).json["status"] == 403
    assert http.get(path, headers={"X-API-Key": "secret"}).headers["Cache-Control"].count("no-cache")
    http.post(path, {"secret": "secret"}, status=404)
    http.reset()  # the session that began with the secret
    login = http.get(path, headers={"Accept": "text/html"}, status=303).location
    assert str(login).startswith("http://localhost/c2c/?back=%2Fc2c%2Frequests")


@pytest.mark.parametrize("path", ["/requests/nobody.json", "/requests/nobody", "/requests/%3Cb%3E/../x"])
def test_an_unknown_id_is_a_404(recorded: Recorded, path: str) -> None:
    answer = recorded.http.get(f"/c2c{path}", status=404)
    if path.endswith(".json"):
        assert answer.json["message"] == "No request with the id 'nobody' runs or is kept"
    else:
        assert "No such request" in answer.text
        assert "<b>" not in answer.text


def test_while_it_is_off_the_page_says_how_to_turn_it_on() -> None:
    app = Application({**INI, "c2c.flight_recorder": "0"})
    key = {"X-API-Key": "secret"}
    assert OFF in app.http.get("/c2c/requests", headers=key).text
    assert OFF in app.http.get("/c2c/requests/x", headers=key, status=404).text
    for path in ("/c2c/requests.json", "/c2c/requests/x.json"):
        assert app.http.get(path, headers=key, status=404).json["message"] == OFF


def test_with_the_secret_in_the_address_a_browser_gets_a_session(recorded: Recorded) -> None:
    recorded.keep(a_record(1))
    http = recorded.app.http
    http.get("/c2c/requests", {"secret": "secret"})
    http.get("/c2c/requests/request-000001")
    http.reset()
    answer = http.get("/c2c/requests", {"secret": "secret", "q": "request-000001"}, status=303)
    assert "secret=" not in str(answer.location)
    assert "/things/1" in http.get(str(answer.location)).text


def test_without_a_secret_they_are_absent_and_a_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    app = Application({**INI, "c2c.secret": ""})
    app.http.get("/c2c/requests", status=404)
    assert "these views are not served: /c2c/requests" in caplog.text


def test_filters(recorded: Recorded) -> None:
    recorded.keep(
        a_record(1, kept=("failed",), status=500, path="/api/orders", route="orders"),
        a_record(2, kept=("slow", "debug"), status=200, error={"type": "Odd", "message": "duplicate key", "stack": ""}),
        a_record(3, kept=("recent",), status=404, duration_ms=0.5),
    )
    one, two, three = (f"request-{number:06}" for number in (1, 2, 3))
    assert recorded.ids() == [three, two, one]
    assert recorded.ids(state="failed") == [one]
    assert recorded.ids(state="debug") == [two]
    assert recorded.ids(state="running") == []
    assert recorded.ids(route="orders") == [one]
    assert recorded.ids(status="404") == recorded.ids(status="4") == recorded.ids(status="4XX") == [three]
    assert recorded.ids(min_ms="1.5") == [two]
    assert recorded.ids(since="1700000002") == [three, two]
    assert recorded.ids(since="2023-11-14T22:13:22Z", until="2023-11-14T22:13:22.5") == [two]
    assert recorded.ids(until="2023-11-14T23:13:21+01:00") == [one]
    assert recorded.ids(q="duplicate") == [two]
    assert recorded.ids(q="/api/ord") == [one]
    assert recorded.ids(q=f"{3:032x}") == [three]
    assert recorded.ids(limit="2") == [three, two]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "odd"),
        ("status", "99x"),
        ("status", "6xx"),
        ("min_ms", "nan"),
        ("min_ms", "-1"),
        ("since", "yesterday"),
        ("until", "2023-13-01"),
        ("limit", "0"),
        ("limit", "1001"),
        ("cursor", "x"),
        ("cursor", "W10"),
        ("q", "\x01"),
    ],
)
def test_a_bad_parameter_is_a_400_that_names_it(recorded: Recorded, name: str, value: str) -> None:
    for path in ("/c2c/requests.json", "/c2c/requests"):
        answer = recorded.http.get(path, {name: value}, status=400)
        assert answer.json["message"].startswith(f"{name}=")


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_pages_follow_each_other_without_gap(recorded: Recorded, slots: Running, limit: int) -> None:
    now = time.time()
    recorded.keep(*(a_record(number, start=now - 100 + number // 3) for number in range(7)))
    for number in range(3):
        slots.begin(1, now - number, f"running-{number}", "", "GET", "/r")
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = recorded.json("/requests.json", limit=limit, **cursor)
        assert len(answer["requests"]) <= limit
        ids += [entry["id"] for entry in answer["requests"]]
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert ids == [f"running-{number}" for number in range(3)] + [f"request-{number:06}" for number in range(6, -1, -1)]


def test_running_requests_are_listed_and_have_a_record(recorded: Recorded, slots: Running) -> None:
    start = time.time() - 38
    slot = slots.begin(12, start, "c0ff-ee", "ab" * 16, "GET", "/report", "report")
    slots.doing(slot, "SELECT FROM sales")
    (entry,) = recorded.json("/requests.json", state="running", min_ms=30_000, route="report", q="/REP")["requests"]
    assert set(entry) == ENTRY
    assert (entry["id"], entry["state"], entry["kept"], entry["status"]) == ("c0ff-ee", "running", [], None)
    assert entry["duration_ms"] >= 38_000
    assert entry["start"] == iso(start)
    record = recorded.json("/requests/c0ffee.json")
    assert set(record) == WHOLE
    assert record["attributes"] == {"doing": "SELECT FROM sales"}
    page = recorded.page("/requests")
    assert "running 38" in page
    assert "SELECT FROM sales in progress" in page
    for filters in ({"min_ms": 60_000}, {"status": 200}, {"since": time.time()}, {"state": "failed"}, {"q": "/other"}):
        assert recorded.ids(**filters) == []


def test_a_request_of_this_process_that_runs_has_its_log_records() -> None:
    records: list[Any] = []

    def hello(request: Request) -> Any:
        logging.getLogger("app").warning("half way")
        records.append(app.json(f"/requests/{request.c2c_request_id}.json"))
        with ThreadPoolExecutor(1) as other_thread:  # in this one it would be a part of the same request
            records.append(other_thread.submit(app.ids, state="running").result())
        return {}

    app = Recorded(configure=view(hello, renderer="json"))
    request_id = app.http.get("/hello").headers["X-Request-ID"]
    record, running = records
    assert (record["id"], record["state"], record["status"]) == (request_id, "running", None)
    assert [log["message"] for log in record["logs"]] == ["half way"]
    assert running == [request_id], "and not the request that asks"


def test_searching_for_an_id_leads_straight_to_its_record(recorded: Recorded) -> None:
    recorded.keep(a_record(1), a_record(2, path="/other"))
    for searched in ("request-000001", f" {1:032x} ", "REQUEST000001"):
        answer = recorded.http.get("/c2c/requests", {"q": searched, "state": "slow"}, status=303)
        assert answer.location == f"http://localhost/c2c/requests/{searched.strip()}"
        assert "/things/1" in recorded.http.get(str(answer.location)).text
    assert "request-000002" in recorded.page("/requests", q="other")
    assert "None." in recorded.page("/requests", q="request-000009")
    assert recorded.ids(q="request-000001") == ["request-000001"], "the JSON stays a list"


def test_the_page_has_a_section_for_each_state(recorded: Recorded) -> None:
    recorded.keep(*(a_record(number) for number in range(30)), a_record(31, kept=("slow",), status=200))
    page = recorded.page("/requests")
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", page) == ["Running", "Failed", "Slow", "Recent"]
    (older,) = re.findall(r'href="([^"]*state=failed[^"]*)"', page)
    following = recorded.http.get(older.replace("&amp;", "&")).text
    assert following.count('<tr role="row">') == 11, "a head and those that were left"
    assert "data-refresh=" not in following


def test_links_have_the_prefix_that_the_application_is_below() -> None:
    app = Recorded()
    app.keep(a_record(1), a_record(2, id="a/b c?d#e.json"))
    http = TestApp(app.app.wsgi, extra_environ={"HTTP_X_API_KEY": "secret", "SCRIPT_NAME": "/p"})
    links = re.findall(r'(?:href|action)="([^"#]+)"', http.get("/c2c/requests").text)
    assert all(link.startswith("/p/c2c/") or link == "data:," for link in links), links
    assert f"/p/c2c/requests/{2:032x}" in links, "the address of the JSON view is another one"


def test_several_attempts_with_one_id_are_listed(recorded: Recorded) -> None:
    recorded.keep(
        a_record(1, id="same", trace_id="aa" * 16, path="/first", pid=1),
        a_record(2, id="same", trace_id="aa" * 16, path="/second", pid=2),
        a_record(3, id="service", trace_id="aa" * 16, path="/third", pid=3),
    )
    assert recorded.json("/requests/same.json")["path"] == "/second"
    page = recorded.page("/requests/same")
    assert "Other requests with the id same" in page
    (first,) = re.findall(r'href="([^"]*attempt=1-[^"]*)"', page)
    assert "/first" in recorded.http.get(first).text.split("Waterfall")[0]
    assert recorded.http.get(first.replace("same?", "same.json?")).json["path"] == "/first"
    by_trace = recorded.page(f"/requests/{'aa' * 16}")
    assert all(path in by_trace for path in ("/first", "/second", "/third"))


def test_the_waterfall_has_spans_as_a_tree_and_logs_in_their_place(recorded: Recorded) -> None:
    repeated = [a_span(10 + n, 1, "SELECT", 30 + n, 1, **sql("SELECT 1 FROM stock")) for n in range(12)]
    failed = {"status": {"code": "ERROR"}, "attributes": {"error.type": "builtins.KeyError"}}
    log = {"level": "INFO", "logger": "app", "buffered": False}
    recorded.keep(
        a_record(
            1,
            duration_ms=100.0,
            spans=[
                a_span(3, 2, "inner", 12, 2),
                a_span(1, 99, "POST orders", 0, 100),
                a_span(2, 1, "outer", 10, 8),
                *repeated,
                a_span(4, 1, "broken", 60, 5, **failed),
            ],
            logs=[
                {**log, "ms": 20.0, "message": "between"},
                {**log, "ms": 13.0, "message": "inside", "level": "ERROR"},
            ],
        )
    )
    page = recorded.page("/requests/request-000001")
    assert labels(page) == [
        "POST orders",
        "outer",
        "inner",
        "ERROR inside",
        "INFO between",
        "SELECT 1 FROM stock \u00d7 12",
        "broken KeyError",
    ]
    assert "12 \u00d7 the same statement took 12 ms of 100 ms" in page
    assert '<rect x="100.0" y="0" width="80.0"' in page
    assert "style=" not in page


def test_stacks_and_the_sampled_calls_are_shown(recorded: Recorded) -> None:
    frame = {"file": "/app/orders.py", "line": 61, "function": "create", "code": "session.flush()"}
    leaf = {"name": "flush", "file": "orm.py", "line": 7, "n": 30, "children": []}
    tree = [{"name": "create", "file": "orders.py", "line": 61, "n": 40, "children": [leaf]}]
    profile = {"interval_ms": 10, "samples": 40, "tree": tree}
    recorded.keep(a_record(1, stacks=[{"ms": 30_500, "frames": [frame]}, "odd"], profile=profile))
    page = recorded.page("/requests/request-000001")
    assert "Stack after 30.5 s" in page
    assert "line 61, in create\n    session.flush()" in page
    assert "100% create  orders.py:61\n 75%  flush  orm.py:7" in page


def test_spans_in_a_circle_or_without_parent_are_shown(recorded: Recorded) -> None:
    spans = [a_span(1, 2, "one", 0, 1), a_span(2, 1, "two", 0, 1), a_span(3, 3, "three", 0, 1)]
    deep = [a_span(number, number - 1, f"deep {number}", number, 1) for number in range(100, 900)]
    recorded.keep(a_record(1, spans=[*spans, *deep]))
    assert len(labels(recorded.page("/requests/request-000001"))) == 803


def test_hostile_texts_are_shown_as_text_and_cut(recorded: Recorded) -> None:
    span = a_span(
        1, None, HOSTILE, 0, 1, **sql(HOSTILE), events=[{"name": HOSTILE, "ms": 0, "attributes": {"a": HOSTILE}}]
    )
    log = {"ms": 1.0, "level": HOSTILE, "logger": HOSTILE, "message": HOSTILE, "exception": HOSTILE, "buffered": True}
    texts = dict.fromkeys(("method", "path", "query", "route", "thread", "host", "reason"), HOSTILE)
    recorded.keep(
        a_record(
            1,
            **texts,
            error={"type": HOSTILE, "message": HOSTILE, "stack": HOSTILE},
            spans=[span] * 10,
            logs=[log] * 10,
            stacks=[HOSTILE, [HOSTILE], {"a": HOSTILE}, {"frames": [HOSTILE, {"code": HOSTILE}]}],
            attributes={HOSTILE: {HOSTILE: [HOSTILE]}},
            versions={HOSTILE: HOSTILE},
        )
    )
    for page in (recorded.page("/requests/request-000001"), recorded.page("/requests")):
        assert "<script>alert" not in page
        assert "<b>" not in page
        assert len(page) < 12_000_000
    assert "Long texts are cut here" in recorded.page("/requests/request-000001")
    recorded.json("/requests/request-000001.json")


def test_1000_spans_and_500_log_records_are_one_page(recorded: Recorded) -> None:
    spans = [a_span(n, n // 2 or None, f"span {n}", n, 1, **sql(f"SELECT {n} " + "x" * 60)) for n in range(1, 1001)]
    log = {"level": "INFO", "logger": "app", "message": "y" * 200, "buffered": False}
    recorded.keep(a_record(1, spans=spans, logs=[{**log, "ms": float(n)} for n in range(500)]))
    begin = time.perf_counter()
    page = recorded.page("/requests/request-000001")
    assert time.perf_counter() - begin < 10
    assert len(page) < 3_000_000
    assert page.count("<details") == 1000


def fail(_: Request) -> Any:
    raise RuntimeError("on purpose")


def test_an_error_names_its_record_to_those_with_the_secret() -> None:
    recorded = Recorded(configure=view(fail))
    body = recorded.http.get("/hello", status=500).json
    assert body["record"] == f"/c2c/requests/{body['request_id']}"
    with_prefix = recorded.http.get("/hello", extra_environ={"SCRIPT_NAME": "/p"}, status=500).json
    assert with_prefix["record"].startswith("/p/c2c/requests/")
    assert "record" not in recorded.app.http.get("/hello", status=500).json
    recorded.app.finish()
    off = Application({**INI, "c2c.flight_recorder": "0"}, configure=view(fail))
    assert "record" not in off.http.get("/hello", headers={"X-API-Key": "secret"}, status=500).json


def test_a_route_prefix_is_in_front_of_the_record() -> None:
    with Configurator(settings=INI, route_prefix="/api") as config:
        c2cotel.setup(config)
        view(fail)(config)
    http = TestApp(config.make_wsgi_app(), extra_environ={"HTTP_X_API_KEY": "secret"})
    body = http.get("/api/hello", status=500).json
    assert body["record"] == f"/api/c2c/requests/{body['request_id']}"
