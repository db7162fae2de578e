"""Every single measurement reaches the reference server, exactly as it was measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.client import Load
from tests.servers.gunicorn import Gunicorn
from tests.servers.statsd import StatsdServer

_SERIES = 8
_REQUESTS = 400
_TIMERS = 250
"""Of one request; together 100,000."""


def _milliseconds(request: int) -> list[int]:
    """Durations of one request, from 1 ms to 50 s, as unlike each other as they come."""
    return [1 + (request * _TIMERS + n) * 7919 % 50_021 for n in range(_TIMERS)]


@pytest.mark.server
def test_every_one_of_100_000_timers_of_8_threads_arrives_with_its_value(
    statsd_server: StatsdServer, gunicorn: Callable[..., Gunicorn]
) -> None:
    application = gunicorn(
        "tests.apps.measured:scripted()",
        "--limit-request-line=8190",
        workers=1,
        threads=8,
        env={"STATSD_ADDRESS": statsd_server.address},
    )
    urls = [
        f"{application.url}/record?series=s{n % _SERIES}&milliseconds={','.join(map(str, _milliseconds(n)))}"
        for n in range(_REQUESTS)
    ]
    expected: dict[str, list[int]] = {f"known.s{n}": [] for n in range(_SERIES)}
    for n in range(_REQUESTS):
        expected[f"known.s{n % _SERIES}"] += _milliseconds(n)
    assert sum(map(len, expected.values())) == 100_000

    load = Load(urls.__getitem__, range(_REQUESTS), clients=8).start().join()
    assert {answer.status for answer in load.answers.values()} == {200}
    assert len(load.answers) == _REQUESTS
    application.terminate()

    arrived = statsd_server.flush()
    assert arrived["counters"]["statsd.bad_lines_seen"] == 0
    for name, values in expected.items():
        data = arrived["timer_data"][name]
        assert data["count"] == len(values), name
        assert data["sum"] == sum(values), name
        assert data["upper"] == max(values), name
        assert data["lower"] == min(values), name
        assert sorted(arrived["timers"][name]) == sorted(values), name
    assert arrived["timer_data"]["route.GET.record.200"]["count"] == _REQUESTS
