"""The processes that run, by what they wrote last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from c2cotel.host.process import is_alive
from c2cotel.runtime.history.writer import FINE

_SILENT = 3 * FINE
"""Seconds after which a process that lives and has written nothing is silent."""


@dataclass
class Process:
    """A process that runs.

    Args:
        host: Name of its host.
        pid: Its number.
        version: Version of the application.
        start: When it started, seconds since the epoch.
        memory: Bytes.
        running: Requests that it works on.
        threads: Requests that it can work on at once; None where nobody knows.
        rate: Requests a second, over the last minute.
        pool: Connections to databases in use, and how many there may be; None without pools.
        silent: Seconds since it last wrote; None if that is not worth a word.
        memories: Its memory in steps of 10 s, oldest first.
    """

    host: str
    pid: int
    version: str
    start: float
    memory: int | None
    running: int
    threads: int | None
    rate: float
    pool: tuple[int, int] | None
    silent: float | None
    memories: list[int] = field(default_factory=list)


def processes_of(host: str, states: Iterable[tuple[str, int, dict[str, Any]]], now: float) -> list[dict[str, Any]]:
    """The processes of this host that run, as arguments of `Process`.

    Args:
        host: Its name.
        states: What each process has written: its name, the begin of the step, the values; by time.
        now: Seconds since the epoch.
    """
    by_process: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for process, start, state in states:
        by_process.setdefault(process, []).append((start, state))
    processes = []
    for process, rows in by_process.items():
        latest = rows[-1][1]
        at_host, _, name = process.rpartition("/")
        silence = now - latest["at"]
        if not (is_alive(name) if at_host == host else silence < _SILENT):
            continue
        minute = min(60.0, max(1.0, now - latest["start"]))
        recent = sum(state["requests"] for start, state in rows if start > now - 60 - FINE)
        processes.append(
            {
                "host": latest["host"],
                "pid": latest["pid"],
                "version": latest["version"],
                "start": latest["start"],
                "memory": latest["memory"],
                "running": latest["running"],
                "threads": latest.get("threads"),
                "rate": round(recent / (minute + (now % FINE if minute == 60 else 0)), 2),  # noqa: PLR2004  # a minute
                "pool": (latest["pool_used"], latest["pool"]) if "pool" in latest and "pool_used" in latest else None,
                "silent": silence if silence > _SILENT else None,
                "memories": [state["memory"] for _, state in rows if state["memory"]],
            }
        )
    return processes
