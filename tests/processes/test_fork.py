"""A fork at any moment: no child inherits a lock or a value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
