"""The application of the demo: a guest book, and fortune cookies of which some are empty.

It is an ordinary Pyramid application on SQLite. Of c2cotel it knows `setup`, `stats` and the log handler: everything
else about requests and rendering is measured without a word of its own.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from html import escape
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request

import c2cotel
from c2cotel import stats
from c2cotel.demo import DATABASE
from c2cotel.logs import JsonLogHandler

_logger = logging.getLogger("guest_book")

_SHOWN = 10
_LONGEST = 200
_COUNTED = 40
_COOKIES = ("What is measured gets better.", "An old timer will surprise you.")

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Guest book</title></head>
<body>
<h1>Guest book</h1>
<form method="post">
<label>Your name <input name="name" required maxlength="{longest}"></label> <button>Sign</button>
</form>
<h2>{count} signed, the latest first</h2>
<ul>
{entries}
</ul>
</body>
</html>
"""


class EmptyCookieError(LookupError):
    """A fortune cookie with nothing in it."""


def main() -> Any:
    """The WSGI application."""
    logging.basicConfig(level=logging.INFO, handlers=[JsonLogHandler(sys.stdout)])
    with _database() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    with Configurator() as config:
        c2cotel.setup(config)
        config.add_renderer("page", _page_renderer)
        config.add_route("guest_book", "/")
        config.add_route("entries", "/entries.json")
        config.add_route("fortune", "/fortune/{number}")
        config.add_route("almanac", "/almanac")
        config.add_view(read, route_name="guest_book", request_method="GET", renderer="page")
        config.add_view(sign, route_name="guest_book", request_method="POST")
        config.add_view(read, route_name="entries", renderer="json")
        config.add_view(count_slowly, route_name="almanac", renderer="json")
        config.add_view(open_cookie, route_name="fortune", renderer="json")
        config.add_exception_view(apologise, context=EmptyCookieError, renderer="json")
        return config.make_wsgi_app()


def read(request: Request) -> dict[str, Any]:  # noqa: ARG001  # Pyramid's signature
    """The latest entries, as a page and as JSON."""
    with stats.timer_context(["guest_book", "read"]), _database() as connection:
        (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
        rows = connection.execute("SELECT name FROM entry ORDER BY id DESC LIMIT ?", (_SHOWN,)).fetchall()
    _logger.info("The guest book was read, entries: %d", count)
    return {"count": count, "entries": [name for (name,) in rows]}


def sign(request: Request) -> HTTPSeeOther:
    """Add an entry, then back to the page."""
    name = str(request.POST.get("name", "")).strip()[:_LONGEST]
    if not name:
        raise HTTPBadRequest("name: expected the name of who signs")
    with stats.timer_context(["guest_book", "write"]), _database() as connection:
        connection.execute("INSERT INTO entry (name) VALUES (?)", (name,))
        (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
    stats.increment_counter(["guest_book", "signed"])
    stats.set_gauge(["guest_book", "entries"], count)
    return HTTPSeeOther(location="/")


def count_slowly(request: Request) -> dict[str, int]:
    """How often each of the latest names stands in the book, one query for each: slow on purpose."""
    with stats.timer_context(["almanac", "names"]), _database() as connection:
        rows = connection.execute("SELECT name FROM entry ORDER BY id DESC LIMIT ?", (_COUNTED,)).fetchall()
    _logger.info("Counting %d names for request %s", len(rows), request.c2c_request_id)
    counts: dict[str, int] = {}
    for number, name in enumerate(sorted({name for (name,) in rows})):
        with stats.timer_context(["almanac", "count"]), _database() as connection:
            (counts[name],) = connection.execute("SELECT count(*) FROM entry WHERE name = ?", (name,)).fetchone()
            time.sleep(0.15 if number == 0 else 0.05)
    stats.annotate(names=len(counts))
    return counts


def open_cookie(request: Request) -> dict[str, str]:
    """A fortune; every third cookie is empty."""
    assert request.matchdict is not None  # this view has a route
    number = request.matchdict["number"]
    if not (number.isascii() and number.isdigit()):
        raise HTTPBadRequest(f"number={number!r}: expected the number of a cookie such as 7")
    if int(number[-9:]) % 3 == 0:
        raise EmptyCookieError(f"cookie {number} is empty")
    return {"fortune": _COOKIES[int(number[-9:]) % 3 - 1]}


def apologise(error: EmptyCookieError, request: Request) -> dict[str, str]:
    """Answers for the application's own error; the span of the request has it all the same."""
    _logger.error("No fortune today", exc_info=error)
    request.response.status_int = 500
    return {"message": "No fortune today", "request_id": request.c2c_request_id}


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(os.environ[DATABASE], timeout=10)) as connection, connection:
        yield connection


def _page_renderer(info: Any) -> Callable[[dict[str, Any], dict[str, Any]], str]:  # noqa: ARG001  # Pyramid's interface
    def render(value: dict[str, Any], system: dict[str, Any]) -> str:
        system["request"].response.content_type = "text/html"
        entries = "\n".join(f"<li>{escape(name)}</li>" for name in value["entries"])
        return _PAGE.format(count=value["count"], entries=entries, longest=_LONGEST)

    return render
