"""One request through everything: SQL, a commit, Redis and a call to the application itself, on real servers."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
import requests
import waitress.server
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import text
from zope.sqlalchemy import mark_changed

from c2cotel.db import create_session
from c2cotel.logs import JsonLogHandler
from tests.apps.application import Application
from tests.servers.databases import PostgresPair, Valkey
from tests.servers.otlp import OtlpReceiver
from tests.servers.udp import UdpListener

pytestmark = pytest.mark.server

REQUEST_ID = "42 is the answer"


class Everything:
    """An application that uses all that is measured, served by a real server."""

    def __init__(self, postgres: PostgresPair, valkey: Valkey, driver: str) -> None:
        self.log = io.StringIO()
        self._logger = logging.Logger("everything", logging.INFO)  # noqa: LOG001  # not one of the process
        self._logger.addHandler(JsonLogHandler(self.log))
        self._redis = redis.Redis.from_url(valkey.url)
        self._url = postgres.master.dsn(f"postgresql+{driver}")
        self.application = Application({"c2c.stats_view": "1", "c2c.sql_request_id": "1"}, self._configure)
        create: Any = waitress.server.create_server
        self._server: Any = create(self.application.wsgi, host="127.0.0.1", port=0, threads=4)
        self.url = f"http://127.0.0.1:{self._server.effective_port}"
        self.port = self._server.effective_port
        threading.Thread(target=self._server.run, daemon=True).start()

    def _configure(self, config: Configurator) -> None:
        self.session = create_session(config, "everything", self._url)
        config.add_route("outer", "/outer/{n}")
        config.add_route("inner", "/inner")
        config.add_view(self.outer, route_name="outer", renderer="json")
        config.add_view(self.inner, route_name="inner", renderer="json")

    def outer(self, request: Request) -> dict[str, Any]:
        self._logger.info("in the outer view")
        self.session.execute(text("CREATE TEMPORARY TABLE numbers (n INT) ON COMMIT DROP"))
        self.session.execute(text("INSERT INTO numbers (n) VALUES (:n)"), {"n": 7})
        found = self.session.execute(text("SELECT n FROM numbers WHERE n IN (7, 8) LIMIT :m"), {"m": 1}).scalar()
        mark_changed(self.session())  # zope.sqlalchemy commits what the ORM has written, or what is said to be
        self._redis.get("key")
        inner = requests.get(f"{self.url}/inner", timeout=20).json()
        return {"n": found, "inner": inner["id"], "id": request.c2c_request_id}

    def inner(self, request: Request) -> dict[str, Any]:
        self._logger.info("in the inner view")
        return {"id": request.c2c_request_id}

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def close(self) -> None:
        self._server.close()
        self.session.remove()
        self.session.c2c_rw_bind.dispose()
        self._redis.close()


@pytest.fixture(params=["psycopg2", "psycopg"])
def everything(
    request: pytest.FixtureRequest,
    postgres: PostgresPair,
    valkey: Valkey,
    otlp: OtlpReceiver,
    udp_listener: UdpListener,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Everything]:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("STATSD_FLUSH_INTERVAL", "0.1")
    application = Everything(postgres, valkey, request.param)
    yield application
    application.close()


def test_everything_of_one_request_finds_everything_else(
    everything: Everything, postgres: PostgresPair, otlp: OtlpReceiver, udp_listener: UdpListener
) -> None:
    warm = requests.post(f"{everything.url}/outer/1", timeout=20)  # connects: drivers ask questions of their own then
    assert warm.json()["n"] == 7
    everything.application.telemetry.flush(10)
    udp_listener.settle(0.3)
    before, logged = len(udp_listener.lines()), len(postgres.master.statements())
    everything.application.telemetry.totals(reset=True)
    everything.log.truncate(0)
    everything.log.seek(0)

    answer = requests.post(f"{everything.url}/outer/2", headers={"X-Request-ID": REQUEST_ID}, timeout=20)
    assert answer.json() == {"n": 7, "inner": REQUEST_ID, "id": REQUEST_ID}
    keys = set(everything.application.telemetry.totals()["timers"])
    everything.application.telemetry.close()
    udp_listener.settle(0.3)

    summary = "SELECT FROM numbers WHERE n IN (?) LIMIT ?"
    by_hand = f"requests.http.127_0_0_1.{everything.port}.POST.200"  # the test's own call is in this process too
    names = [line.partition(":")[0] for line in udp_listener.lines()[before:]]
    assert Counter(names) == Counter(
        [
            "route.POST.outer.200",
            "render.POST.outer.200",
            "route.GET.inner.200",
            "render.GET.inner.200",
            "sql.CREATE_TEMPORARY_TABLE_numbers__n_INT__ON_COMMIT_DROP",
            "sql.INSERT_INTO_numbers",
            "sql.SELECT_FROM_numbers_WHERE_n_IN_____LIMIT__",
            "sql.commit",
            "redis.GET",
            f"requests.http.127_0_0_1.{everything.port}.GET.200",
            by_hand,
        ]
    )
    assert keys == {
        "route/POST/outer/200",
        "render/POST/outer/200",
        "route/GET/inner/200",
        "render/GET/inner/200",
        "sql/CREATE TEMPORARY TABLE numbers (n INT) ON COMMIT DROP",
        "sql/INSERT INTO numbers",
        f"sql/{summary}",
        "sql/commit",
        "redis/GET",
        f"requests/http/127.0.0.1/{everything.port}/GET/200",
        f"requests/http/127.0.0.1/{everything.port}/POST/200",
    }

    spans = [cast("Span", received.item) for received in otlp.spans]
    server = next(s for s in reversed(spans) if s.name == "POST /outer/{n}")
    trace_id = server.trace_id
    tree = _tree([span for span in spans if span.trace_id == trace_id])
    assert tree == {
        "POST": {  # the test's own call
            "POST /outer/{n}": {
                "CREATE postgres": {},
                "INSERT postgres": {},
                "SELECT postgres": {},
                "GET": {"GET /inner": {"render json": {}}},
                "GET (redis)": {},
                "render json": {},
            }
        }
    }

    lines = everything.lines()
    assert [line["msg"] for line in lines] == ["in the outer view", "in the inner view"]
    assert {line["request_id"] for line in lines} == {REQUEST_ID}
    assert {line["trace_id"] for line in lines} == {trace_id.hex()}

    statements = postgres.master.statements()[logged:]
    ours = [s for s in statements if "numbers" in s.sql or s.sql.startswith("COMMIT")]
    assert len(ours) == 4
    assert {s.application for s in ours} == {REQUEST_ID}


def test_the_next_transaction_outside_of_a_request_shows_no_id(everything: Everything, postgres: PostgresPair) -> None:
    requests.post(f"{everything.url}/outer/1", headers={"X-Request-ID": REQUEST_ID}, timeout=20)
    with everything.session.c2c_rw_bind.connect() as connection:  # the same connection, from the pool
        connection.execute(text("SELECT 'afterwards'"))
        connection.commit()
    after = [s for s in postgres.master.statements() if "afterwards" in s.sql][-1]
    assert after.application != REQUEST_ID


def _tree(spans: list[Span]) -> dict[str, Any]:
    ids = {span.span_id for span in spans}

    def below(parent: bytes) -> dict[str, Any]:
        found = {}
        for span in spans:
            if span.parent_span_id == parent or (not parent and span.parent_span_id not in ids):
                found[_name(span)] = below(span.span_id)
        return found

    return below(b"")


def _name(span: Span) -> str:
    redis_span = any(
        pair.key in ("db.system", "db.system.name") and pair.value.string_value == "redis" for pair in span.attributes
    )
    return f"{span.name} (redis)" if redis_span else span.name
