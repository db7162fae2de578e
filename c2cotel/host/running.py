"""The requests in progress of each process, in a file that others can read while it hangs and after it was killed."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import re
import struct
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from c2cotel.delivery.forks import forks
from c2cotel.host.process import is_alive, own_name

_logger = logging.getLogger(__name__)

SLOT = 512
"""Bytes of a slot, and of the head of the file."""

_FIELDS = struct.Struct("<158sQd64s32s16s64s160sxB")
"""What is in progress, thread, start, request id, trace id, verb, route, path, and whether the slot is in use.

The last byte is written last when a request begins, and alone when it ends.
"""

_IN_USE = SLOT - 1
_DOING = struct.Struct("<158s")
_ROUTE = struct.Struct("<64s")
_ROUTE_AT = struct.calcsize("<158sQd64s32s16s")
_HEAD = struct.Struct("<8sQQQ")
_MAGIC = b"c2crun1\n"
_OFFSET = 0xFFFFFFFF
_PROCESS_SHIFT = 32
_READS = 3
_NAME = re.compile(r"(?P<pid>\d+)-(?P<started>\d+)(?:\.claimed-(?P<by>\d+)-(?P<by_started>\d+))?\.(?:run|tmp)")


@dataclass(frozen=True)
class RunningRequest:
    """A request in progress.

    Args:
        thread_id: As `threading.get_ident` gives it.
        start: Wall clock, seconds since the epoch.
        id: The request id, its first 64 bytes.
        trace_id: The trace id.
        method: The HTTP verb.
        path: The path, its first 160 bytes.
        route: Name of the route, its first 64 bytes.
        doing: The call in progress, its first 158 bytes; empty if there is none.
    """

    thread_id: int
    start: float
    id: str
    trace_id: str
    method: str
    path: str
    route: str
    doing: str


@dataclass(frozen=True)
class Process:
    """A process and what it works on.

    Args:
        pid: Its id.
        started: Its start in clock ticks since the host's, which tells it from a later process with the same id.
        alive: Whether it still runs.
        requests: Its requests in progress, the oldest first; of a dead process those that died with it.
    """

    pid: int
    started: int
    alive: bool
    requests: list[RunningRequest]


class Running:
    """The requests in progress of this process. Its file is made when the first request begins, in a forked child anew.

    If it cannot be made, that is logged once, and `begin` returns -1 for good. Only the first `begin` takes a lock.

    Args:
        folder: Where the files of all processes are; it must exist.
        slots: Number of requests in progress that are noted; others get -1.
    """

    def __init__(self, folder: Path, slots: int = 256) -> None:
        self._folder = folder
        self._slots = slots
        self._process = 0
        self._free: deque[int]
        self._map: mmap.mmap | bytearray
        self._file: Path | None
        self._reset()
        forks.watch(self)

    def begin(
        self, thread_id: int, start: float, request_id: str, trace_id: str, verb: str, path: str, route: str = ""
    ) -> int:
        """Note a request, with arguments as in `RunningRequest`; returns its slot, or -1 if there is none left."""
        try:
            slot = self._free.pop()
        except IndexError:
            slot = self._first_slot()
            if slot < 0:
                return -1
        try:
            _FIELDS.pack_into(
                self._map,
                slot & _OFFSET,
                b"",
                thread_id,
                start,
                request_id.encode(),
                trace_id.encode(),
                verb.encode(),
                route.encode(),
                path.encode(),
                1,
            )
        except UnicodeEncodeError:
            texts = [each.encode("utf-8", "replace") for each in (request_id, trace_id, verb, route, path)]
            _FIELDS.pack_into(self._map, slot & _OFFSET, b"", thread_id, start, *texts, 1)
        return slot

    def route(self, slot: int, name: str) -> None:
        """Note the route of a request, once it is clear."""
        if slot >= 0 and slot >> _PROCESS_SHIFT == self._process:
            _ROUTE.pack_into(self._map, (slot & _OFFSET) + _ROUTE_AT, name.encode("utf-8", "replace"))

    def doing(self, slot: int, text: str) -> None:
        """Note the call in progress of a request, or with an empty text that it ended."""
        if slot >= 0 and slot >> _PROCESS_SHIFT == self._process:
            _DOING.pack_into(self._map, slot & _OFFSET, text.encode("utf-8", "replace"))

    def end(self, slot: int) -> None:
        """Note the end of a request; a slot of the parent of a forked child, or one that ended, is left alone."""
        if slot >= 0 and slot >> _PROCESS_SHIFT == self._process:
            place = (slot & _OFFSET) + _IN_USE
            if self._map[place]:
                self._map[place] = 0
                self._free.append(slot)

    def close(self) -> None:
        """Remove the file: the process ends in order."""
        forks.ignore(self)
        self._failed = True
        self._free = deque()  # but the map stays, a thread may be about to write into it
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink()

    def before_fork(self) -> None:
        """Nothing."""

    def after_fork(self) -> None:
        """In the child: forget the parent's file."""
        failed = self._failed
        self._reset()
        self._failed = failed

    def _reset(self) -> None:
        self._process += 1
        self._free = deque()
        self._map = bytearray()
        self._file = None
        self._failed = False
        self._making = threading.Lock()

    def _first_slot(self) -> int:
        """Make the file, unless that was done or has failed; returns a slot, or -1."""
        if self._unmade():
            with self._making:
                if self._unmade():
                    try:
                        self._make()
                    except OSError as error:
                        self._failed = True
                        message = "Requests in progress cannot be noted in %s (%s); they are not shown (logged once)"
                        _logger.warning(message, self._folder, error)
        try:
            return self._free.pop()
        except IndexError:
            return -1

    def _unmade(self) -> bool:
        return self._file is None and not self._failed

    def _make(self) -> None:
        pid = os.getpid()
        name = own_name()
        new, file = self._folder / f"{name}.tmp", self._folder / f"{name}.run"
        size = SLOT * (self._slots + 1)
        handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Reserved now: on a disk that is full later, a write into the map would end the process with SIGBUS.
            os.posix_fallocate(handle, 0, size)
            self._map = mmap.mmap(handle, size)
            _HEAD.pack_into(self._map, 0, _MAGIC, SLOT, self._slots, pid)
            new.rename(file)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        finally:
            os.close(handle)
        first = self._process << _PROCESS_SHIFT
        self._free.extend(first | SLOT * number for number in range(self._slots, 0, -1))
        self._file = file


