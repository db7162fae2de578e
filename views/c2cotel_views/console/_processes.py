"""The processes that run: what they are at, what is wrong with them, and their stacks on demand."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from c2cotel import broadcast
from c2cotel.plugin import flight_search, telemetry_of
from c2cotel_views._formats import Texts, rate
from c2cotel_views._frame import framed
from c2cotel_views._parameters import flag
from c2cotel_views._request_rows import RECORD, for_rows, url
from c2cotel_views._stacks import grouped, stacks_here
from c2cotel_views._tables import Column, table
from c2cotel_views.console._figures import mebibytes, picture, span
from c2cotel_views.console._objects import CHANNEL, count_everywhere, count_here
from c2cotel_views.console._switch import WINDOW, overview_of

ROUTE = "c2c_processes"
STACKS = flag("stacks", "Whether to show the stacks of all threads.", default=False)
OBJECTS = flag("objects", "Whether to count the objects of all processes, after a garbage collection.", default=False)
_STACKS = "c2c_console_stacks"
CHANNELS = {_STACKS: stacks_here, CHANNEL: count_here}
_PATIENCE = 3.0
_MOST_RUNNING = 100
_FULL_TREND = 12
_IDLE = (
    "wait",
    "select",
    "accept",
    "_wait_for_tstate_lock",
    "get",
    "poll",
    "epoll",
    "_worker",
    "acquire",
    "join",
    "_next_requests",
)
"""Functions in which a thread has nothing to do."""

_COLUMNS = {
    "process": Column("process", lambda each: (each["host"], each["pid"]), numeric=False),
    "version": Column("version", lambda each: each["version"], numeric=False, spare=True),
    "up": Column("up", lambda each: each["up_s"]),
    "memory": Column("memory", lambda each: each["memory_bytes"]),
    "trend": Column("memory, last hour", lambda each: each["growth"], spare=True, drawn=True),
    "threads": Column("busy threads", lambda each: each["running"]),
    "rate": Column("req/s", lambda each: each["rate_value"], spare=True),
}


def process_row(process: Any, now: float, texts: Texts) -> dict[str, Any]:
    """A process as a row of a table."""
    memories = process.memories
    return {
        "name": texts.line(f"{process.host}/{process.pid}", 60),
        "host": process.host,
        "pid": process.pid,
        "version": texts.line(process.version, 40),
        "up_s": now - process.start,
        "up": span(max(0.0, now - process.start)),
        "memory_bytes": process.memory or 0,
        "memory": mebibytes(process.memory),
        "growth": memories[-1] - memories[0] if memories else 0,
        "trend": picture([("accent", memories)], f"Memory, now {mebibytes(process.memory)}") if memories else None,
        "running": process.running,
        "threads": f"{process.running} / {process.threads}" if process.threads else str(process.running),
        "is_full": bool(process.threads) and process.running >= process.threads,
        "rate_value": process.rate,
        "rate": f"{rate(process.rate)}/s",
        "silent": None if process.silent is None else span(process.silent),
    }


def troubles(answer: Any, texts: Texts) -> list[dict[str, Any]]:
    """What an operator should look at: processes whose threads are all busy, that are silent, or that died."""
    listed: list[dict[str, Any]] = []
    for process in answer.processes:
        name = texts.line(f"{process.host}/{process.pid}", 60)
        if process.silent is not None:
            text = f"{name} lives and has written nothing for {span(process.silent)}."
            listed.append({"class": "bad", "text": text, "kind": "stacks"})
        elif process.threads and process.running >= process.threads:
            text = f"{name}: all {process.threads} thread{'s are' if process.threads > 1 else ' is'} busy."
            listed.append({"class": "warn", "text": text, "kind": "stacks"})
    for death in answer.deaths[:5]:
        name = texts.line(f"{death['host']}/{death['pid']}", 60)
        request = texts.line(f"{death['method']} {death['route'] or death['path']}", 80)
        text = f"{name} died while it answered {request}."
        listed.append({"class": "bad", "text": text, "kind": "record", "entry": death})
    return listed


def page(request: Request) -> Response:
    """The processes, and their stacks or objects if they are asked for."""
    answer = overview_of(request)
    texts = Texts()
    rows = [process_row(each, answer.now, texts) for each in answer.processes]
    groups, silent = _stacks(texts) if STACKS(request) else ([], [])
    objects = count_everywhere(texts) if OBJECTS(request) else None
    return framed(
        request,
        "processes.html",
        ROUTE,
        title="Processes",
        window=WINDOW(request),
        table=table(request, rows, _COLUMNS, lambda each: f"{each['name']} {each['version']}", "process"),
        troubles=troubles(answer, texts),
        record_url=lambda entry: url(request, entry, RECORD, several=True),
        several_hosts=broadcast.store() is not None,
        running=_running(request),
        wants_stacks=STACKS(request),
        stacks=groups,
        stacks_url=request.route_path(ROUTE, _query={"stacks": "1"}),
        processes_url=request.route_path(ROUTE),
        objects=objects,
        objects_url=request.route_path(ROUTE, _query={"objects": "1"}),
        silent=list(dict.fromkeys([*answer.silent, *silent, *(objects["silent"] if objects else [])])),
        **for_rows(request),
    )


def _running(request: Request) -> list[dict[str, Any]] | None:
    """The running requests, the oldest first; None where nobody notes them."""
    flight = telemetry_of(request.registry).flight
    if flight is None:
        return None
    filters = flight_search.Filters(state="running", limit=_MOST_RUNNING)
    answer = flight_search.find(flight, filters, str(getattr(request, "c2c_request_id", "")))
    return sorted(answer["requests"], key=lambda each: str(each["start"]))


def _stacks(texts: Texts) -> tuple[list[dict[str, Any]], list[str]]:
    """The stacks of all processes, those that work before those that wait, and who did not answer."""
    replies = broadcast.ask(_STACKS, timeout=_PATIENCE)
    here = {**stacks_here(), "hostname": socket.gethostname(), "pid": os.getpid()}
    answers = [each for each in replies.answers if _is_answer(each)] or [here]
    groups: list[dict[str, Any]] = []
    for group in grouped(answers):
        frames = group["frames"]
        if frames and frames[-1].get("function") == stacks_here.__name__:
            continue  # a thread that answers this very question
        groups.append(
            {
                "threads": [texts.line(name, 120) for name in group["threads"]],
                "idle": not frames or str(frames[-1].get("function")) in _IDLE,
                "depth": len(frames),
                "top": texts.line(_place(frames[-1]), 160) if frames else "",
                "lines": texts.cut("\n".join(_lines(frames)), 20_000),
            }
        )
    groups.sort(key=lambda group: (group["idle"], -group["depth"]))
    return groups, list(replies.silent)


def _is_answer(answer: Any) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("threads"), list):
        return False
    return {"hostname", "pid"} <= answer.keys() and all(
        isinstance(thread, dict) and {"name", "ident", "frames"} <= thread.keys() for thread in answer["threads"]
    )


def _place(frame: Mapping[str, Any]) -> str:
    return f"{frame.get('function')}, {frame.get('file')}:{frame.get('line')}"


def _lines(frames: list[Mapping[str, Any]]) -> list[str]:
    lines = []
    for frame in reversed(frames):
        lines.append(_place(frame))
        if frame.get("code"):
            lines.append(f"    {frame['code']}")
    return lines
