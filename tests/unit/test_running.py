"""Requests in progress, as other processes see them: of the living, the hanging and the killed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from c2cotel.host.process import start_time
from c2cotel.host.running import Process, Running, RunningRequest, claim, read
from tests.apps.storing import outcome, program
from tests.servers.local import ROOT, wait_until

NOBODY = 2**22 - 1
"""No process has this id."""


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path, slots=4)


def begin(running: Running, name: str, start: float = 1.0) -> int:
    return running.begin(1, start, name, "", "GET", f"/{name}")


def names(folder: Path) -> list[str]:
    return [request.id for process in read(folder) for request in process.requests]


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stdout.readline() == "running\n"


def test_a_request_is_seen_until_it_ends(running: Running, tmp_path: Path) -> None:
    slot = running.begin(7, 1234.5, "an-id", "ab" * 16, "OPTIONS", "/a", "route-a")
    running.doing(slot, "SELECT 1")
    request = RunningRequest(7, 1234.5, "an-id", "ab" * 16, "OPTIONS", "/a", "route-a", "SELECT 1")
    started = start_time(os.getpid())
    assert started is not None
    assert read(tmp_path) == [Process(os.getpid(), started, alive=True, requests=[request])]
    running.doing(slot, "")
    running.route(slot, "route-b")
    (request,) = read(tmp_path)[0].requests
    assert (request.doing, request.route, request.path) == ("", "route-b", "/a")
    running.end(slot)
    assert names(tmp_path) == []


def test_a_slot_is_used_again_without_what_was_in_it(running: Running, tmp_path: Path) -> None:
    for number in range(20):
        slot = running.begin(1, 1.0, f"request-{number}", "", "DELETE", "/long" * (20 - number), "route")
        running.doing(slot, "a call")
        running.end(slot)
    begin(running, "a")
    assert read(tmp_path)[0].requests == [RunningRequest(1, 1.0, "a", "", "GET", "/a", "", "")]


def test_more_requests_than_slots_are_left_out(running: Running, tmp_path: Path) -> None:
    slots = [begin(running, str(number), float(number)) for number in range(6)]
    assert slots[4:] == [-1, -1]
    assert len(set(slots[:4])) == 4
    running.doing(-1, "a call")
    running.end(-1)
    running.end(slots[1])
    running.end(slots[1])
    assert begin(running, "again", 9.0) >= 0
    assert begin(running, "too many") == -1
    assert names(tmp_path) == ["0", "2", "3", "again"]


def test_long_and_hostile_texts_are_cut_at_characters(running: Running, tmp_path: Path) -> None:
    slot = running.begin(2**64 - 1, 1.0, "é" * 300, "\udcff", "M" * 99, "x" + "é" * 300, "\0r\0o")
    running.doing(slot, "\ud800" + "€" * 400)
    (request,) = read(tmp_path)[0].requests
    assert request.thread_id == 2**64 - 1
    assert request.id == "é" * 32
    assert request.trace_id == "?"
    assert request.method == "M" * 16
    assert request.path == "x" + "é" * 79
    assert request.route == "\0r\0o"
    assert request.doing == "?" + "€" * 52


def test_threads_never_share_a_slot(tmp_path: Path) -> None:
    running = Running(tmp_path, slots=8)
    wrong = []

    def work(name: str) -> None:
        for number in range(2000):
            slot = begin(running, f"{name}{number}")
            if number % 100 == 0 and names(tmp_path).count(f"{name}{number}") != 1:
                wrong.append(number)
            running.end(slot)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    slots = [begin(running, str(number)) for number in range(9)]
    assert len(set(slots)) == 9
    assert slots[-1] == -1


def test_nothing_is_written_before_the_first_request(running: Running, tmp_path: Path) -> None:
    assert not list(tmp_path.iterdir())
    assert read(tmp_path) == claim(tmp_path) == []


def test_only_its_user_reads_the_file(running: Running, tmp_path: Path) -> None:
    begin(running, "a")
    assert [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()] == [0o600]


def test_an_orderly_end_leaves_nothing(running: Running, tmp_path: Path) -> None:
    slot = begin(running, "a")
    running.close()
    assert not list(tmp_path.iterdir())
    assert begin(running, "b") == -1
    running.doing(slot, "a call")
    running.end(slot)
    running.close()
    assert not list(tmp_path.iterdir())


# ---- other processes


def test_a_hanging_process_shows_its_requests(tmp_path: Path) -> None:
    with program("run_requests", tmp_path) as process:
        ready(process)
        process.send_signal(signal.SIGSTOP)
        (seen,) = read(tmp_path)
        assert (seen.pid, seen.alive) == (process.pid, True)
        assert claim(tmp_path) == []
        assert [(each.id, each.thread_id, each.doing) for each in seen.requests] == [
            ("first", 8, ""),
            ("second", 7, "SELECT 1"),
        ]
        process.kill()


def test_a_killed_process_shows_its_requests(tmp_path: Path) -> None:
    with program("run_requests", tmp_path) as process:
        ready(process)
        process.kill()
        # Not reaped yet, and dead all the same.
        wait_until(lambda: not read(tmp_path)[0].alive, "the process to end")
    (seen,) = read(tmp_path)
    assert [each.id for each in seen.requests] == ["first", "second"]
    assert claim(tmp_path) == [seen]
    assert claim(tmp_path) == read(tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_only_one_process_tells_a_death(tmp_path: Path) -> None:
    for number in range(5):
        with program("run_requests", tmp_path) as process:
            ready(process)
            process.kill()
        assert len(read(tmp_path)) == number + 1
    claimers = [program("claim_all", tmp_path) for _ in range(4)]
    assert sum(int(outcome(claimer)[0][0]) for claimer in claimers) == 5
    assert not list(tmp_path.iterdir())


def test_a_claim_that_its_process_did_not_finish_is_taken_over(running: Running, tmp_path: Path) -> None:
    begin(running, "a")
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / f"{NOBODY}-7.claimed-{os.getpid()}-{start_time(os.getpid())}.run")
    assert read(tmp_path) == claim(tmp_path) == []
    next(tmp_path.iterdir()).rename(tmp_path / f"{NOBODY}-7.claimed-{NOBODY}-8.run")
    assert [(each.pid, each.started, [request.id for request in each.requests]) for each in claim(tmp_path)] == [
        (NOBODY, 7, ["a"])
    ]
    assert not list(tmp_path.iterdir())


def test_an_id_given_again_is_another_process(running: Running, tmp_path: Path) -> None:
    begin(running, "a")
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / f"{os.getpid()}-1.run")
    assert [process.alive for process in read(tmp_path)] == [False]
    assert [process.started for process in claim(tmp_path)] == [1]


def test_a_command_with_parentheses_has_a_start_time(tmp_path: Path) -> None:
    command = tmp_path / "a) R 1 (b"
    command.symlink_to("/bin/sleep")
    with subprocess.Popen([command, "60"]) as process:
        wait_until(lambda: b"a) R 1 (b" in Path(f"/proc/{process.pid}/stat").read_bytes(), "the command")
        started = start_time(process.pid)
        process.kill()
        assert started is not None
        assert abs(started - (start_time(os.getpid()) or 0)) < 100 * 3600 * 24 * 365
        assert started >= (start_time(os.getpid()) or 0)
    assert start_time(process.pid) is None
    assert start_time(NOBODY) is None


def test_a_forked_child_has_its_file_alone(tmp_path: Path) -> None:
    with program("fork_requests", tmp_path) as process:
        ready(process)
        parent, child = sorted(read(tmp_path), key=lambda each: each.pid != process.pid)
        assert [each.id for each in parent.requests] == ["of the parent"]
        assert [each.id for each in child.requests] == [f"of the child {number}" for number in range(3)]
        os.kill(child.pid, signal.SIGKILL)
    assert [each.pid for each in claim(tmp_path) if each.requests] == sorted([parent.pid, child.pid])


def test_no_read_mixes_two_requests(tmp_path: Path) -> None:
    with program("change_requests", tmp_path) as process:
        ready(process)
        wait_until(lambda: read(tmp_path), "the file")
        seen = [request for _ in range(300) for each in read(tmp_path) for request in each.requests]
        process.kill()
    for request in seen:
        texts = (request.id, request.trace_id, request.method, request.path, request.route, request.doing)
        assert set("".join(texts)) == {chr(request.thread_id)}


def test_files_of_others_are_left_alone(running: Running, tmp_path: Path) -> None:
    begin(running, "a")
    for name in ("store.sqlite", "1-2.run.old", "x-1.run", f"{NOBODY}.run"):
        (tmp_path / name).write_bytes(b"something")
    for name, data in ((f"{NOBODY}-1.run", b""), (f"{NOBODY}-2.run", b"x" * 5120), (f"{NOBODY}-3.tmp", b"half")):
        (tmp_path / name).write_bytes(data)
    assert names(tmp_path) == ["a"]
    assert [(each.pid, each.started, each.requests) for each in claim(tmp_path)] == [(NOBODY, 1, []), (NOBODY, 2, [])]
    assert len(list(tmp_path.iterdir())) == 5


# ---- trouble


def test_a_folder_that_is_away_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = Running(tmp_path / "nowhere")
    assert [begin(running, "a"), begin(running, "b")] == [-1, -1]
    assert read(tmp_path / "nowhere") == claim(tmp_path / "nowhere") == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "nowhere" in record.getMessage()
    running.close()


def test_a_full_disk_is_one_warning(tmp_path: Path) -> None:
    lines, warnings = outcome(program("fill_the_disk", tmp_path))
    assert lines == ["-1 -1"]
    assert len(warnings) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_vanishes_hurts_no_request(running: Running, tmp_path: Path) -> None:
    slot = begin(running, "a")
    for file in tmp_path.iterdir():
        file.unlink()
    running.doing(slot, "a call")
    running.end(slot)
    assert begin(running, "b") >= 0
    running.close()


def test_the_module_needs_no_setup() -> None:
    code = "import c2cotel.host.running, c2cotel.host.store, threading; assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
