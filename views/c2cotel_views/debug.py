"""What an operator asks a process that misbehaves: stacks, memory, and answers on purpose."""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from string import punctuation
from typing import Any
from urllib.parse import quote, urlencode

import objgraph
import psutil
from pyramid.httpexceptions import HTTPBadRequest, exception_response, status_map
from pyramid.request import Request
from pyramid.response import Response

from c2cotel import broadcast
from c2cotel.plugin import ApplicationSettings
from c2cotel_views._auth import SECRET
from c2cotel_views._json import refusal
from c2cotel_views._parameters import Parameter, number, seconds, text
from c2cotel_views._stacks import grouped, stacks_here
from c2cotel_views._view import View

LIMIT = number("limit", "How many types are shown.", default=30, least=1, most=10_000)
PATH = text("path", "What to call, with its query, as `/api/hello?name=x`.", "", most=4000)
TIME = seconds("time", "How long to sleep.", None, most=3600)
_STACKS, _MEMORY, _MEMORY_MAPS = "c2c_debug_stacks", "c2c_debug_memory", "c2c_debug_memory_maps"

STATUS = number("status", "The HTTP status to answer with.", default=500, least=200, most=599)


def _memory(limit: int) -> dict[str, Any]:
    collected = [gc.collect(generation) for generation in range(3)]
    return {
        "nb_collected": collected,
        "most_common_types": objgraph.most_common_types(limit=limit, shortnames=False),
        "leaking_objects": objgraph.most_common_types(limit=limit, objects=_leaking_objects(), shortnames=False),
    }


def _leaking_objects() -> list[Any]:
    """The objects that no other one refers to, as C code leaves them that forgets to give back a reference.

    As `objgraph.get_leaking_objects`, which makes a process hang on Python 3.12: asked what it refers to, the module
    `_asyncio` hands out iterators that were freed already. They are freed again, its list of them becomes a ring, and
    the next collection never ends.
    """
    asyncio = sys.modules.get("_asyncio")
    objects = gc.get_objects()
    leaking = {id(each) for each in objects}
    for each in objects:
        if each is not asyncio:
            leaking.difference_update(map(id, gc.get_referents(each)))
    return [each for each in objects if id(each) in leaking]


