"""The operator's views over HTTP: gunicorn with several workers, Redis and PostgreSQL (contract, section 5)."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from tests.servers.client import Load, get
from tests.servers.databases import PostgresPair, Valkey
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.operated import APPLICATION, ask, levels, start

pytestmark = pytest.mark.server


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_a_level_reaches_all_workers_and_those_that_start_later(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str], preload: bool
) -> None:
    ours = start(gunicorn, service, preload=preload)
    other = start(gunicorn, {**service, "C2C_BROADCAST_PREFIX": "other" + service["C2C_BROADCAST_PREFIX"]}, workers=1)
    told = ask(ours, "/logging/level", name="app", level="DEBUG")
    assert told == {"status": 200, "name": "app", "level": "DEBUG", "effective_level": "DEBUG"}
    assert set(levels(ours).values()) == {logging.DEBUG}
    assert set(levels(other, 1).values()) == {logging.NOTSET}
    assert ask(other, "/logging/level") == {"status": 200, "overrides": {}}
    before = ours.children()
    (killed, *_) = levels(ours)
    os.kill(killed, signal.SIGTERM)
    wait_until(lambda: len(ours.children() - before) == 1, "a new worker")
    new = next(iter(ours.children() - before))
    wait_until(lambda: levels(ours).get(new) == logging.DEBUG, "the new worker has the level")
    assert ask(ours, "/logging/level") == {"status": 200, "overrides": {"app": "DEBUG"}}
    ours.terminate()
    again = start(gunicorn, service, preload=preload)
    wait_until(lambda: set(levels(again).values()) == {logging.DEBUG}, "the level is restored at start")


def test_a_level_that_was_missed_is_read_with_the_next_subscription(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str]
) -> None:
    server = start(gunicorn, service)
    ask(server, "/logging/level", name="app", level="DEBUG")
    wait_until(lambda: set(levels(server).values()) == {logging.DEBUG}, "all have the level")
    with redis.Redis.from_url(service["C2C_REDIS_URL"]) as client:
        untyped: Any = client
        [key] = untyped.keys(f"{service['C2C_BROADCAST_PREFIX']}*app")
        untyped.set(key, "ERROR")
        untyped.client_kill_filter(_type="pubsub")
    wait_until(lambda: set(levels(server).values()) == {logging.ERROR}, "what is kept was read again")


def test_a_level_with_an_end_ends_everywhere(gunicorn: Callable[..., Gunicorn], service: dict[str, str]) -> None:
    server = start(gunicorn, service)
    ask(server, "/logging/level", name="app", level="DEBUG", ttl=2)
    assert set(levels(server).values()) == {logging.DEBUG}
    wait_until(lambda: set(levels(server).values()) == {logging.NOTSET}, "the level went back")
    wait_until(lambda: ask(server, "/logging/level") == {"status": 200, "overrides": {}}, "nothing is kept")


def test_stacks_and_memory_of_every_process(gunicorn: Callable[..., Gunicorn], service: dict[str, str]) -> None:
    server = start(gunicorn, service)
    threads = [thread for entry in ask(server, "/debug/stacks") for thread in entry["threads"]]
    assert {int(thread.split("/")[1]) for thread in threads} == server.children()
    for path, key in (("/debug/memory", "most_common_types"), ("/debug/memory_maps", "memory_maps")):
        found = ask(server, path)
        assert {answer["pid"] for answer in found} == server.children()
        assert all(answer[key] for answer in found)


def plans(server: Gunicorn) -> list[dict[str, Any]]:
    """What the profiler logged, but for its being switched."""
    events = [event for event in server.events() if event["logger_name"] == "c2cotel.sql_profiler"]
    return [event for event in events if "is turned" not in event["msg"]]


def test_each_select_is_explained_once_in_every_worker(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str], hello_table: PostgresPair
) -> None:
    server = start(gunicorn, service)

    def everywhere(query: str) -> None:
        for _ in range(12):
            assert get(f"{server.url}/sql?{urlencode({'q': query})}") is not None

    assert ask(server, "/sql_profiler") == {"status": 200, "enabled": False}
    everywhere("SELECT 1 AS off")
    assert plans(server) == []
    assert ask(server, "/sql_profiler", enable=1) == {"status": 200, "enabled": True}
    assert all(ask(server, "/sql_profiler")["enabled"] for _ in range(8)), "in all workers"
    levels(server)
    everywhere("select value from hello where id < :n")
    wait_until(lambda: plans(server), "a plan")
    found = plans(server)
    assert len(found) == len({event["pid"] for event in found}) <= 2, "once in each worker"
    text = found[0]["msg"]
    assert "FROM hello\nWHERE id < %(n)s" in text, "the statement is formatted"
    assert "parameters: {'n': 7}" in text
    assert "Execution Time:" in text, "it was analyzed"
    page = get(f"{server.url}/c2c/sql?secret=secret")
    assert page is not None
    shown = page.body.decode().partition('id="latest-plans"')[2]
    assert shown.count("<details>") == len(found), "those of all workers"
    assert "FROM hello\nWHERE id &lt; %(n)s" in shown
    assert "Execution Time:" in shown
    everywhere("SELECT nothing FROM nowhere")
    assert len(plans(server)) == len(found), "a statement that fails has no plan"
    everywhere("SELECT 1/(count(*) - 1) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    everywhere("SELECT pg_advisory_xact_lock(4711)")
    wait_until(lambda: any("No plan could be made" in event["msg"] for event in plans(server)), "the error is told")
    assert ask(server, "/sql_profiler", enable=0) == {"status": 200, "enabled": False}
    before = len(plans(server))
    everywhere("SELECT 3 AS off_again")
    assert len(plans(server)) == before
    states = hello_table.master.query("SELECT state FROM pg_stat_activity WHERE state LIKE 'idle in%'")
    assert states == [], "the profiler's transactions are rolled back"


def test_a_redis_that_is_away_costs_the_reach_and_not_the_answer(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str], tmp_path: Any
) -> None:
    own = Valkey(tmp_path)
    try:
        server = start(gunicorn, {**service, "C2C_REDIS_URL": own.url})
        own.signal(signal.SIGKILL)
        told = ask(server, "/logging/level", name="app", level="DEBUG")
        assert told == {"status": 200, "name": "app", "level": "DEBUG", "effective_level": "DEBUG"}
        assert isinstance(ask(server, "/logging/level")["overrides"], dict)
        assert len({json.dumps(answer["pid"]) for answer in ask(server, "/debug/memory", limit=1)}) >= 1
    finally:
        own.close()


@pytest.mark.parametrize("redis_url", [True, False], ids=["redis", "this host"])
def test_a_stopped_worker_and_twelve_clients_stop_no_service(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str], redis_url: bool
) -> None:
    env = service if redis_url else {**service, "C2C_REDIS_URL": ""}
    server = gunicorn(APPLICATION, "--timeout", "600", env=env, workers=3)
    url = f"{server.url}/c2c/stats.json?scope=all"

    def processes() -> Any:
        answer = get(url)
        return answer is not None and answer.json()["processes"]

    wait_until(lambda: processes() == {"answered": 3, "silent": 0}, "all workers answer")
    stopped = server.children().pop()
    os.kill(stopped, signal.SIGSTOP)
    try:
        clients = Load(lambda _: url, range(12), clients=12).start()
        start = time.monotonic()
        assert get(f"{server.url}/hello") is not None
        waited = time.monotonic() - start
        clients.join()
        assert len(clients.answers) == 12
        assert waited < 5, "twelve requests wait a second or two for the stopped process, and hold four threads each"
        assert time.monotonic() - start < 10
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_a_worker_that_hears_of_no_level_is_named(gunicorn: Callable[..., Gunicorn], service: dict[str, str]) -> None:
    server = gunicorn(APPLICATION, "--timeout", "600", env={**service, "C2C_REDIS_URL": ""}, workers=2)
    levels(server)
    stopped = server.children().pop()
    os.kill(stopped, signal.SIGSTOP)
    try:
        outcome = ask(server, "/logging/level", name="app", level="DEBUG")
        assert outcome["silent"] == [f"{socket.gethostname()}/{stopped}"]
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: set(levels(server).values()) == {logging.DEBUG}, "it has heard it late")
    assert "silent" not in ask(server, "/logging/level", name="app", level="INFO")


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_the_totals_of_all_workers_are_one(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str], preload: bool
) -> None:
    server = start(gunicorn, service, preload=preload)
    levels(server)
    ask(server, "/stats.json", scope="all", reset=1)
    for _ in range(30):
        assert get(f"{server.url}/hello") is not None
    found = ask(server, "/stats.json", scope="all", reset=1)
    assert found["processes"] == {"answered": 2, "silent": 0}
    assert found["timers"]["route/GET/hello/200"]["nb"] == 30
    assert "route/GET/hello/200" not in ask(server, "/stats.json", scope="all")["timers"], "all were reset"
