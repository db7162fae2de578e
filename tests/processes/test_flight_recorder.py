"""The flight recorder over all processes of a host (contract, sections 12 and 13)."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from c2cotel.host.records import Record
from c2cotel.host.store import Store
from tests.servers.client import Load, get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until

APPLICATION = "tests.apps.recorded:application()"
REQUESTS = int(os.environ.get("RECORDER_REQUESTS", "8000"))
PLANTED = 50
MEBIBYTE = 2**20

Start = Callable[..., Gunicorn]


@pytest.fixture
def start(gunicorn: Start, tmp_path: Path) -> Start:
    def make(application: str = APPLICATION, **options: Any) -> Gunicorn:
        env = {
            "C2C_FLIGHT_RECORDER": "1",
            "C2C_SLOW": "80ms",
            "C2C_STATE_DIR": str(tmp_path / "state"),
            **options.pop("env", {}),
        }
        server = gunicorn(application, env=env, **options)
        server.wait_ready("/hello")
        return server

    return make


def store(tmp_path: Path) -> Store:
    wait_until(lambda: list(tmp_path.glob("state/*/store.sqlite")), "the store")
    (path,) = tmp_path.glob("state/*/store.sqlite")
    return Store(path, 64 * MEBIBYTE)


def wait_for(kept: Store, request_id: str) -> Record:
    wait_until(lambda: kept.get(request_id), f"the record of {request_id}")
    return kept.get(request_id)[0]


def test_planted_requests_are_found_among_many(start: Start, tmp_path: Path) -> None:
    server = start(
        workers=4,
        env={
            "OTEL_TRACES_EXPORTER": "console",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.01",
        },
    )
    every = REQUESTS // PLANTED

    def url(n: int) -> str:
        if n % every == 1:
            return f"{server.url}/fail?n={n}"
        return f"{server.url}/slow?n={n}" if n % every == 2 else f"{server.url}/hello"

    def memory() -> int:
        return max(psutil.Process(pid).memory_info().rss for pid in server.children())

    Load(url, range(REQUESTS // 10, REQUESTS // 5)).start().join()
    before = memory()
    load = Load(url, range(REQUESTS))
    load.start().join()
    grown = memory() - before
    kept = store(tmp_path)
    for n in range(REQUESTS):
        if n % every in {1, 2}:
            record = wait_for(kept, load.answers[n].request_id)
            assert record.query == f"n={n}"
            assert record.kept == (("failed",) if n % every == 1 else ("slow",))
            assert record.spans
            assert record.logs
    assert grown < 16 * MEBIBYTE
    server.terminate()


def test_a_flood_of_failures_keeps_memory_and_folder_small(start: Start, tmp_path: Path) -> None:
    server = start(workers=1, env={"C2C_FLIGHT_RECORDER_SIZE": "8MiB"})

    def url(n: int) -> str:
        return f"{server.url}/fail?n={n}&log=50000"

    Load(url, range(100)).start().join()
    (pid,) = server.children()
    before = psutil.Process(pid).memory_info().rss
    load = Load(url, range(1500))
    load.start().join()
    grown = psutil.Process(pid).memory_info().rss - before
    size = sum(file.stat().st_size for file in (tmp_path / "state").rglob("*") if file.is_file())
    assert wait_for(store(tmp_path), load.answers[1499].request_id).error
    assert grown < 16 * MEBIBYTE
    assert size < 12 * MEBIBYTE


def test_a_killed_worker_loses_nothing_older_than_a_second(start: Start, tmp_path: Path) -> None:
    server = start(workers=1)
    answer = get(f"{server.url}/fail?n=7")
    assert answer is not None
    time.sleep(1)
    assert get(f"{server.url}/die") is None
    assert store(tmp_path).get(answer.request_id)


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_a_worker_that_ends_in_order_loses_nothing(start: Start, tmp_path: Path, preload: bool) -> None:
    server = start(workers=2, preload=preload)
    answers = [get(f"{server.url}/fail?n={n}") for n in range(10)]
    server.terminate()
    kept = store(tmp_path)
    assert all(answer is not None and kept.get(answer.request_id) for answer in answers)
    assert list((tmp_path / "state").glob("*/running/*")) == []


def test_recycled_workers_lose_nothing(start: Start, tmp_path: Path) -> None:
    server = start(workers=2, max_requests=20)
    load = Load(lambda n: f"{server.url}/fail?n={n}", range(150))
    load.start().join()
    kept = store(tmp_path)
    for answer in load.answers.values():
        wait_for(kept, answer.request_id)


def test_a_fork_in_a_request_does_no_harm(start: Start, tmp_path: Path) -> None:
    server = start(workers=1, env={"C2C_SLOW": "0"})
    kept = store(tmp_path)
    for _ in range(5):
        answer = get(f"{server.url}/fork")
        assert answer is not None
        wait_for(kept, answer.request_id)
    assert len(kept.find(route="fork")[0]) == 5


def test_two_services_in_one_folder_do_not_meet(start: Start, gunicorn: Start, tmp_path: Path) -> None:
    one = start(env={"OTEL_SERVICE_NAME": "one"}, workers=1)
    two = start(env={"OTEL_SERVICE_NAME": "two"}, workers=1)
    for server in (one, two):
        assert get(f"{server.url}/fail?n=1") is not None
        server.terminate()
    stores = {
        path.parent.name.partition("-")[0]: Store(path, MEBIBYTE) for path in tmp_path.glob("state/*/store.sqlite")
    }
    assert sorted(stores) == ["one", "two"]
    for kept in stores.values():
        assert len(kept.find(state="failed")[0]) == 1


def test_a_copied_folder_of_another_host_is_taken_over(start: Start, tmp_path: Path) -> None:
    server = start(workers=1)
    answer = get(f"{server.url}/fail?n=1")
    assert answer is not None
    wait_for(store(tmp_path), answer.request_id)
    (folder,) = (tmp_path / "state").iterdir()
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("calls"))
    server.terminate()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    folder.chmod(0o700)
    again = start(workers=1)
    wait_for(store(tmp_path), answer.request_id)
    second = get(f"{again.url}/fail?n=2")
    assert second is not None
    wait_for(store(tmp_path), second.request_id)


def test_a_stopped_worker_does_not_keep_others_from_writing(start: Start, tmp_path: Path) -> None:
    server = start(workers=2)
    victim = min(server.children())
    os.kill(victim, signal.SIGSTOP)
    try:
        answers = [answer for n in range(20) if (answer := get(f"{server.url}/fail?n={n}", timeout=0.5))]
        assert answers
        kept = store(tmp_path)
        for answer in answers:
            wait_for(kept, answer.request_id)
    finally:
        os.kill(victim, signal.SIGCONT)
