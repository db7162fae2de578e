"""The stacks of all threads of a process, and those of several processes grouped."""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any


def stacks_here() -> dict[str, Any]:
    """The stacks of this process."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    threads = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  # documented, in spite of its name
        frames: list[dict[str, Any]] = []
        current: Any = frame
        while current is not None:
            code = current.f_code
            entry = {"file": code.co_filename, "line": current.f_lineno, "function": code.co_name}
            if line := linecache.getline(code.co_filename, current.f_lineno or 0).strip():
                entry["code"] = line
            frames.append(entry)
            current = current.f_back
        threads.append({"name": names.get(ident, "?"), "ident": ident, "frames": frames[::-1]})
    return {"threads": threads}


def grouped(answers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stacks of several processes; threads with the same one are together."""
    groups: dict[str, dict[str, Any]] = {}
    for answer in answers:
        for thread in answer["threads"]:
            together = groups.setdefault(repr(thread["frames"]), {"threads": [], "frames": thread["frames"]})
            thread_id = f"{answer['hostname']}/{answer['pid']}/{thread['name']}({thread['ident']})"
            together["threads"].append(thread_id)
    for together in groups.values():
        together["threads"].sort()
    return sorted(groups.values(), key=lambda together: (-len(together["threads"]), together["threads"]))
