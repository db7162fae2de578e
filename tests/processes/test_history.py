"""The history of several processes: all that is lost is the last second of a killed one (contract, section 17)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.client import get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until

pytestmark = pytest.mark.server

APPLICATION = "tests.apps.shop:application()"
ENV = {"C2C_BASE_PATH": "/c2c", "C2C_SECRET": "secret"}


def ask(server: Gunicorn, page: str, window: str = "15m") -> Any:
    answer = get(f"{server.url}/c2c/{page}.json?secret=secret&window={window}")
    assert answer is not None
    assert answer.status == 200, answer.body
    return answer.json()


def started(gunicorn: Callable[..., Gunicorn], **options: Any) -> tuple[Gunicorn, int]:
    """A server, and the number of requests that it counts already: those that asked whether it is there."""
    server = gunicorn(APPLICATION, env=ENV, **options)
    wait_until(lambda: ask(server, "overview")["processes"], "a worker has written")
    time.sleep(1.5)
    return server, totals(server)[0]


def totals(server: Gunicorn, window: str = "15m") -> tuple[int, int]:
    """Requests and failed ones of all processes."""
    series = ask(server, "overview", window)["series"]
    return sum(series["requests"]), sum(series["failed"])


class Clients:
    """Clients that ask without a pause, each on its own, and count what was answered, with the time."""

    def __init__(self, server: Gunicorn, number: int = 4) -> None:
        self.answered: list[tuple[float, int]] = []
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(each,), daemon=True) for each in range(number)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, number: int) -> None:
        path = "/order" if number == 0 else "/book"
        while not self._stop.is_set():
            answer = get(self._server.url + path)
            if answer is not None:
                self.answered.append((time.time(), answer.status))


@pytest.mark.parametrize("window", ["15m", "24h"])
def test_totals_equal_the_clients_though_a_worker_is_killed(gunicorn: Callable[..., Gunicorn], window: str) -> None:
    server, before = started(gunicorn, workers=4)
    clients = Clients(server)
    wait_until(lambda: len(ask(server, "overview")["processes"]) == 4, "all workers have written")
    victim = min(server.children())
    killed = time.time()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(clients.answered) > 400, "there is load after the kill, too")
    clients.stop()
    answered = len(clients.answered)
    failed = sum(status >= 500 for _, status in clients.answered)
    # What the victim may not have written: no more than everybody answered in about the second before.
    lost = sum(killed - 2 < moment <= killed + 0.1 for moment, _ in clients.answered)
    wait_until(lambda: totals(server, window)[0] >= before + answered - lost, "what is left is written")
    wait_until(lambda: len(ask(server, "overview")["processes"]) == 4, "the successor has written")
    time.sleep(1.5)
    requests, failures = totals(server, window)
    assert answered - lost <= requests - before <= answered + 4
    assert failures <= failed + 1
    assert victim not in [each["pid"] for each in ask(server, "overview")["processes"]]


def test_the_last_second_before_sigterm_is_written(gunicorn: Callable[..., Gunicorn]) -> None:
    server, before = started(gunicorn, workers=2)
    for _ in range(40):
        assert get(f"{server.url}/book") is not None
    for pid in server.children():
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: totals(server)[0] == before + 40, "nothing is lost")
    assert totals(server, "24h")[0] == before + 40


def test_workers_forked_from_a_loaded_application_write_their_own(gunicorn: Callable[..., Gunicorn]) -> None:
    server, before = started(gunicorn, workers=3, preload=True)
    for _ in range(60):
        assert get(f"{server.url}/book") is not None
    wait_until(lambda: totals(server)[0] == before + 60, "each request counts once")
    wait_until(lambda: len(ask(server, "overview")["processes"]) == 3, "the master is no process that answers")
    assert {each["threads"] for each in ask(server, "overview")["processes"]} == {4}


def test_nobody_who_looks_costs_next_to_nothing(gunicorn: Callable[..., Gunicorn]) -> None:
    server, before = started(gunicorn, workers=2)
    for _ in range(20):
        assert get(f"{server.url}/book") is not None
    wait_until(lambda: totals(server)[0] == before + 20, "they are written")
    pids = server.children()

    def seconds() -> float:
        ticks = 0
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    begin, spent = time.monotonic(), seconds()
    time.sleep(12)
    # 0.5 % of a core for each process, what gunicorn itself does included.
    assert (seconds() - spent) / (time.monotonic() - begin) / len(pids) < 0.005
