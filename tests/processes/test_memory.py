"""However many requests come, the memory they need is given back."""

from __future__ import annotations

from collections.abc import Callable

from tests.servers.process import Process
from tests.servers.udp import UdpListener

EARLY, LATE = 100_000, 500_000
"""Requests; `make bench` measures a million of them, which would take the tests a minute and a half."""
MIB = 2**20


def test_half_a_million_requests_leave_at_most_two_mebibytes_behind(
    start_process: Callable[..., Process], udp_listener: UdpListener
) -> None:
    process = start_process("tests.apps.memory", str(EARLY), str(LATE), env={"STATSD_ADDRESS": udp_listener.address})
    assert process.wait(300) == 0, process.output()
    early, late = map(int, process.output().split()[-2:])
    assert late - early < 2 * MIB, f"{early / MIB:.1f} MiB, then {late / MIB:.1f} MiB"
