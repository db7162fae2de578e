"""The requests of several processes in any of them, also of one that hangs or was killed (contract, section 13)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from c2cotel import broadcast
from c2cotel.broadcast import Replies
from c2cotel.host.store import Store
from c2cotel.plugin import flight_search
from tests.apps.storing import a_record
from tests.servers.client import get
from tests.servers.databases import Valkey
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until

pytestmark = pytest.mark.server

APPLICATION = "tests.apps.shop:application()"
ENV = {"C2C_BASE_PATH": "/c2c", "C2C_SECRET": "secret", "C2C_FLIGHT_RECORDER": "1"}


def ask(server: Gunicorn, path: str, **parameters: Any) -> Any:
    answer = get(f"{server.url}/c2c{path}?{urlencode({'secret': 'secret', **parameters})}")
    assert answer is not None
    return answer.json()


def running(server: Gunicorn) -> list[Any]:
    requests = ask(server, "/requests.json", state="running")["requests"]
    return [entry for entry in requests if entry["path"] == "/wait"]


@pytest.fixture
def waiting(gunicorn: Callable[..., Gunicorn]) -> tuple[Gunicorn, Any]:
    """Three workers, and a request that one of them works on."""
    server = gunicorn(APPLICATION, env=ENV, workers=3)
    client = threading.Thread(target=get, args=(f"{server.url}/wait?s=60",), daemon=True)
    client.start()
    wait_until(lambda: running(server), "the request runs")
    (entry,) = running(server)
    return server, entry


def test_a_running_request_is_asked_of_its_worker(waiting: tuple[Gunicorn, Any]) -> None:
    server, entry = waiting
    for _ in range(6):
        record = ask(server, f"/requests/{entry['id']}.json")
        assert (record["pid"], record["state"]) == (entry["pid"], "running")
        assert [log["message"] for log in record["logs"]] == ["a report begins"]


def test_a_request_of_a_worker_that_hangs_is_shown_from_its_slot(waiting: tuple[Gunicorn, Any]) -> None:
    server, entry = waiting
    os.kill(entry["pid"], signal.SIGSTOP)
    try:
        record = ask(server, f"/requests/{entry['id']}.json")
        assert (record["state"], record["path"], record["logs"]) == ("running", "/wait", [])
        assert record["reason"].startswith("its process did not answer")
        assert entry["id"] in [each["id"] for each in running(server)]
    finally:
        os.kill(entry["pid"], signal.SIGCONT)


def test_every_worker_shows_what_another_has_kept(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn(APPLICATION, env=ENV, workers=3)
    answer = get(f"{server.url}/order")
    assert answer is not None
    assert answer.status == 500
    wait_until(lambda: ask(server, "/requests.json", q=answer.request_id)["requests"], "it is kept")
    for _ in range(6):
        record = ask(server, f"/requests/{answer.request_id}.json")
        assert record["error"]["type"].endswith("OperationalError")
        assert record["sql"]["n"] >= 13
    assert len({each["pid"] for each in ask(server, "/requests.json")["processes"] if each["alive"]}) >= 1


def test_with_redis_a_silent_process_is_named(valkey: Valkey, gunicorn: Callable[..., Gunicorn]) -> None:
    env = {**ENV, "C2C_REDIS_URL": valkey.url, "C2C_BROADCAST_PREFIX": f"requests_{uuid4().hex}_"}
    server = gunicorn(APPLICATION, env=env, workers=2)

    def processes() -> list[Any]:
        listed: list[Any] = ask(server, "/requests.json")["processes"]
        return listed

    wait_until(lambda: len(processes()) == 2, "both workers have worked")
    assert not any(each["silent"] for each in processes())
    answering = next(each["pid"] for each in running_processes(processes()))
    os.kill(answering, signal.SIGSTOP)
    try:
        silent = [each for each in processes() if each["silent"]]
        assert [each["pid"] for each in silent] == [answering]
    finally:
        os.kill(answering, signal.SIGCONT)


def running_processes(processes: list[Any]) -> list[Any]:
    """The processes but the one that answered."""
    return [each for each in processes if not each["running"]] or processes


class Host:
    """A host with a flight recorder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.host = name
        self.folder = folder / name
        self.folder.mkdir()
        self.store = Store(self.folder / "store.sqlite", 4 * 1024 * 1024)

    def running_folder(self) -> Path | None:
        return None

    def live(self, id: str) -> list[Any]:  # noqa: A002
        return []


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Host]:
    """Three hosts; the last two have two processes that answer."""
    hosts = [Host(name, tmp_path) for name in ("here", "there", "elsewhere")]

    def ask_all(channel: str, params: Any = None, timeout: float = 10) -> Replies:
        answers: list[Any] = []
        for host in [*hosts, *hosts[1:]]:
            flight_search.serve(host)
            answers += broadcast.broadcast(channel, params, expect_answers=True) or []
        return Replies([*answers, None], ["a process of some host"])

    monkeypatch.setattr(broadcast, "ask", ask_all)
    monkeypatch.setattr(broadcast, "store", object)
    return hosts


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
def test_the_requests_of_all_hosts_are_one_list(hosts: list[Host], limit: int) -> None:
    for number in range(20):
        host = hosts[number * number % 3]
        host.store.write([a_record(number, host=host.host, pid=number % 2)])
    hosts[1].store.write([a_record(30, host="before it had another name", start=1_700_000_005.5)])
    ids: list[str] = []
    filters = flight_search.Filters(limit=limit)
    while True:
        answer = flight_search.find(hosts[0], filters)
        ids += [entry["id"] for entry in answer["requests"]]
        if answer["next"] is None:
            break
        filters = flight_search.Filters(limit=limit, cursor=answer["next"])
    expected = [f"request-{number:06}" for number in range(19, -1, -1)]
    expected.insert(14, "request-000030")
    assert ids == expected
    assert {each["host"] for each in answer["processes"]} == {"here", "there", "elsewhere", None}
    assert [each["host"] for each in answer["processes"] if each["silent"]] == [None]


def test_the_records_of_all_hosts_with_an_id_are_given_once(hosts: list[Host]) -> None:
    for number, host in enumerate(hosts):
        host.store.write([a_record(number, id="same", host=host.host)])
    assert [record["host"] for record in flight_search.get(hosts[0], "same")] == ["elsewhere", "there", "here"]
