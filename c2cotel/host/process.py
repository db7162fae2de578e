"""The identity of a process: a pid alone is none, as it is given again."""

from __future__ import annotations

import os
from pathlib import Path


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since the host did; None if there is no such process, or it is a zombie.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, fields 3 and 22
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the command before it may hold anything
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def own_name() -> str:
    """This process in names of files: its pid and its start time."""
    pid = os.getpid()
    return f"{pid}-{start_time(pid) or 0}"


def is_alive(name: str) -> bool:
    """Whether the process that `own_name` named so still runs."""
    pid, _, started = name.partition("-")
    return pid.isdigit() and started.isdigit() and start_time(int(pid)) == int(started)
