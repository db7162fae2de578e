"""Requests that run too long, and processes that end with requests in progress (contract, section 15)."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from c2cotel.host.store import Store
from tests.apps.application import Application, view
from tests.servers.client import Load, get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.udp import UdpListener

APPLICATION = "tests.apps.recorded:application()"

Start = Callable[..., Gunicorn]


@pytest.fixture
def start(gunicorn: Start, tmp_path: Path) -> Start:
    def make(*options: str, **rest: Any) -> Gunicorn:
        env = {
            "C2C_FLIGHT_RECORDER": "1",
            "C2C_STALL_TIMEOUT": "1s",
            "C2C_STATE_DIR": str(tmp_path / "state"),
            **rest.pop("env", {}),
        }
        server = gunicorn(APPLICATION, *options, env=env, **rest)
        server.wait_ready("/hello")
        return server

    return make


def store(tmp_path: Path) -> Store:
    wait_until(lambda: list(tmp_path.glob("state/*/store.sqlite")), "the store")
    (path,) = tmp_path.glob("state/*/store.sqlite")
    return Store(path, 2**26)


def lines(server: Gunicorn, logger: str) -> list[dict[str, Any]]:
    return [event for event in server.events() if event.get("logger_name", event.get("logger")) == logger]


def stalls(server: Gunicorn) -> list[dict[str, Any]]:
    return lines(server, "c2cotel.stalls")


def deaths(server: Gunicorn) -> list[dict[str, Any]]:
    return lines(server, "c2cotel.deaths")


def in_background(url: str) -> threading.Thread:
    thread = threading.Thread(target=get, args=(url,), daemon=True)
    thread.start()
    return thread


def test_a_sleeping_request_is_told_with_its_stack(start: Start, tmp_path: Path) -> None:
    server = start(workers=1)
    answer = get(f"{server.url}/slow?n=7&seconds=3.5")
    assert answer is not None
    first, second = stalls(server)
    assert first["msg"].startswith(f"GET /slow (route slow, request {answer.request_id}) has been running for 1 s")
    assert "has been running for 2 s" in second["msg"]
    assert "time.sleep(float(" in first["full_message"]
    assert first["level_name"] == "WARNING"
    assert first["request_id"] == answer.request_id
    wait_until(lambda: store(tmp_path).get(answer.request_id)[0].state == "done", "the record of the end")
    (record,) = store(tmp_path).get(answer.request_id)
    assert record.kept == ("stalled", "slow")
    assert len(record.stacks) >= 3
    assert record.stacks[0]["frames"][-1]["function"] == "_slow"
    assert record.profile is not None
    assert record.profile["samples"] > 10


def test_a_stalled_request_has_a_record_while_it_runs(start: Start, tmp_path: Path) -> None:
    server = start(workers=1)
    thread = in_background(f"{server.url}/slow?n=7&seconds=4")
    wait_until(lambda: stalls(server), "a stall")
    request_id = stalls(server)[0]["request_id"]
    wait_until(lambda: store(tmp_path).get(request_id), "its record")
    assert store(tmp_path).get(request_id)[0].state == "running"
    thread.join()


def test_requests_within_their_time_are_not_told(start: Start) -> None:
    server = start(workers=2)
    load = Load(lambda n: f"{server.url}/slow?n={n}&seconds=0.8", range(30), clients=6)
    load.start().join()
    assert len(load.answers) == 30
    assert stalls(server) == []
    assert deaths(server) == []


def test_a_held_interpreter_is_told_by_another_process(start: Start, tmp_path: Path) -> None:
    server = start(workers=2)
    wait_until(
        lambda: len(list(tmp_path.glob("state/*/running/*.run"))) == 2 or get(f"{server.url}/hello") is None, "2"
    )
    in_background(f"{server.url}/regex?n=27")

    def still() -> list[dict[str, Any]]:
        return [line for line in stalls(server) if "stood still for at least 1 s" in line["msg"]]

    wait_until(still, "a stall", 30)
    line = still()[0]
    assert "GET /regex" in line["msg"]
    assert "in _regex" in line["full_message"]
    assert line["pid" if "pid" in line else "process"] != line["stalled_process"]


def test_the_first_request_of_a_process_may_hold_its_interpreter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    monkeypatch.setenv("C2C_STALL_TIMEOUT", "100ms")

    def hold(_: Request) -> Any:
        return {"match": bool(re.match(r"(a+)+$", "a" * 25 + "b"))}

    app = Application(configure=view(hold, renderer="json"))
    app.http.get("/hello")

    def told() -> list[str]:
        return [str(record.stack_info) for record in caplog.records if "stood still" in record.getMessage()]

    wait_until(told, "the stacks that were written meanwhile")
    assert "in hold" in "".join(told())


def test_children_of_a_process_that_is_watched_work_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    monkeypatch.setenv("C2C_STALL_TIMEOUT", "30s")

    def by_fork(_: Request) -> Any:
        child = os.fork()
        if not child:
            code = 1
            with suppress(BaseException):
                app.http.get("/ask")
                time.sleep(1.2)  # two looks
                code = 0 if app.telemetry.flush(5) else 2
            os._exit(code)
        return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

    def by_multiprocessing(_: Request) -> Any:
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.1,))
        child.start()
        child.join(20)
        code = child.exitcode
        child.kill()
        return {"code": code}

    def configure(config: Configurator) -> None:
        for function in (by_fork, by_multiprocessing, ask):
            config.add_route(function.__name__, f"/{function.__name__}")
            config.add_view(function, route_name=function.__name__, renderer="json")

    def ask(_: Request) -> Any:
        return {}

    app = Application(configure=configure)
    app.http.get("/ask")
    for _ in range(3):
        assert app.http.get("/by_multiprocessing").json == {"code": 0}
        assert app.http.get("/by_fork").json == {"code": 0}


def test_workers_of_a_preloaded_application_that_has_answered_work(start: Start) -> None:
    server = start(workers=2, preload=True, env={"C2C_STALL_TIMEOUT": "30s"})
    for _ in range(2):
        os.kill(min(server.children()), signal.SIGKILL)
        wait_until(lambda: len(server.children()) == 2, "another worker")
        load = Load(lambda n: f"{server.url}/hello?n={n}", range(40)).start().join()
        assert len(load.answers) == 40


def test_a_killed_worker_is_told_once_with_its_requests(start: Start, tmp_path: Path) -> None:
    server = start(workers=3)
    thread = in_background(f"{server.url}/slow?n=7&seconds=20")
    wait_until(lambda: len(stalls(server)) > 1, "a second line of the stall")
    stalled = stalls(server)[0]
    os.kill(int(stalled["pid" if "pid" in stalled else "process"]), signal.SIGKILL)
    wait_until(lambda: deaths(server), "a death", 15)
    thread.join()
    (line,) = deaths(server)
    assert line["level_name"] == "ERROR"
    assert f"GET /slow (request {stalled['request_id']}, " in line["msg"]
    kept = store(tmp_path)
    wait_until(lambda: kept.find(state="died")[0], "its record")
    (record,) = kept.get(stalled["request_id"])
    assert record.kept == ("stalled", "died")
    assert record.stacks
    assert record.logs
    assert (record.state, record.status) == ("done", None)


def test_the_only_worker_is_told_by_its_successor(start: Start) -> None:
    server = start(workers=1)
    assert get(f"{server.url}/die") is None
    wait_until(lambda: get(f"{server.url}/hello") and deaths(server), "a death", 15)
    (line,) = deaths(server)
    assert "ended with 1 request in progress" in line["msg"]
    assert "GET /die" in line["msg"]


def test_gunicorns_timeout_is_told_with_the_stack(start: Start, tmp_path: Path) -> None:
    server = start("--timeout", "2", workers=1, worker_class="sync", threads=1, env={"C2C_STALL_TIMEOUT": "0"})
    answer = get(f"{server.url}/slow?n=7&seconds=30")
    assert answer is None or answer.status == 500
    wait_until(lambda: deaths(server), "a death", 15)
    (line,) = deaths(server)
    assert "(gunicorn's timeout): GET /slow" in line["msg"]
    wait_until(lambda: store(tmp_path).find(state="died")[0], "its record")
    (entry,) = store(tmp_path).find(state="died")[0]
    (record,) = store(tmp_path).get(entry["id"])
    assert any(frame["function"] == "_slow" for frame in record.stacks[-1]["frames"])


def test_stalls_are_told_without_the_recorder(start: Start, tmp_path: Path) -> None:
    server = start(workers=1, env={"C2C_FLIGHT_RECORDER": "0"})
    assert get(f"{server.url}/slow?n=7&seconds=1.8") is not None
    assert len(stalls(server)) == 1
    assert list(tmp_path.glob("state/*/store.sqlite")) == []


def test_one_stuck_thread_of_four_is_told_while_others_answer(start: Start) -> None:
    server = start(workers=1, threads=4)
    thread = in_background(f"{server.url}/slow?n=7&seconds=2.6")
    answers = 0
    while thread.is_alive():
        answers += get(f"{server.url}/hello") is not None
    assert answers > 5
    assert "has been running for 1 s" in stalls(server)[0]["msg"]


def test_a_statement_that_waits_is_named_as_the_call(gunicorn: Start, service: dict[str, str]) -> None:
    env = {**service, "C2C_FLIGHT_RECORDER": "1", "C2C_STALL_TIMEOUT": "1s"}
    server = gunicorn("tests.apps.operated:application()", env=env, workers=1)
    server.wait_ready("/hello")
    thread = in_background(f"{server.url}/sql?q=SELECT+pg_sleep(3)")
    wait_until(lambda: stalls(server), "a stall")
    (line, *_) = stalls(server)
    assert "GET /sql (route sql, request " in line["msg"]
    assert ", now in SELECT" in line["msg"]
    assert "pg_sleep(3)" in line["call"]
    assert "cursor.execute" in line["full_message"]
    thread.join()
    assert [each["msg"] for each in stalls(server) if "running for 1 s" in each["msg"]] == [line["msg"]]


def test_a_lock_of_python_is_told_with_its_line(start: Start) -> None:
    server = start(workers=1)
    assert get(f"{server.url}/lock") is not None
    line = stalls(server)[0]
    assert "GET /lock (route lock, " in line["msg"]
    assert "_LOCK.acquire(timeout=3)" in line["full_message"]


def test_a_redis_that_does_not_answer_is_the_call(start: Start) -> None:
    server = start(workers=1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert get(f"{server.url}/redis?port={silent.getsockname()[1]}") is not None
    line = stalls(server)[0]
    assert "GET /redis" in line["msg"]
    assert "in _redis" in line["full_message"]


def test_a_lack_of_memory_is_a_failed_request(start: Start, tmp_path: Path) -> None:
    server = start(workers=1)
    answer = get(f"{server.url}/memory")
    assert answer is not None
    assert answer.status == 500
    wait_until(lambda: store(tmp_path).get(answer.request_id), "its record")
    (record,) = store(tmp_path).get(answer.request_id)
    assert record.error is not None
    assert record.error["type"] == "MemoryError"
    assert get(f"{server.url}/hello") is not None
    assert deaths(server) == []


def test_queue_time_is_what_clients_waited_beyond_the_service(start: Start, udp_listener: UdpListener) -> None:
    server = start(workers=1, threads=2, env={"STATSD_ADDRESS": udp_listener.address, "C2C_SLOW": "30s"})
    waited: list[float] = []

    def run() -> None:
        begun = time.time()
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
        headers = {"X-Request-Start": f"t={begun:.6f}", "Connection": "close"}
        connection.request("GET", "/slow?n=1&seconds=0.5", headers=headers)
        connection.getresponse().read()
        waited.append(time.time() - begun)

    threads = [threading.Thread(target=run) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.terminate()
    udp_listener.settle()

    def total(name: str) -> float:
        return sum(float(line.partition(":")[2].partition("|")[0]) for line in udp_listener.lines() if name in line)

    queue, service, clients = total("queue:"), total("route.GET.slow.200:"), sum(waited) * 1000
    assert queue == pytest.approx(clients - service, rel=0.05)
