"""One record a request (contract, section 6), and how long it waited for us (section 15)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.logs import JsonLogHandler
from c2cotel.runtime.queue_time import queue_time
from c2cotel.testing import Recorded
from tests.apps.application import Application, view

NOW = 1_800_000_000.0
Lines = Callable[[], list[dict[str, Any]]]


class Stop(BaseException):
    """What no exception view answers."""


def hello(request: Request) -> Response:
    """Two statements of SQL, or another ending that the query names."""
    match request.GET.get("end"):
        case "raise":
            raise Stop
        case "redirect":
            raise HTTPFound("/elsewhere")
        case "stream":
            return Response(app_iter=iter([b"12", b"345"]))
        case _:
            engine = sqlalchemy.create_engine("sqlite://")
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))
                connection.execute(sqlalchemy.text("SELECT 2"))
            return Response(b"ok")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """The lines of the access log, which is on."""
    monkeypatch.setenv("C2C_ACCESS_LOG", "1")
    stream = StringIO()
    handler = JsonLogHandler(stream)
    logger = logging.getLogger("c2cotel.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_request_is_one_line_with_its_times(lines: Lines) -> None:
    app = Application(configure=view(hello))
    app.http.get("/hello", headers={"X-Request-ID": "the-id", "X-Request-Start": f"t={time.time() - 2:.3f}"})
    (line,) = lines()
    assert line["level_name"] == "INFO"
    assert line["msg"] == "GET /hello: 200"
    assert line["request_id"] == "the-id"
    assert (line["route"], line["status"], line["bytes"]) == ("hello", 200, 2)
    assert (line["sql"], line["redis"], line["http"], line["redis_ms"], line["http_ms"]) == (2, 0, 0, 0, 0)
    assert 0 < line["sql_ms"] <= line["duration_ms"]
    assert 1900 < line["queue_ms"] < 60_000


def test_a_line_has_the_trace_of_its_request(c2cotel_recorded: Recorded, lines: Lines) -> None:
    app = Application(configure=view(hello))
    app.http.get("/hello")
    app.http.get("/hello?end=stream")
    traces = [f"{span.context.trace_id:032x}" for span in c2cotel_recorded.spans if span.parent is None]
    assert [line["trace_id"] for line in lines()] == traces[-2:]


@pytest.mark.parametrize(
    ("path", "status", "route", "size"),
    [
        ("/hello?end=stream", 200, "hello", 5),
        ("/hello?end=redirect", 302, "hello", None),
        ("/nowhere?secret=s3cr3t", 404, "_not_found", None),
    ],
)
def test_every_ending_has_its_line(path: str, status: int, route: str, size: int | None, lines: Lines) -> None:
    app = Application(configure=view(hello))
    app.http.get(path, status=status)
    (line,) = lines()
    assert (line["status"], line["route"]) == (status, route)
    assert size is None or line["bytes"] == size
    assert "s3cr3t" not in json.dumps(line)


def test_a_request_that_nobody_answers_is_a_line_with_500(lines: Lines) -> None:
    app = Application(configure=view(hello))
    with pytest.raises(Stop):
        app.http.get("/hello?end=raise")
    (line,) = lines()
    assert line["status"] == 500
    assert "bytes" not in line


def test_calls_are_counted_for_their_own_request_alone(lines: Lines) -> None:
    app = Application(configure=view(hello))
    for _ in range(2):
        app.http.get("/hello")
    assert [line["sql"] for line in lines()] == [2, 2]


def test_without_the_setting_nothing_is_logged(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_ACCESS_LOG", "0")
    Application(configure=view(hello)).http.get("/hello")
    assert lines() == []


# ---- how long a request waited


def test_the_wait_is_a_timer_and_in_server_timing(c2cotel_recorded: Recorded) -> None:
    app = Application(configure=view(hello))
    answer = app.http.get("/hello", headers={"X-Queue-Start": f"{(time.time() - 1) * 1000:.0f}"})
    app.http.get("/hello", headers={"X-Queue-Start": "yesterday"})
    (seconds,) = [value.value for value in c2cotel_recorded.measurements if value.name == "c2c.request.queue.duration"]
    assert 0.9 < seconds < 60
    assert ", queue;dur=" in answer.headers["Server-Timing"]


@pytest.mark.parametrize(
    "mark",
    ["t=1799999999.5", "1799999999.5", "t=1799999999500", "1799999999500", "1799999999500000", " t=1799999999.500 "],
)
@pytest.mark.parametrize("key", ["HTTP_X_REQUEST_START", "HTTP_X_QUEUE_START"])
def test_marks_of_every_unit(key: str, mark: str) -> None:
    assert queue_time({key: mark}, NOW) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("ahead", "waited"), [(0.05, 0.0), (0.2, None), (-3599.0, 3599.0), (-3601.0, None)])
def test_clocks_may_differ_a_little_and_no_wait_lasts_an_hour(ahead: float, waited: float | None) -> None:
    seconds = queue_time({"HTTP_X_REQUEST_START": f"{NOW + ahead:.6f}"}, NOW)
    assert seconds == (None if waited is None else pytest.approx(waited, abs=1e-3))


@pytest.mark.parametrize("mark", ["", "t=", "-1799999999", "1e400", "nan", "inf", "٣" * 10, "9" * 400_000, "\udcff"])
def test_marks_that_cannot_be_read_are_none(mark: str) -> None:
    assert queue_time({"HTTP_X_REQUEST_START": mark}, NOW) is None


def test_a_mark_that_is_absurd_leaves_the_word_to_the_other() -> None:
    marks = {"HTTP_X_REQUEST_START": "yesterday", "HTTP_X_QUEUE_START": f"{NOW - 1:.3f}"}
    assert queue_time(marks, NOW) == pytest.approx(1, abs=1e-3)


@given(st.text(max_size=60))
def test_whatever_the_mark_nothing_is_raised(mark: str) -> None:
    seconds = queue_time({"HTTP_X_REQUEST_START": mark}, NOW)
    assert seconds is None or 0 <= seconds <= 3600