def _memory_maps() -> dict[str, Any]:
    maps: list[Any] = psutil.Process().memory_maps(grouped=True)
    sizes = [{"path": each.path, **{f"{name}_kb": getattr(each, name) // 1024 for name in _SIZES}} for each in maps]
    return {"memory_maps": sorted(sizes, key=lambda each: (-each["pss_kb"], each["path"]))}


_SIZES = ("size", "rss", "pss", "swap")


def stacks(_: Request) -> list[dict[str, Any]]:
    """The stack of every thread of every process; threads with the same one are together."""
    return grouped(_answers(_STACKS))


def memory(request: Request) -> list[dict[str, Any]]:
    """What each process holds, counted by type, after a garbage collection."""
    return _answers(_MEMORY, limit=LIMIT(request))


def memory_maps(_: Request) -> list[dict[str, Any]]:
    """What the memory of each process is made of, in KiB, by file."""
    return _answers(_MEMORY_MAPS)


def memory_diff(request: Request) -> list[tuple[str, int, int]]:
    """Types of which there are more after a second call of a path than before it: type, how many, how many more."""
    limit = LIMIT(request)
    path = _path_of_url(request) if request.matchdict else PATH(request)
    if not path or not path.startswith("/"):
        raise refusal(HTTPBadRequest, f"path={path!r}: expected a path of this application, such as /api/hello?name=x")
    if path.partition("?")[0].startswith(request.path_info.partition("/debug/")[0] + "/debug/memory_diff"):
        raise refusal(HTTPBadRequest, f"path={path!r}: expected another path than that of this view")
    before, after = Counter[str](), Counter[str]()  # both are there at both counts
    for types in (before, after):
        _call(request, path)
        _count(types)
    changes = ((kind, total, total - before[kind]) for kind, total in after.items())
    grown = sorted((change for change in changes if change[2] > 0), key=lambda change: (-change[2], change[0]))
    return grown[:limit]


def sleep(request: Request) -> Response:
    """Answer after some seconds."""
    duration = TIME(request)
    if duration is None:
        raise refusal(HTTPBadRequest, "time: expected seconds, such as 60.2")
    time.sleep(duration)
    return Response(status=204)


def headers(request: Request) -> dict[str, str]:
    """The headers as the WSGI server handed them over."""
    return dict(request.headers)


def time_here(_: Request) -> dict[str, Any]:
    """The wall clock of this process and its time zone."""
    now = datetime.now().astimezone()
    return {"time": now.isoformat(), "timestamp": now.timestamp(), "timezone": now.tzname()}


def error(request: Request) -> Response:
    """Fail with a status."""
    status = STATUS(request)
    if status not in status_map:
        statuses = ", ".join(map(str, sorted(status_map)))
        raise refusal(HTTPBadRequest, f"status={status}: expected one of {statuses}")
    raise exception_response(status)


def _path_of_url(request: Request) -> str:
    """The form of 2018: the path and its query stand in the URL, beside what is meant for this view."""
    query = [pair for pair in request.GET.items() if pair[0] not in {SECRET, LIMIT.name}]
    path = quote("/" + (request.matchdict or {})["path"])
    return f"{path}?{urlencode(query)}" if query else path


def _call(request: Request, path: str) -> None:
    # What a browser's form sends unescaped is escaped; everything else stays as it is.
    inner = Request.blank(quote(path, safe=punctuation), environ=_server(request.environ))
    for name in ("HTTP_X_API_KEY", "HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_ACCEPT", "HTTP_HOST"):
        if name in request.environ:
            inner.environ[name] = request.environ[name]
    response = request.invoke_subrequest(inner)
    try:
        for _ in response.app_iter:  # a stream does its work while it is read
            pass
    finally:
        getattr(response.app_iter, "close", _nothing)()


def _server(environ: Mapping[str, Any]) -> dict[str, Any]:
    return {name: environ[name] for name in _SERVER if name in environ}


_SERVER = ("SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme", "wsgi.multithread", "wsgi.multiprocess")


def _nothing() -> None:
    return None


def _count(types: Counter[str]) -> None:
    gc.collect()
    types.update(map(_type_name, gc.get_objects()))


def _type_name(thing: object) -> str:
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


def _answers(channel: str, **params: Any) -> list[dict[str, Any]]:
    """The answers of the processes that gave one, this process's first."""
    answers = broadcast.broadcast(channel, params, expect_answers=True) or ()
    return sorted(
        (answer for answer in answers if isinstance(answer, dict)),
        key=lambda answer: (answer["hostname"] != socket.gethostname(), answer["pid"] != os.getpid()),
    )


def _is_ours(answer: Any) -> bool:
    """Whether an answer has the form of ours: over Redis anybody may send one."""
    if not isinstance(answer, dict) or not {"hostname", "pid"} <= answer.keys():
        return False
    threads = answer.get("threads", [])
    return isinstance(threads, list) and all(
        isinstance(thread, dict) and {"name", "ident", "frames"} <= thread.keys() for thread in threads
    )


def _row(
    path: str, route: str, view: Callable[[Request], Any], doc: str, *parameters: Parameter[Any], **options: Any
) -> View:
    return View(
        path=f"/debug/{path}",
        route=f"c2c_debug_{route}",
        enabled=lambda settings: settings.section(ApplicationSettings).debug_view,
        old_secret=lambda settings: settings.debug_view_secret,
        view=view,
        title="" if "{" in path else f"Debug: {route.replace('_', ' ')}",
        doc=doc,
        parameters=parameters,
        protected=True,
        **options,
    )


VIEWS = (
    _row("stacks", "stacks", stacks, "The stack of every thread of all processes.", channels={_STACKS: stacks_here}),
    _row("memory", "memory", memory, "What all processes hold, counted by type.", LIMIT, channels={_MEMORY: _memory}),
    _row(
        "memory_maps",
        "memory_maps",
        memory_maps,
        "What the memory of all processes is made of, in KiB, by file.",
        channels={_MEMORY_MAPS: _memory_maps},
    ),
    _row("memory_diff", "memory_diff", memory_diff, "Types that grow when a path is called again.", PATH, LIMIT),
    _row("memory_diff/{path:.*}", "memory_diff_deprecated", memory_diff, "As `/debug/memory_diff?path=`.", LIMIT),
    _row("sleep", "sleep", sleep, "Answers after some seconds, with 204.", TIME),
    _row("headers", "headers", headers, "The request's headers as the WSGI server handed them over."),
    _row("time", "time", time_here, "The time of this process, and its time zone."),
    _row("error", "error", error, "Answers with an HTTP error.", STATUS),
)
