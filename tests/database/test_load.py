"""Fifty threads at once: nothing is lost, doubled or charged to somebody else, and nothing grows."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import redis
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import Engine, text

from c2cotel.db import create_session
from tests.apps.application import Application
from tests.servers.databases import PostgresPair, Valkey
from tests.servers.udp import UdpListener

pytestmark = pytest.mark.server

THREADS, REQUESTS = 50, 20_000


def test_twenty_thousand_mixed_requests(
    postgres: PostgresPair, valkey: Valkey, udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    postgres.wait_replicated()
    client = redis.Redis.from_url(valkey.url)

    def configure(config: Configurator) -> None:
        pool: dict[str, Any] = {"pool_size": THREADS // 2, "max_overflow": 0, "pool_timeout": 60}
        dsn = "postgresql+psycopg2"
        session = create_session(config, "load", postgres.master.dsn(dsn), postgres.replica.dsn(dsn), **pool)

        def where(request: Request) -> dict[str, Any]:
            replica = session.execute(text("SELECT pg_is_in_recovery()")).scalar()
            client.get("key")
            return {"replica": replica, "id": request.c2c_request_id}

        config.add_route("where", "/where")
        config.add_view(where, route_name="where", renderer="json")

    app = Application(configure=configure)

    def ask(n: int) -> bool:
        verb = "POST" if n % 3 == 0 else "GET"
        request = Request.blank("/where", method=verb, headers={"X-Request-ID": str(n)})
        answer = request.get_response(app.wsgi).json
        return bool(answer == {"replica": verb == "GET", "id": str(n)})

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(ask, range(2_000)))
        gc.collect()
        memory, listeners = psutil.Process(os.getpid()).memory_info().rss, _listeners()
        for start in range(2_000, REQUESTS, 1_000):  # not in one: the pool keeps a future for each
            assert all(threads.map(ask, range(start, start + 1_000)))
    gc.collect()
    assert _listeners() == listeners
    assert psutil.Process(os.getpid()).memory_info().rss - memory < 24 * 2**20
    app.finish()
    client.close()
    udp_listener.settle(0.5)
    posts = len(range(0, REQUESTS, 3))
    found = udp_listener.counts()
    assert {name: n for name, n in found.items() if "pg_is_in_recovery" in name or not name.startswith("sql")} == {
        "route.POST.where.200": posts,
        "render.POST.where.200": posts,
        "route.GET.where.200": REQUESTS - posts,
        "render.GET.where.200": REQUESTS - posts,
        "redis.GET": REQUESTS,
        "sql.SELECT_pg_is_in_recovery__": REQUESTS,
    }


def _listeners() -> int:
    engines = [engine for engine in gc.get_objects() if isinstance(engine, Engine)]
    return sum(len(list(engine.dispatch.before_cursor_execute)) for engine in engines)
