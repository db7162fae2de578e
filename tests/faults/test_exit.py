"""A process ends when it wants to, whatever its servers do; what they can still take is sent before."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.servers.client import Load
from tests.servers.gunicorn import Gunicorn
from tests.servers.otlp import OtlpReceiver
from tests.servers.process import Process
from tests.servers.udp import UdpListener

REQUESTS = 20
PATIENCE = 2.0
"""Seconds that we may take."""
MARGIN = 1.0
"""Seconds for Python's and gunicorn's own end, and for a machine that is busy."""

StartProcess = Callable[..., Process]
StartGunicorn = Callable[..., Gunicorn]


def _seconds_to_end(process: Process) -> float:
    assert process.wait() == 0, process.output()
    ended = time.monotonic()
    done = re.search(r"^done ([\d.]+)$", process.output(), re.MULTILINE)
    assert done is not None, process.output()
    return ended - float(done[1])


def test_a_process_ends_at_once_when_its_servers_work(
    start_process: StartProcess, udp_listener: UdpListener, otlp: OtlpReceiver
) -> None:
    env = {"STATSD_ADDRESS": udp_listener.address, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url}
    assert _seconds_to_end(start_process("tests.apps.faults", str(REQUESTS), env=env)) < MARGIN
    udp_listener.settle()
    assert udp_listener.counts() == {"route.GET.hello.200": REQUESTS, "render.GET.hello.200": REQUESTS}
    assert otlp.span_names() == {"GET /hello": REQUESTS, "render json": REQUESTS}
    assert "http.server.request.duration" in otlp.metric_names()


def test_broken_servers_delay_the_end_of_a_process_by_two_seconds(
    start_process: StartProcess, fault: dict[str, str]
) -> None:
    process = start_process("tests.apps.faults", str(REQUESTS), env=fault)
    assert _seconds_to_end(process) < PATIENCE + MARGIN
    assert "Traceback" not in process.output()


def test_so_does_a_name_server_that_does_not_answer(start_process: StartProcess) -> None:
    env = {"STATSD_ADDRESS": "statsd.invalid:8125", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.invalid:4318"}
    process = start_process("tests.apps.faults", str(REQUESTS), "slow-names", env=env)
    assert _seconds_to_end(process) < PATIENCE + MARGIN
    assert "Traceback" not in process.output()


def test_a_hanging_collector_keeps_nothing_from_statsd(
    start_process: StartProcess, udp_listener: UdpListener, otlp: OtlpReceiver
) -> None:
    otlp.delay = 30
    env = {"STATSD_ADDRESS": udp_listener.address, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url}
    assert _seconds_to_end(start_process("tests.apps.faults", str(REQUESTS), env=env)) < PATIENCE + MARGIN
    udp_listener.settle()
    assert udp_listener.counts() == {"route.GET.hello.200": REQUESTS, "render.GET.hello.200": REQUESTS}


@pytest.mark.parametrize("fault", ["absent", "slow"], indirect=True)
def test_broken_servers_delay_workers_and_master_by_two_seconds(gunicorn: StartGunicorn, fault: dict[str, str]) -> None:
    server = gunicorn("tests.apps.faults:under_gunicorn()", preload=True, env=fault)
    load = Load(lambda _: f"{server.url}/hello", range(REQUESTS)).start().join()
    assert len(load.answers) == REQUESTS
    # The master has log records of its own to send, after its workers, and gunicorn looks only once a second.
    assert server.terminate() < 2 * PATIENCE + MARGIN + 1
    assert "Traceback" not in server.output()
