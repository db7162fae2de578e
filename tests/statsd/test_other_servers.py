"""What servers of other authors, and Graphite behind the reference server, make of our lines."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers.local import HOST, wait_until
from tests.servers.netdata import Netdata
from tests.servers.statsd import StatsdServer
from tests.statsd.everything import measure_everything

pytestmark = pytest.mark.server


class Carbon:
    """Graphite's receiver of lines `path value time`.

    Attributes:
        port: where it listens.
        values: the last value by path.
    """

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="carbon", daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile(encoding="utf-8") as lines:
                for line in lines:
                    path, value, _ = line.split(" ")
                    self.values[path] = float(value)


@pytest.fixture
def carbon() -> Iterator[Carbon]:
    with closing(Carbon()) as receiver:
        yield receiver


def test_graphite_gets_series_with_tags(tmp_path: Path, carbon: Carbon) -> None:
    with closing(StatsdServer(tmp_path, graphite=carbon.port)) as server:
        measure_everything(server.address, "graphite")
        server.flush()
        wait_until(lambda: "stats.gauges.app.load" in carbon.values, "the flush")
    values = carbon.values
    assert values["stats.gauges.app.load"] == -0.75
    assert values["stats.gauges.app.level;of=all"] == -7
    assert values["stats.counters.app.jobs.count"] == 15
    assert values["stats.counters.app.seen.count;of=all"] == 25
    assert values["stats.timers.app.lat.count;of=all"] == 200
    assert values["stats.timers.app.lat.upper;of=all"] == 100
    assert values["stats.counters.statsd.bad_lines_seen.count"] == 0


@pytest.mark.netdata
def test_netdata_shows_gauges_counters_and_timers(tmp_path: Path) -> None:
    with closing(Netdata(tmp_path)) as server:
        measure_everything(server.address, "etsy")
        wait_until(lambda: any(each["gauge"] == -8 for each in server.seconds("app.queue_gauge")), "a gauge", 20)
        wait_until(lambda: any(each["max"] == 100 for each in server.seconds("app.lat.of.all_timer")), "a timer", 20)
        assert any(each["gauge"] == -0.75 for each in server.seconds("app.load_gauge"))
        assert any(each["gauge"] == -7 for each in server.seconds("app.level.of.all_gauge"))
        assert any(each["min"] == 1 for each in server.seconds("app.lat.of.all_timer"))
        counted = sum(each["counter"] for each in server.seconds("app.seen.of.all_counter"))
        assert counted == pytest.approx(25, abs=0.5), "a rate, spread over seconds"
