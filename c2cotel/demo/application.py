"""The application of the demo: a guest book, and fortune cookies of which some are empty.

It is an ordinary Pyramid application on SQLAlchemy and SQLite. Of c2cotel it knows `setup`, `stats` and the log
handler: everything else about requests, rendering and SQL is measured without a word of its own.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request
from sqlalchemy import Engine, create_engine, text

import c2cotel
from c2cotel import stats
from c2cotel.demo import DATABASE
from c2cotel.logs import JsonLogHandler

_logger = logging.getLogger("guest_book")

_SHOWN = 10
_LONGEST = 200
_COUNTED = 20
_FIRST = ("Mary", "John", "Margaret", "Dennis", "Radia", "Ken", "Barbara", "Donald", "Frances", "Niklaus")
"""Who signed before the demo began."""

_COOKIES = ("What is measured gets better.", "An old timer will surprise you.")

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Guest book</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.6 Georgia, serif; max-width: 34rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ border-bottom: 3px double; }}
input, button {{ font: inherit; padding: .2rem .6rem; }}
ul {{ list-style: "✍ "; padding-left: 1.5rem; }}
nav {{ display: flex; gap: 1rem; font-size: .9rem; }}
</style></head>
<body>
<h1>Guest book</h1>
<nav><a href="/almanac">Almanac, slow on purpose</a> <a href="/fortune/1">A fortune</a>
<a href="/fortune/3">An empty one</a></nav>
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


_ENGINE = "guest_book.engine"
_COUNT = text("SELECT count(*) FROM entry")
_LATEST = text("SELECT name FROM entry ORDER BY id DESC LIMIT :most")
_COUNT_NAME = text("SELECT count(*) FROM entry WHERE name = :name")
_ADD = text("INSERT INTO entry (name) VALUES (:name)")
_ADD_FIRST = text("INSERT OR IGNORE INTO entry (id, name) VALUES (:id, :name)")


class EmptyCookieError(LookupError):
    """A fortune cookie with nothing in it."""


def main() -> Any:
    """The WSGI application."""
    logging.basicConfig(level=logging.INFO, handlers=[JsonLogHandler(sys.stdout)])
    with Configurator() as config:
        c2cotel.setup(config)
        config.registry[_ENGINE] = _guest_book()
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


def read(request: Request) -> dict[str, Any]:
    """The latest entries, as a page and as JSON."""
    with stats.timer_context(["guest_book", "read"]), request.registry[_ENGINE].connect() as connection:
        count = connection.scalar(_COUNT)
        names = list(connection.scalars(_LATEST, {"most": _SHOWN}))
    _logger.info("The guest book was read, entries: %d", count)
    return {"count": count, "entries": names}


def sign(request: Request) -> HTTPSeeOther:
    """Add an entry, then back to the page."""
    name = str(request.POST.get("name", "")).strip()[:_LONGEST]
    if not name:
        raise HTTPBadRequest("name: expected the name of who signs")
    with stats.timer_context(["guest_book", "write"]), request.registry[_ENGINE].begin() as connection:
        connection.execute(_ADD, {"name": name})
        count = connection.scalar(_COUNT)
    stats.increment_counter(["guest_book", "signed"])
    stats.set_gauge(["guest_book", "entries"], count)
    return HTTPSeeOther(location="/")


def count_slowly(request: Request) -> dict[str, int]:
    """How often each of the latest names stands in the book, one query for each: slow on purpose."""
    with request.registry[_ENGINE].connect() as connection:
        with stats.timer_context(["almanac", "names"]):
            names = sorted(set(connection.scalars(_LATEST, {"most": _COUNTED})))
        _logger.info("Counting %d names for request %s", len(names), request.c2c_request_id)
        counts: dict[str, int] = {}
        for number, name in enumerate(names):
            counts[name] = connection.scalar(_COUNT_NAME, {"name": name}) or 0
            time.sleep(0.15 if number == 0 else 0.02)
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


def _guest_book() -> Engine:
    """The database, made by whichever worker comes first."""
    engine = create_engine(f"sqlite:///{os.environ[DATABASE]}", connect_args={"timeout": 10})
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"))
        connection.execute(_ADD_FIRST, [{"id": number, "name": name} for number, name in enumerate(_FIRST, 1)])
    return engine


def _page_renderer(info: Any) -> Callable[[dict[str, Any], dict[str, Any]], str]:  # noqa: ARG001  # Pyramid's interface
    def render(value: dict[str, Any], system: dict[str, Any]) -> str:
        system["request"].response.content_type = "text/html"
        entries = "\n".join(f"<li>{escape(name)}</li>" for name in value["entries"])
        return _PAGE.format(count=value["count"], entries=entries, longest=_LONGEST)

    return render
