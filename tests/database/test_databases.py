"""The servers themselves do what other tests rely on."""

from __future__ import annotations

import signal

import psycopg
import pytest
import redis

from tests.servers.databases import PostgresPair, Statement, Valkey

pytestmark = pytest.mark.server


def test_the_log_of_postgresql_has_application_names(postgres: PostgresPair) -> None:
    name = "printable | ASCII: 'x'"
    with psycopg.connect(postgres.replica.dsn(), application_name=name, autocommit=True) as connection:
        connection.execute("SELECT 1\n     , %s", (2,))
    assert postgres.replica.statements()[-1] == Statement(name, "SELECT 1\n     , $1")


def test_the_replica_follows_a_master_that_crashed(postgres: PostgresPair) -> None:
    postgres.master.query("CREATE TABLE crashed ()")
    postgres.master.stop(signal.SIGKILL)
    postgres.master.start()
    postgres.master.query("DROP TABLE crashed")
    postgres.wait_replicated()
    assert postgres.replica.query("SELECT to_regclass('crashed')") == [(None,)]


def test_valkey_speaks_as_redis(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"
