"""What every test gets, and the servers that a test may ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.servers import Collectd, Gunicorn, OtlpReceiver, Process, StatsdServer, UdpListener, environment, is_setting

settings.register_profile("few", max_examples=20)  # on the other Python versions


def close_telemetry() -> None:
    """Close what runs in this process, if something does."""
    wiring = sys.modules.get("c2cotel.wiring")
    running = None if wiring is None else wiring._running
    if running is not None:
        running.close()


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from outside, and no telemetry left running: tests run in any order."""
    for name in list(filter(is_setting, os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", environment()["no_proxy"])
    yield
    close_telemetry()


@pytest.fixture
def udp_listener() -> Iterator[UdpListener]:
    """A statsd server that keeps everything."""
    with closing(UdpListener()) as listener:
        yield listener
        close_telemetry()  # while its server is still there


@pytest.fixture
def otlp() -> Iterator[OtlpReceiver]:
    """An OTLP collector."""
    with closing(OtlpReceiver()) as receiver:
        yield receiver
        close_telemetry()  # while its server is still there


@pytest.fixture
def collectd(tmp_path: Path) -> Iterator[Collectd]:
    """Debian's collectd; tests that ask for it carry the mark `collectd`."""
    with closing(Collectd(tmp_path)) as server:
        yield server


@pytest.fixture
def statsd_server(tmp_path: Path) -> Iterator[StatsdServer]:
    """npm's statsd; tests that ask for it carry the mark `server`."""
    with closing(StatsdServer(tmp_path)) as server:
        yield server


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a Python module with arguments: ``start_process("module", "argument", env={...})``."""
    with ExitStack() as stack:

        def start(module: str, *arguments: str, env: dict[str, str] | None = None) -> Process:
            return stack.enter_context(closing(Process([sys.executable, "-m", module, *arguments], tmp_path, env)))

        yield start


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    """Starts an application under gunicorn and waits until it answers; arguments as of `Gunicorn`."""
    with ExitStack() as stack:

        def start(application: str, *options: str, **rest: Any) -> Gunicorn:
            server = stack.enter_context(closing(Gunicorn(application, tmp_path, *options, **rest)))
            server.wait_ready()
            return server

        yield start
