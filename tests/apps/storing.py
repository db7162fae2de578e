"""Programs that write into a store or note requests: ``python -m tests.apps.storing {what} {folder} …``."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from c2cotel.host.records import Record
from c2cotel.host.running import Running, claim
from c2cotel.host.store import Store
from tests.servers.local import ROOT


def a_record(number: int, **values: Any) -> Record:
    """A record that differs from others by its number."""
    defaults: dict[str, Any] = {
        "id": f"request-{number:06}",
        "trace_id": f"{number:032x}",
        "kept": ("failed",),
        "path": f"/things/{number}",
        "route": "thing",
        "status": 500,
        "start": 1_700_000_000.0 + number,
        "duration_ms": float(number),
        "pid": os.getpid(),
    }
    return Record(**{**defaults, **values})


def a_large_record(number: int, size: int, **values: Any) -> Record:
    """A record with a text that cannot be compressed to less than `size` bytes."""
    return a_record(number, attributes={"text": os.urandom(size).hex()}, **values)


def program(what: str, folder: Path, *arguments: object, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start one of the programs of this module."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "tests.apps.storing", what, str(folder), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[list[str], list[str]]:
    """The lines of a process that ends by itself, and those that it logged."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines(), [line for line in err.splitlines() if line.startswith(("WARNING", "INFO", "ERROR"))]


def write(store: Store, first: str, count: str) -> None:
    for number in range(int(first), int(first) + int(count), 5):
        store.write([a_record(each) for each in range(number, min(number + 5, int(first) + int(count)))])
    sys.stdout.write(f"{store.lost}\n")


def flood(store: Store, first: str, count: str) -> None:
    for number in range(int(first), int(first) + int(count), 3):
        store.write([a_large_record(each, 50_000, route=f"route{each % 7}") for each in range(number, number + 3)])


def write_and_wait(store: Store, count: str) -> None:
    store.write([a_record(number) for number in range(int(count))])
    sys.stdout.write("written\n")
    sys.stdout.flush()
    time.sleep(60)


def write_until_full(store: Store, limit: str) -> None:
    """With files limited to `limit` bytes, or on a small disk if it is 0; free again when a line comes in."""
    if limit != "0":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    ballast = Path(sys.argv[2]) / "ballast"
    for number in range(200):
        store.write([a_large_record(number, 30_000)])
    sys.stdout.write(f"{store.lost}\n")
    if limit != "0":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ballast.unlink(missing_ok=True)
    store.write([a_record(1000)])
    sys.stdout.write(f"{len(store.get('request-001000'))}\n")


def write_without_right(store: Store) -> None:
    if os.getuid() == 0:
        os.setresuid(65534, 65534, 65534)
    else:
        Path(sys.argv[2]).chmod(0o500)
    store.write([a_record(1), a_record(2)])
    store.write([a_record(3)])
    sys.stdout.write(f"{store.lost} {store.find()} {Running(Path(sys.argv[2])).begin(1, 1.0, 'a', '', 'GET', '/')}\n")


def fork(store: Store) -> None:
    store.write([a_record(1)])
    pids = []
    for number in range(2, 6):
        pids.append(os.fork())
        if not pids[-1]:
            store.write([a_record(number), a_record(number + 10)])
            os._exit(store.lost + 2 - len(store.get(f"request-{number:06}") + store.get(f"request-{number + 10:06}")))
        store.write([a_record(number + 20)])
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    store.write([a_record(30)])
    sys.stdout.write(f"{sum(statuses)} {store.lost} {len(store.find()[0])}\n")


def fork_while_writing(store: Store) -> None:
    """Fork while another thread writes."""
    stop = threading.Event()

    def go_on() -> None:
        number = 1000
        while not stop.is_set():
            number += 1
            store.write([a_record(number)])

    thread = threading.Thread(target=go_on)
    thread.start()
    statuses = []
    for number in range(20):
        if not (pid := os.fork()):
            store.write([a_record(number)])
            os._exit(store.lost)
        statuses.append(os.waitpid(pid, 0)[1])
    stop.set()
    thread.join()
    sys.stdout.write(f"{sum(statuses)} {store.lost} {sum(bool(store.get(f'request-{n:06}')) for n in range(20))}\n")


def run_requests(running: Running) -> None:
    running.doing(running.begin(7, 2.0, "second", "", "POST", "/b", "b"), "SELECT 1")
    running.begin(8, 1.0, "first", "ab" * 16, "GET", "/a")
    running.end(running.begin(9, 3.0, "third", "", "GET", "/c"))
    sys.stdout.write("running\n")
    sys.stdout.flush()
    time.sleep(60)


def fork_requests(running: Running) -> None:
    slot = running.begin(1, 1.0, "of the parent", "", "GET", "/")
    if not (pid := os.fork()):
        running.end(slot)
        for number in range(3):
            running.begin(1, 2.0 + number, f"of the child {number}", "", "GET", "/")
        sys.stdout.write("running\n")
        sys.stdout.flush()
        time.sleep(60)
    os.waitpid(pid, 0)


def change_requests(running: Running) -> None:
    """Begin and end requests without a pause, each of one letter."""
    sys.stdout.write("running\n")
    sys.stdout.flush()
    while True:
        for letter in "abcdefgh":
            slot = running.begin(ord(letter), 1.0, letter * 40, letter * 32, letter * 5, letter * 150, letter * 60)
            running.doing(slot, letter * 100)
            running.end(slot)


def claim_all(running: Running) -> None:
    sys.stdout.write(f"{sum(len(claim(Path(sys.argv[2]))) for _ in range(20))}\n")


def fill_the_disk(running: Running) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    sys.stdout.write(f"{running.begin(1, 1.0, 'a', '', 'GET', '/')} {running.begin(1, 1.0, 'a', '', 'GET', '/')}\n")


def main(what: str, folder: str, *arguments: str) -> None:
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    action = globals()[what]
    if what in {"run_requests", "fork_requests", "change_requests", "claim_all", "fill_the_disk"}:
        action(Running(Path(folder)))
    else:
        size, *others = arguments
        action(Store(Path(folder) / "store.sqlite", int(size)), *others)


if __name__ == "__main__":
    main(*sys.argv[1:])
