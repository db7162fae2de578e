"""Processes of this host that ended with requests in progress, and those whose interpreter stood still."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from c2cotel.host.process import is_alive, own_name
from c2cotel.host.records import Record
from c2cotel.host.running import Process, RunningRequest, claim, read
from c2cotel.runtime.flight.entry import Entry
from c2cotel.runtime.flight.making import shown_path
from c2cotel.runtime.flight.stacks import Frame, read_dump, shown_frames, stack_of_thread
from c2cotel.runtime.flight.stalls import call_in_progress, log_with_stack

_logger = logging.getLogger("c2cotel.deaths")

_CGROUP = Path("/sys/fs/cgroup")
_WAITING = {
    "threading.py",
    "selectors.py",
    "socket.py",
    "queue.py",
    "ssl.py",
    "subprocess.py",
    "thread.py",
    "worker.py",
}
"""Modules of the standard library, and our own, in which threads wait."""


class Deaths:
    """Tells of other processes of the service what they cannot tell themselves; each is told by one process.

    Args:
        folder: Has the running requests and the stacks of all processes.
        host: Name of the host.
        timeout: Seconds that a request may run before it counts as stalled.
        count: Called for each process that died with requests in progress.
    """

    def __init__(self, folder: Path, host: str, timeout: float, count: Callable[[], object]) -> None:
        self._count = count
        self._folder = folder
        self._host = host
        self._timeout = timeout
        self._kills = out_of_memory_kills()

    def look(self) -> list[Record]:
        """Tell what happened since the last look; returns the records of the requests concerned."""
        return [*self._died(), *self._stood_still()]

    def _died(self) -> Iterator[Record]:
        dead = claim(self._folder)
        if not dead:
            return
        kills = out_of_memory_kills()
        reason = ""
        if kills > self._kills:
            self._kills = kills
            reason = "the memory limit of its control group was reached"
        for process in dead:
            file = self._folder / f"{process.pid}-{process.started}.stacks"
            stacks = read_dump(file)
            with suppress(OSError):
                file.unlink()
            if process.requests:
                self._count()
                now = time.time()
                requests = [
                    (each.method, each.path, each.id, now - each.start, each.doing) for each in process.requests
                ]
                _tell(process.pid, requests, reason)
            for request in process.requests:
                yield self._record(process, request, stacks, "died", reason)

    def _stood_still(self) -> Iterator[Record]:
        """Stacks that were written while an interpreter stood still."""
        with suppress(OSError):
            for file in sorted(self._folder.glob("*.stacks")):
                with suppress(OSError):
                    if file.stat().st_size:
                        yield from self._told_once(file)
                    elif not is_alive(file.stem):
                        file.unlink()

    def _told_once(self, file: Path) -> Iterator[Record]:
        process = next((each for each in read(self._folder) if f"{each.pid}-{each.started}" == file.stem), None)
        if process is None and not is_alive(file.stem):
            file.unlink()
            return
        mine = file.with_suffix(f".told-{own_name()}")
        file.rename(mine)  # another process fails here: each is told once
        stacks = read_dump(mine)
        mine.unlink()
        now = time.time()
        requests = [] if process is None else process.requests
        pid = file.stem.partition("-")[0]
        text = f"The interpreter of process {pid} stood still for at least {self._timeout:g} s"
        if requests:
            text += ", with " + "; ".join(
                f"{each.method} {each.path} (request {each.id}, {now - each.start:.0f} s)" for each in requests
            )
        busy = next((stacks[each.thread_id] for each in requests if each.thread_id in stacks), None)
        frames = shown_frames(busy or _busiest(stacks))
        log_with_stack(text, {"stalled_process": int(pid)}, frames)
        if process is not None:
            for request in requests:
                if now - request.start >= self._timeout:
                    yield self._record(process, request, stacks, "stalled", "the interpreter stood still")

    def _record(
        self, process: Process, request: RunningRequest, stacks: dict[int, list[Frame]], kept: str, reason: str
    ) -> Record:
        frames = stacks.get(request.thread_id)
        duration = round((time.time() - request.start) * 1000, 3)
        return Record(
            id=request.id,
            trace_id=request.trace_id,
            kept=(kept,),
            reason=reason,
            state="done" if kept == "died" else "running",
            method=request.method,
            path=request.path,
            route=request.route,
            start=request.start,
            duration_ms=max(0.0, duration),
            host=self._host,
            pid=process.pid,
            thread=str(request.thread_id),
            stacks=[{"ms": duration, "frames": shown_frames(frames)}] if frames else [],
            attributes={"in progress": request.doing} if request.doing else {},
        )


def _busiest(stacks: dict[int, list[Frame]]) -> list[Frame]:
    """The stack that waits least: of the threads of a dump, none says that it runs."""
    working = [frames for frames in stacks.values() if frames and Path(frames[-1][0]).name not in _WAITING]
    return max(working or stacks.values(), key=len, default=[])


def tell_own_death(entries: list[Entry], reason: str) -> None:
    """Tell that this process is about to end, and keep its requests in progress.

    Args:
        entries: The requests.
        reason: Why it ends.
    """
    now = time.time()
    requests = []
    for entry in entries:
        method, path, _ = entry.environ
        frames = shown_frames(stack_of_thread(entry.thread_id))
        age = now - entry.start / 1e9
        entry.kept = (*entry.kept, "died")
        entry.reason = entry.reason or reason
        entry.stacks = [*entry.stacks, {"ms": round(age * 1000, 3), "frames": frames}]
        requests.append((method, shown_path(path), entry.id, age, call_in_progress(entry)))
    if requests:
        _tell(os.getpid(), requests, reason)


def _tell(pid: int, requests: list[tuple[str, str, str, float, str]], reason: str) -> None:
    """Log a death.

    Args:
        pid: Of the process.
        requests: Verb, path, request id, age in seconds and call in progress of each request.
        reason: Why it ended; empty if that is not known.
    """
    shown = "; ".join(
        f"{method} {path} (request {request_id}, {age:.1f} s{f', in {call}' if call else ''})"
        for method, path, request_id, age, call in requests
    )
    _logger.error(
        "Process %d ended with %d request%s in progress (%s): %s",
        pid,
        len(requests),
        "" if len(requests) == 1 else "s",
        reason or "killed, out of memory, or crashed",
        shown,
        extra={"dead_process": pid},
    )


def out_of_memory_kills() -> int:
    """How many processes of this control group were killed for memory; 0 where nobody counts."""
    total = 0
    for file in (_own_group() / "memory.events", _CGROUP / "memory.events"):
        with suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    total = max(total, int(number))
    return total


def _own_group() -> Path:
    with suppress(OSError, IndexError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return _CGROUP / line[3:].lstrip("/")
    return _CGROUP
