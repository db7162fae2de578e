"""What a real Prometheus makes of `/metrics` and of the alert rules (contract, section 17)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from c2cotel.cli import main
from tests.servers.client import Load, get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver
from tests.servers.prometheus import Prometheus, promtool

pytestmark = [pytest.mark.server, pytest.mark.prometheus]

COUNT = 'http_server_request_duration_seconds_count{http_route="/hello"}'


@pytest.fixture
def server(gunicorn: Callable[..., Gunicorn], tmp_path: Path, otlp: OtlpReceiver) -> Gunicorn:
    """Four workers that are recycled, with traces and the flight recorder."""
    env = {
        "C2C_BASE_PATH": "/c2c",
        "C2C_SECRET": "secret",
        "C2C_METRICS_VIEW_ENABLED": "1",
        "C2C_FLIGHT_RECORDER": "1",
        "C2C_STATE_DIR": str(tmp_path / "state"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
    }
    server = gunicorn("tests.apps.recorded:application()", env=env, workers=4, max_requests=150)
    server.wait_ready("/hello")
    return server


@pytest.fixture
def prometheus(tmp_path: Path, server: Gunicorn) -> Iterator[Prometheus]:
    with closing(Prometheus(tmp_path, server.url.partition("//")[2])) as started:
        yield started


def test_no_counter_falls_and_the_sum_is_that_of_the_clients(prometheus: Prometheus, server: Gunicorn) -> None:
    wait_until(lambda: prometheus.value(COUNT) is not None, "the first scrape", 20)
    before = prometheus.value(COUNT)
    assert before is not None
    load = Load(lambda _: f"{server.url}/hello", range(800)).start()
    time.sleep(1)
    os.kill(min(server.children()), signal.SIGKILL)
    load.join()
    answered = len([answer for answer in load.answers.values() if answer.status == 200])

    def scraped() -> float:
        return (prometheus.value(f"sum({COUNT})") or 0) - before

    wait_until(lambda: scraped() >= answered - 150, f"nearly all of {answered} requests", 20)
    time.sleep(1)
    assert answered - 150 <= scraped() <= 800, "but for the last second of the killed worker"
    for name in prometheus.ask("label/__name__/values"):
        if name.endswith(("_total", "_count", "_bucket", "_sum")):
            fallen = prometheus.ask("query", query=f"resets({name}[5m]) > 0")["result"]
            assert fallen == [], name
    assert prometheus.value('max_over_time(up{job="shop"}[1m])') == 1


def test_exemplars_lead_to_records(prometheus: Prometheus, server: Gunicorn) -> None:
    get(f"{server.url}/fail?n=1")

    def exemplars() -> list[str]:
        now = time.time()
        series = prometheus.ask(
            "query_exemplars",
            query='http_server_request_duration_seconds_bucket{http_route="/fail"}',
            start=now - 60,
            end=now + 60,
        )
        return [each["labels"]["trace_id"] for one in series for each in one["exemplars"]]

    wait_until(exemplars, "an exemplar", 20)
    (trace_id,) = set(exemplars())

    def record() -> bool:
        answer = get(f"{server.url}/c2c/requests/{trace_id}.json?secret=secret")
        return answer is not None and answer.status == 200 and answer.json()["error"]["message"] == "failure 1"

    wait_until(record, "the record of its request")


def test_promtool_finds_nothing_wrong_with_the_metrics(server: Gunicorn) -> None:
    for path in ("/hello", "/fail?n=1", "/slow?n=1", "/nowhere"):
        get(server.url + path)
    answer = get(f"{server.url}/c2c/metrics")
    assert answer is not None
    assert promtool("check", "metrics", given=answer.body.decode()) == ""


def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
    ini = tmp_path / "app.ini"
    ini.write_text("[app:main]\npaste.app_factory = tests.unit.test_dashboard:application\n")
    rules = tmp_path / "rules.json"
    arguments = ["dashboard", "--config", str(ini), "--output", str(tmp_path / "board.json"), "--alerts", str(rules)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert promtool("check", "rules", str(rules)) == ""
