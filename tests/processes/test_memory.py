"""However many requests come, the memory they need is given back."""

from __future__ import annotations

from collections.abc import Callable

from tests.servers.process import Process
from tests.servers.udp import UdpListener

EARLY, LATE = 50_000, 250_000
"""Requests; `make bench` measures a million of them, which would take the tests a minute and a half."""
MIB = 2**20


def test_two_hundred_thousand_requests_leave_at_most_one_mebibyte_behind(
    start_process: Callable[..., Process], udp_listener: UdpListener
) -> None:
    process = start_process("tests.apps.memory", str(EARLY), str(LATE), env={"STATSD_ADDRESS": udp_listener.address})
    assert process.wait(300) == 0, process.output()
    early, late = map(int, process.output().split()[-2:])
    assert late - early < MIB, f"{early / MIB:.1f} MiB, then {late / MIB:.1f} MiB"
