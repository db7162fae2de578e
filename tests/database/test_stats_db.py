"""`c2cotel stats-db` on PostgreSQL (contract, section 10)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.databases import PostgresPair
from tests.servers.local import environment, free_tcp_port
from tests.servers.otlp import OtlpReceiver
from tests.servers.udp import UdpListener

pytestmark = pytest.mark.server

COMMAND = [str(Path(sys.executable).with_name("c2cotel")), "stats-db"]


@pytest.fixture
def shop(postgres: PostgresPair) -> Iterator[str]:
    """A schema whose names need quotes, a table that its user may not read; gives that user's URL."""
    postgres.master.query(
        'CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."or""der" AS SELECT generate_series(1, 1000) AS n;'
        'CREATE TABLE "My Shop".hidden (n int); CREATE VIEW "My Shop".view AS SELECT 1;'
        "CREATE ROLE counter LOGIN; "
        'GRANT USAGE ON SCHEMA "My Shop" TO counter; GRANT SELECT ON "My Shop"."or""der" TO counter'
    )
    yield postgres.master.dsn("postgresql+psycopg2").replace("postgres@", "counter@", 1)
    postgres.master.query('DROP SCHEMA "My Shop" CASCADE; DROP ROLE counter')


def call(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(env), capture_output=True, text=True, timeout=60, check=False
    )


def test_rows_and_sizes_go_to_statsd_and_otlp_and_an_error_is_counted(
    shop: str, postgres: PostgresPair, udp_listener: UdpListener, otlp: OtlpReceiver
) -> None:
    done = call(
        "--db", shop, "--schema", "My Shop", "--extra", "SELECT 'of.all', count(*) FROM \"My Shop\".\"or\"\"der\"",
        STATSD_ADDRESS=udp_listener.address, STATSD_PREFIX="shop", OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "The table My Shop.hidden cannot be measured: permission denied for table hidden\n"
    size = postgres.master.query('SELECT pg_total_relation_size(\'"My Shop"."or""der"\')')[0][0]
    udp_listener.settle()
    assert sorted(udp_listener.lines()) == [
        "c2c.count.My_Shop.or_der:1000|g",
        "c2c.count.of.all:1000|g",
        "c2c.error.My_Shop.hidden:1|c",
        f"c2c.size.My_Shop.or_der:{size}|g",
    ]
    assert {'count.My Shop.or"der', 'size.My Shop.or"der'} <= otlp.metric_names(), otlp.metric_names()


def test_a_database_that_is_down_is_counted(udp_listener: UdpListener) -> None:
    url = f"postgresql+psycopg2://u:s3cret@127.0.0.1:{free_tcp_port()}/x"
    done = call("--db", url, "--schema", "public", STATSD_ADDRESS=udp_listener.address)
    assert done.returncode == 1
    assert "The database cannot be reached" in done.stderr
    assert "s3cret" not in done.stderr
    udp_listener.wait_for("c2c.error.connection")
