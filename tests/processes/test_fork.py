"""A fork at any moment: no child inherits a lock or a value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.local import HOST, free_tcp_port
from tests.servers.otlp import OtlpReceiver
from tests.servers.process import Process
from tests.servers.udp import UdpListener

FORKS = 40


@pytest.mark.parametrize("with_otlp", [False, True], ids=["statsd", "statsd and OTLP"])
def test_children_forked_during_a_collection_measure_and_send_their_own(
    start_process: Callable[..., Process], udp_listener: UdpListener, otlp: OtlpReceiver, with_otlp: bool
) -> None:
    env = {"STATSD_ADDRESS": udp_listener.address, "STATSD_FLUSH_INTERVAL": "0.0005"}
    if with_otlp:
        env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url, "OTEL_METRIC_EXPORT_INTERVAL": "1"}
    process = start_process("tests.apps.forking", str(FORKS), env=env)
    assert process.wait(60) == 0, process.output()
    assert process.output().split()[-1] == str(FORKS), process.output()
    udp_listener.settle()
    assert udp_listener.counts("child.") == {f"child.{n}": 1 for n in range(FORKS)}
    sums = [int(line.split(":")[1].split("|")[0]) for line in udp_listener.lines() if line.startswith("counter0:")]
    assert sum(sums) == 2 * FORKS, "what the parent counted is sent by the parent alone"


AWAY = "http://127.0.0.1:{refused}"
IMPORTERS = {
    "statsd": {"STATSD_ADDRESS": "{statsd}"},
    "a name": {"STATSD_ADDRESS": "{localhost}"},
    "tcp": {"STATSD_ADDRESS": "tcp://127.0.0.1:{refused}"},
    "otlp": {"OTEL_EXPORTER_OTLP_ENDPOINT": "{otlp}"},
    "json": {"OTEL_EXPORTER_OTLP_ENDPOINT": "{otlp}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
    "grpc": {"OTEL_EXPORTER_OTLP_ENDPOINT": AWAY, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    "json, no collector": {"OTEL_EXPORTER_OTLP_ENDPOINT": AWAY, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
    "json, https": {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:{refused}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
    },
    "no collector": {"OTEL_EXPORTER_OTLP_ENDPOINT": AWAY},
    "flight recorder": {"C2C_FLIGHT_RECORDER": "1", "C2C_STALL_TIMEOUT": "1s", "C2C_METRICS_VIEW_ENABLED": "1"},
    "no Redis": {"C2C_REDIS_URL": "redis://127.0.0.1:{refused}"},
}


def test_no_thread_of_ours_imports_anything(
    start_process: Callable[..., Process], udp_listener: UdpListener, otlp: OtlpReceiver
) -> None:
    """In a child that is forked meanwhile, the import of that module would never end."""
    places = {
        "statsd": udp_listener.address,
        "localhost": udp_listener.address.replace(HOST, "localhost"),
        "otlp": otlp.url,
        "refused": free_tcp_port(),
    }
    processes = {}
    for name, variables in IMPORTERS.items():
        env = {variable: text.format(**places) for variable, text in variables.items()}
        env |= {"OTEL_LOGS_EXPORTER": "otlp"} if "OTEL_EXPORTER_OTLP_ENDPOINT" in env else {}
        processes[name] = start_process("tests.apps.importing", env=env)
    codes = {name: process.wait(60) for name, process in processes.items()}
    assert codes == dict.fromkeys(processes, 0)
    imported = {
        name: process.output().partition("IMPORTED\n")[2].split("\n")[:-1] for name, process in processes.items()
    }
    assert imported == {name: [] for name in processes}
