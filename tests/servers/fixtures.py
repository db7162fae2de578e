"""The servers that a test may ask for by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.apps.database import Hellos
from tests.servers.collectd import Collectd
from tests.servers.databases import PostgresPair, Valkey, postgres_pair
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import close_telemetry
from tests.servers.otlp import OtlpReceiver
from tests.servers.process import Process
from tests.servers.statsd import StatsdServer
from tests.servers.udp import UdpListener


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresPair]:
    """PostgreSQL: a master and its streaming replica."""
    with postgres_pair() as pair:
        yield pair


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Redis-compatible server."""
    with closing(Valkey(tmp_path_factory.mktemp("valkey"))) as server:
        yield server


@pytest.fixture(scope="session")
def hello_table(postgres: PostgresPair) -> PostgresPair:
    """Both servers, with the table of `tests.apps.database.Hello`."""
    postgres.master.query("CREATE TABLE hello (id serial PRIMARY KEY, value text NOT NULL)")
    postgres.wait_replicated()
    return postgres


@pytest.fixture
def start(hello_table: PostgresPair) -> Iterator[Callable[..., Hellos]]:
    """Makes applications on both servers; arguments as of `Hellos`."""
    with ExitStack() as stack:

        def make(driver: str = "psycopg2", **arguments: Any) -> Hellos:
            scheme = f"postgresql+{driver}"
            master, replica = hello_table.master.dsn(scheme), hello_table.replica.dsn(scheme)
            return stack.enter_context(closing(Hellos(master, replica, **arguments)))

        yield make


@pytest.fixture
def hellos(start: Callable[..., Hellos]) -> Hellos:
    """An application on both servers."""
    return start()


@pytest.fixture
def service(hello_table: PostgresPair, valkey: Valkey) -> dict[str, str]:
    """Settings of one service."""
    return {
        "OPERATING_DB": hello_table.master.dsn("postgresql+psycopg2"),
        "C2C_BASE_PATH": "/c2c",
        "C2C_SECRET": "secret",
        "C2C_LOG_VIEW_ENABLED": "1",
        "C2C_SQL_PROFILER_ENABLED": "1",
        "C2C_DEBUG_VIEW_ENABLED": "1",
        "STATS_VIEW": "1",
        "C2C_REDIS_URL": valkey.url,
        "C2C_BROADCAST_PREFIX": f"operating_{uuid4().hex}_",
    }
