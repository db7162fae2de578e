"""The machine that tests run on: loopback addresses, free ports, an environment without settings, waiting."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"


def is_setting(name: str) -> bool:
    """Whether an environment variable would change what the code under test does."""
    return name.endswith("_VIEW_SECRET") or name.startswith(("STATSD_", "OTEL_", "C2C_", "STATS_VIEW", "DEVELOPMENT"))


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process under test: this one's without its settings, and `more`."""
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**kept, "no_proxy": f"{HOST},localhost", **(more or {})}


def wait_until(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    """Ask `condition` until it holds; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {timeout:g} s: {what}")
        time.sleep(0.01)


def free_udp_port() -> int:
    """A UDP port at which nothing listens, for now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def free_tcp_port() -> int:
    """A TCP port at which nothing listens, for now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def close_telemetry() -> None:
    """Close what runs in this process, if something does."""
    telemetry = sys.modules.get("c2cotel.runtime.telemetry")
    running = None if telemetry is None else telemetry.running()
    if running is not None:
        running.close()
