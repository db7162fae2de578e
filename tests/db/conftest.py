"""The servers of these tests: one of each for the whole session, started when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from uuid import uuid4

import pytest

from tests.databases import PostgresPair, Valkey, postgres_pair
from tests.db.application import Hellos


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
    """Both servers, with the table of `tests.db.application.Hello`."""
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
