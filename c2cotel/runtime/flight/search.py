"""Requests of all processes, running or kept, by filters and by id."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from c2cotel import broadcast
from c2cotel.host.records import Record, whole
from c2cotel.runtime.flight.one_host import (
    SLOT_ID,
    Filters,
    Flight,
    Part,
    Position,
    cursor_of,
    has_id,
    parts_of,
    position_of,
    processes_of,
    running_records,
    slot_has_id,
)

__all__ = ["Filters", "Flight", "find", "find_several", "get", "has_id", "position_of", "serve"]

_FIND = "c2c_requests_find"
_GET = "c2c_requests_get"

_PATIENCE = 2.0
"""Seconds that processes of other hosts, or the one that answers a request, have to tell what they have."""

_MOST_RECORDS = 20
"""Whole records of one id; each may have megabytes once it is unpacked."""


def find(flight: Flight, filters: Filters, without: str = "") -> dict[str, Any]:
    """Requests of all processes, the running ones first, then the newest first.

    Args:
        flight: The flight recorder of this process.
        filters: Which requests.
        without: Id of the request that asks; it is not among the running ones.

    Returns:
        `requests`, entries as the contract has them, those that run with `doing`, the call in progress; `next`, the
        cursor of the next ones, or None; `processes`, whose requests these are, and which did not answer.

    Raises:
        ValueError: The cursor is none.
    """
    return find_several(flight, [filters], without)[0]


def find_several(flight: Flight, searches: Sequence[Filters], without: str = "") -> list[dict[str, Any]]:
    """The answers of several searches at the price of one broadcast; see `find`."""
    positions = [position_of(each.cursor) for each in searches]
    processes = processes_of(flight)
    parts = [[part] for part in parts_of(flight, searches, without)]
    if broadcast.store() is not None:
        asked = {"asker": flight.host, "searches": [asdict(each) for each in searches]}
        replies = broadcast.ask(_FIND, asked, timeout=_PATIENCE)
        answers = [each for each in replies.answers if isinstance(each, dict)]
        for answer in answers:
            for those, part in zip(parts, answer.get("parts", ()), strict=False):
                those.append(Part(**part))
            processes += answer.get("processes", ())
        processes = _with_silent(processes, answers, replies.answers.count(None))
    return [
        {**_merge(each, position, those), "processes": processes}
        for each, position, those in zip(searches, positions, parts, strict=True)
    ]


def get(flight: Flight, id: str) -> list[dict[str, Any]]:  # noqa: A002
    """The whole records with a request id or trace id, also of running requests; the newest first, at most 20."""
    slots = [record for record in running_records(flight) if slot_has_id(record, id)]
    records = [*map(whole, flight.live(id)), *map(whole, _stored(flight, id))]
    if broadcast.store() is not None or any(each.pid != os.getpid() and each.state == "running" for each in slots):
        replies = broadcast.ask(_GET, {"asker": flight.host, "id": id}, timeout=_PATIENCE)
        for answer in replies.answers:
            if isinstance(answer, dict):
                records += answer.get("records", ())
    # What a request's own process tells is more than its slot.
    unique = _unique([*records, *map(whole, slots)])
    return sorted(unique, key=_start, reverse=True)[:_MOST_RECORDS]


def serve(flight: Flight) -> Callable[[], None]:
    """Answer the searches of other processes; returns what ends that."""

    def answer_find(asker: str, searches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        if asker == flight.host:
            return {"host": flight.host}
        parts = [asdict(part) for part in parts_of(flight, [Filters(**each) for each in searches])]
        return {"host": flight.host, "parts": parts, "processes": processes_of(flight)}

    def answer_get(asker: str, id: str) -> dict[str, Any]:  # noqa: A002
        records = flight.live(id)
        if asker != flight.host:
            records += _stored(flight, id)
            records += [record for record in running_records(flight) if slot_has_id(record, id)]
        return {"host": flight.host, "records": list(map(whole, records))}

    handlers: dict[str, Callable[..., Any]] = {_FIND: answer_find, _GET: answer_get}
    for channel, handler in handlers.items():
        broadcast.subscribe(channel, handler)

    def undo() -> None:
        for channel in handlers:
            broadcast.unsubscribe(channel)

    return undo


def _stored(flight: Flight, id: str) -> list[Record]:  # noqa: A002
    store = flight.store
    return [] if store is None else store.get(id, limit=_MOST_RECORDS)


def _merge(filters: Filters, position: Position, parts: Sequence[Part]) -> dict[str, Any]:
    """One page out of what each host has."""
    parts = list({part.host: part for part in reversed(parts)}.values())[::-1]  # several processes answer for a host
    done = {_attempt(entry) for part in parts for entry in part.kept}
    waiting = _unique(entry for part in parts for entry in part.running if _attempt(entry) not in done)
    waiting.sort(key=_start, reverse=True)
    skipped = len(waiting) if position.running is None else position.running
    page = waiting[skipped : skipped + filters.limit]
    more_run = skipped + len(page) < len(waiting)
    following = replace(position, running=skipped + len(page) if more_run else None)
    page, hosts = _fill(page, filters.limit, parts)
    more = more_run or bool(hosts)
    return {"requests": page, "next": cursor_of(replace(following, hosts=hosts)) if more else None}


def _fill(
    page: list[dict[str, Any]], limit: int, parts: Sequence[Part]
) -> tuple[list[dict[str, Any]], dict[str, tuple[str, int]]]:
    """The page with kept requests up to the limit, and where each host goes on."""
    page, used, seen = list(page), [0] * len(parts), dict[tuple[Any, ...], int]()
    numbered = ([(entry, number) for entry in part.kept] for number, part in enumerate(parts))
    for entry, number in heapq.merge(*numbered, key=lambda each: _start(each[0]), reverse=True):
        if len(page) >= limit:
            break
        used[number] += 1
        # Two hosts may share a folder, and with it a store.
        if seen.setdefault(_attempt(entry), number) == number:
            page.append(entry)
    hosts: dict[str, tuple[str, int]] = {}
    for part, count in zip(parts, used, strict=True):
        if count < len(part.kept):
            hosts[part.host] = (part.start, count)
        elif part.end is not None:
            hosts[part.host] = (part.end, 0)
    return page, hosts


def _unique(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries without the later ones of an attempt, and of one that is done not what it was while it ran."""
    unique: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        key = _attempt(entry)
        if key not in unique or (unique[key]["state"] == "running" and entry["state"] == "done"):
            unique[key] = entry
    return list(unique.values())


def _start(entry: Mapping[str, Any]) -> str:
    start: str = entry["start"]
    return start


def _attempt(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return entry["host"], entry["pid"], entry["id"][:SLOT_ID], entry["start"]


def _with_silent(
    processes: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Any]], silent: int
) -> list[dict[str, Any]]:
    """Each process once, those that did not answer marked; those of which nothing else is known have no name."""
    answered = {(answer.get("host"), answer.get("pid")) for answer in answers}
    listed: list[dict[str, Any]] = []
    for process in {(each["host"], each["pid"]): each for each in processes}.values():
        is_silent = silent > 0 and process["alive"] and (process["host"], process["pid"]) not in answered
        silent -= is_silent
        listed.append({**process, "silent": is_silent})
    return listed + [{"host": None, "pid": None, "alive": True, "running": 0, "silent": True}] * silent