def read(folder: Path) -> list[Process]:
    """The processes of a folder that were not claimed, living and dead, with their requests in progress."""
    return [
        Process(int(name["pid"]), int(name["started"]), is_alive(f"{name['pid']}-{name['started']}"), _requests(file))
        for file, name in _files(folder)
        if file.suffix == ".run" and name["by"] is None
    ]


def claim(folder: Path) -> list[Process]:
    """The dead processes of a folder, whose files are removed: each is returned to one caller on the host."""
    claimed = []
    for file, name in _files(folder):
        owner, claimer = f"{name['pid']}-{name['started']}", f"{name['by']}-{name['by_started']}"
        if is_alive(owner) or is_alive(claimer):
            continue
        mine = folder / f"{owner}.claimed-{own_name()}{file.suffix}"
        with contextlib.suppress(OSError):  # another process was first
            file.rename(mine)
            requests = _requests(mine)
            mine.unlink()
            if file.suffix == ".run":
                claimed.append(Process(int(name["pid"]), int(name["started"]), alive=False, requests=requests))
    return claimed


def _files(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return
    for file in files:
        if name := _NAME.fullmatch(file.name):
            yield file, name


def _requests(file: Path) -> list[RunningRequest]:
    """The requests of a file; those that change while they are read are read again."""
    slots: dict[int, bytes] = {}
    unstable: set[int] | None = None
    try:
        before = file.read_bytes()
        for _ in range(_READS):
            after = file.read_bytes()
            if after[: len(_MAGIC)] != _MAGIC or len(after) != len(before) or len(after) % SLOT:
                return []
            places = range(SLOT, len(after), SLOT) if unstable is None else unstable
            unstable = set()
            for place in places:
                slot = after[place : place + SLOT]
                if slot == before[place : place + SLOT]:
                    slots[place] = slot
                else:
                    unstable.add(place)
            if not unstable:
                break
            before = after
    except OSError:
        return []
    return sorted((_request(slot) for slot in slots.values() if slot[_IN_USE]), key=lambda request: request.start)


def _request(slot: bytes) -> RunningRequest:
    doing, thread_id, start, request_id, trace_id, verb, route, path, _ = _FIELDS.unpack(slot)
    texts = (each.rstrip(b"\0").decode("utf-8", "ignore") for each in (request_id, trace_id, verb, path, route, doing))
    return RunningRequest(thread_id, start, *texts)
