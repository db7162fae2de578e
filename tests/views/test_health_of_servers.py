"""Health checks against real servers (contract, section 7)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyramid.config import Configurator
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from c2cotel import SettingsError, broadcast
from c2cotel.db import create_session, setup_session
from c2cotel.testing import ScriptedClock
from c2cotel_views.health import HealthCheck
from tests.apps.application import Application
from tests.apps.database import Hello, asked
from tests.servers.client import Answer, get
from tests.servers.databases import PostgresPair, Valkey
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.udp import UdpListener

pytestmark = pytest.mark.server

DRIVER = "postgresql+psycopg2"
NO_TRANSACTION = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"


@pytest.fixture
def one_hello(hello_table: PostgresPair) -> Iterator[PostgresPair]:
    """Both servers, with one record."""
    hello_table.master.query("DELETE FROM hello")
    hello_table.master.query("INSERT INTO hello (value) VALUES ('hello')")
    hello_table.wait_replicated()
    yield hello_table
    hello_table.master.query("DELETE FROM hello")


@pytest.fixture
def served(gunicorn: Callable[..., Gunicorn], one_hello: PostgresPair) -> Callable[..., Gunicorn]:
    """Starts the application of `tests.apps.health_checks` with two workers."""
    env = {"MASTER": one_hello.master.dsn(DRIVER), "REPLICA": one_hello.replica.dsn(DRIVER)}

    def start(**more: str) -> Gunicorn:
        server = gunicorn("tests.apps.health_checks:application()", env={**env, **more})
        server.wait_ready("/live")
        return server

    return start


def report(answer: Answer | None) -> dict[str, Any]:
    assert answer is not None
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status
    for entry in (*found["successes"].values(), *found["failures"].values()):
        entry.pop("timing")
    return found


HEALTHY: dict[str, Any] = {
    "status": 200,
    "successes": {
        "db_engine_sqlalchemy": {},
        "db_engine_sqlalchemy_slave": {},
        "write": {},
        "read": {"result": "replica"},
        "forget": {},
    },
    "failures": {},
}


def test_no_check_leaves_a_transaction_or_a_connection_or_a_record_behind(
    served: Callable[..., Gunicorn], one_hello: PostgresPair
) -> None:
    server = served()
    before = len(one_hello.replica.statements())
    for _ in range(20):
        assert report(get(f"{server.url}/health_check")) == HEALTHY
    for _ in range(10):
        pools = get(f"{server.url}/pools")
        assert pools is not None
        assert pools.json() == [0, 0, 0]
    assert one_hello.master.query(NO_TRANSACTION) == one_hello.replica.query(NO_TRANSACTION) == [(0,)]
    assert one_hello.master.query("SELECT value FROM hello") == [("hello",)]
    on_the_slave = [s.sql for s in one_hello.replica.statements()[before:] if "FROM hello" in s.sql]
    assert len(on_the_slave) == 20, "the check of the slave asks the slave"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGSTOP], ids=["stopped", "frozen"])
def test_a_report_with_a_database_away_is_complete_at_its_deadline(
    served: Callable[..., Gunicorn], one_hello: PostgresPair, how: signal.Signals
) -> None:
    server = served(C2C_HEALTH_TIMEOUT="1.5")
    for _ in range(6):
        assert report(get(f"{server.url}/health_check")) == HEALTHY
    replica = one_hello.replica
    assert replica._process is not None
    family = [psutil.Process(replica._process.pid), *psutil.Process(replica._process.pid).children()]
    if how == signal.SIGSTOP:
        for process in family:
            process.suspend()
    else:
        replica.stop()
    try:
        start = time.monotonic()
        found = report(get(f"{server.url}/health_check"))
        assert time.monotonic() - start < 5, "one deadline for the report"
    finally:
        if how == signal.SIGSTOP:
            for process in family:
                process.resume()
        else:
            replica.start()
    assert found["successes"].keys() >= {"db_engine_sqlalchemy", "write"}
    # Where the replica hangs, the check that asks it leaves no time for the one after it.
    assert found["failures"].keys() - {"forget"} == {"db_engine_sqlalchemy_slave", "read"}
    assert "SELECT" not in json.dumps(found)
    wait_until(lambda: all(report(get(f"{server.url}/health_check")) == HEALTHY for _ in range(6)), "all is well again")


def test_calls_while_a_check_hangs_leave_one_thread_in_each_worker(served: Callable[..., Gunicorn]) -> None:
    server = served(hang="1", C2C_HEALTH_TIMEOUT="0.3")
    running: dict[int, int] = {}

    def look() -> dict[int, int]:
        answer = get(f"{server.url}/threads")
        assert answer is not None
        running[answer.json()["pid"]] = answer.json()["checks"]
        return running

    def call() -> None:
        found = report(get(f"{server.url}/health_check?max_level=3"))
        assert found["failures"].keys() == {"hang"}
        assert found["successes"] == HEALTHY["successes"]

    def hangs_in_both() -> bool:
        call()
        return list(look().values()) == [1, 1]

    wait_until(hangs_in_both, "it hangs in both workers", 30)
    for _ in range(200):
        call()
    for _ in range(20):
        assert list(look().values()) == [1, 1]


def application(pair: PostgresPair, configure: Callable[[HealthCheck, Any], object], **ini: str) -> Application:
    urls = {"sqlalchemy.url": pair.master.dsn(DRIVER), "sqlalchemy_slave.url": pair.replica.dsn(DRIVER)}

    def add(config: Configurator) -> None:
        pool = {f"{prefix}.pool_size": "1" for prefix in ("sqlalchemy", "sqlalchemy_slave")}
        config.add_settings({**urls, **pool})
        session, _, _ = setup_session(config, "sqlalchemy", "sqlalchemy_slave")
        configure(HealthCheck(config), session)

    return Application({"c2c.health_timeout": "5", **ini}, add, clock=ScriptedClock())


def test_a_database_is_asked_what_it_is_told_to_ask(one_hello: PostgresPair) -> None:
    found: list[str] = []

    def checks(health_check: HealthCheck, session: Any) -> None:
        health_check.add_db_session_check(session, query_cb=lambda used: found.append(asked(used)))
        health_check.add_db_session_check(session, at_least_one_model=Hello, level=2)

    app = application(one_hello, checks)
    assert app.http.get("/health_check").json["failures"] == {}
    assert sorted(found) == ["master", "replica"]
    one_hello.master.query("DELETE FROM hello")
    one_hello.wait_replicated()
    failures = app.http.get("/health_check?max_level=2", status=500).json["failures"]
    assert {name: entry["message"] for name, entry in failures.items()} == {
        "db_engine_sqlalchemy_2": "No record of Hello was found",
        "db_engine_sqlalchemy_slave_2": "No record of Hello was found",
    }


def test_sessions_of_any_kind(one_hello: PostgresPair) -> None:
    engine: Engine = create_engine(one_hello.master.dsn(DRIVER).replace("postgres@", "postgres:hunter2@"))
    shared: scoped_session[Session] = scoped_session(sessionmaker(engine), scopefunc=lambda: "one for all")
    shared()
    name = f"postgresql+psycopg2://postgres:***@127.0.0.1:{one_hello.master.port}/postgres"

    def configure(config: Configurator) -> None:
        checks = HealthCheck(config)
        given: list[Any] = [sessionmaker(engine), scoped_session(sessionmaker(engine)), shared, Session(engine)]
        given.append(sessionmaker(binds={Hello: engine}))
        given.append(create_session(None, "lonely", one_hello.master.dsn(DRIVER)))
        for session in given:
            checks.add_db_session_check(session, at_least_one_model=Hello)
        with pytest.raises(TypeError, match="expected one that is bound to an engine"):
            checks.add_db_session_check(sessionmaker())

    report = Application({}, configure).http.get("/health_check").json
    names = [name.replace("***", "REDACTED"), "lonely"]
    plain_names = {f"db_engine_{name}" for name in names} | {f"db_engine_{names[0]}_{n}" for n in range(2, 6)}
    assert report["failures"] == {}
    assert report["successes"].keys() == plain_names
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    shared.remove()
    engine.dispose()


REVISION = """
revision = "{revision}"
down_revision = {down}
def upgrade(): pass
def downgrade(): pass
"""


@pytest.fixture
def alembic_ini(tmp_path: Path, one_hello: PostgresPair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ini file whose code is at revision `bbb`, and a database at `aaa`."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").write_text("raise AssertionError('not to be run')")
    (versions / "a.py").write_text(REVISION.format(revision="aaa", down=None))
    (versions / "b.py").write_text(REVISION.format(revision="bbb", down='"aaa"'))
    monkeypatch.setenv("MIGRATIONS", "migrations")
    monkeypatch.setenv("PERCENT", "100%")
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        "[alembic]\nscript_location = %(here)s/%(ENV_MIGRATIONS)s\nversion_table_schema = stat\n"
        "file_template = %%(rev)s\n[other]\nscript_location = %(here)s/migrations\nversion_table = other_version\n"
    )
    one_hello.master.query("CREATE SCHEMA stat")
    for table, revision in (("stat.alembic_version", "aaa"), ("public.other_version", "bbb"), ("stat.mine", "bbb")):
        one_hello.master.query(f"CREATE TABLE {table} (version_num text)")
        one_hello.master.query(f"INSERT INTO {table} VALUES ('{revision}')")
    one_hello.wait_replicated()
    yield ini
    one_hello.master.query("DROP SCHEMA stat CASCADE")
    one_hello.master.query("DROP TABLE public.other_version")


def test_alembic(alembic_ini: Path, one_hello: PostgresPair) -> None:
    def checks(health_check: HealthCheck, session: Any) -> None:
        health_check.add_alembic_check(session, str(alembic_ini))
        health_check.add_alembic_check(session, str(alembic_ini), name="other", level=3)
        health_check.add_alembic_check(session, str(alembic_ini), 3, "mine", version_table="mine")
        health_check.add_alembic_check(session, str(alembic_ini), 3, "nowhere", "public", "no_such_table")

    app = application(one_hello, checks)
    assert report_of(app, "") == {"status": 200, "successes": {}, "failures": {}}
    prefix = "alembic_" + str(alembic_ini).replace("/", "_").strip("_")
    assert report_of(app, "?max_level=3", 500) == {
        "status": 500,
        "successes": {f"{prefix}_other": {"result": "bbb"}, f"{prefix}_mine": {"result": "bbb"}},
        "failures": {
            f"{prefix}_alembic": {"message": "Invalid alembic version in sqlalchemy: aaa, expected bbb"},
            f"{prefix}_nowhere": {"message": "Invalid alembic version in sqlalchemy: none, expected bbb"},
        },
    }
    one_hello.master.query("UPDATE stat.alembic_version SET version_num = 'bbb'")
    one_hello.wait_replicated()
    assert report_of(app, f"?max_level=2&checks={prefix}_alembic") == {
        "status": 200,
        "successes": {f"{prefix}_alembic": {"result": "bbb"}},
        "failures": {},
    }
    alembic_ini.write_text("[alembic]\nscript_location = %(here)s/gone\n")
    with pytest.raises(SettingsError, match=r"alembic_ini_path='.*alembic\.ini'.*gone"):
        application(one_hello, lambda health_check, session: health_check.add_alembic_check(session, str(alembic_ini)))


def report_of(app: Application, query: str, status: int = 200) -> dict[str, Any]:
    found: dict[str, Any] = app.http.get(f"/health_check{query}", status=status).json
    for entry in (*found["successes"].values(), *found["failures"].values()):
        entry.pop("timing")
    return found


@pytest.mark.parametrize("tagged", [False, True])
def test_checks_of_databases_have_timers_of_their_own(
    alembic_ini: Path,
    one_hello: PostgresPair,
    udp_listener: UdpListener,
    monkeypatch: pytest.MonkeyPatch,
    tagged: bool,
) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    monkeypatch.setenv("STATSD_USE_TAGS", str(int(tagged)))
    one_hello.master.query("UPDATE stat.alembic_version SET version_num = 'bbb'")
    one_hello.wait_replicated()

    def checks(health_check: HealthCheck, session: Any) -> None:
        health_check.add_db_session_check(session, at_least_one_model=Hello)
        health_check.add_alembic_check(session, str(alembic_ini), 1)

    app = application(one_hello, checks)
    app.http.get("/health_check")
    app.finish()
    udp_listener.settle()
    ini = "".join(c if c.isascii() and c.isalnum() else "_" for c in str(alembic_ini))
    ours = sorted(line for line in udp_listener.lines() if line.startswith("sql.manual."))
    both = ("sqlalchemy", "sqlalchemy_slave")
    if tagged:
        alembic = [f"sql.manual.health_check.alembic:1|ms|#con:{name},conf:{ini}" for name in both]
        assert ours == [*alembic, *(f"sql.manual.health_check.db:1|ms|#con:{name}" for name in both)]
    else:
        alembic = [f"sql.manual.health_check.alembic.{ini}.{name}:1|ms" for name in both]
        assert ours == [*alembic, *(f"sql.manual.health_check.db.{name}:1|ms" for name in both)]
        assert "sql.SELECT_FROM_stat_alembic_version" in udp_listener.counts()
        assert not udp_listener.counts("sql.SELECT_FROM_pg_catalog"), "alembic itself asks for the table first"


@pytest.fixture
def versions(tmp_path: Path, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A versions file with the hash `abc`, and Redis."""
    file = tmp_path / "versions.json"
    file.write_text(json.dumps({"main": {"git_hash": "abc"}, "packages": {}}))
    monkeypatch.setenv("C2C_VERSIONS_PATH", str(file))
    monkeypatch.setenv("C2C_REDIS_URL", valkey.url.replace("//", "//:@"))
    monkeypatch.setenv("C2C_BROADCAST_PREFIX", f"{request.node.name}:")
    return file


def test_redis_and_versions_of_all_instances_are_checked_at_level_two(
    versions: Path, valkey: Valkey, gunicorn: Callable[..., Gunicorn]
) -> None:
    env = {name: os.environ[name] for name in ("C2C_VERSIONS_PATH", "C2C_REDIS_URL", "C2C_BROADCAST_PREFIX")}
    app = Application({"c2c.secret": "hush"}, lambda config: HealthCheck(config).add_redis_check(valkey.url, "mine", 3))
    assert report_of(app, "") == {"status": 200, "successes": {}, "failures": {}}
    found = report_of(app, "?max_level=3")
    assert found["successes"]["mine"]["result"].keys() == {"dbsize"}, "what Redis tells of itself is for the secret"
    found = report_of(app, "?max_level=3&secret=hush")
    name = valkey.url.replace("//", "//:REDACTED@")
    assert found["failures"] == {}
    assert found["successes"].keys() == {name, "version", "mine"}
    assert found["successes"]["version"] == {"result": "abc"}
    for redis_result in (found["successes"][name]["result"], found["successes"]["mine"]["result"]):
        assert redis_result.keys() == {"info", "dbsize"}
        assert redis_result["info"]["redis_version"]
        assert isinstance(redis_result["dbsize"], int)
    other = versions.with_name("other.json")
    other.write_text(json.dumps({"main": {"git_hash": "def"}, "packages": {}}))
    server = gunicorn(
        "tests.views.test_health_of_servers:versioned()", env={**env, "C2C_VERSIONS_PATH": str(other)}, workers=2
    )
    server.wait_ready("/live")
    wait_until(lambda: len(broadcast.broadcast("c2c_version", expect_answers=True) or []) == 3, "three instances")
    assert report_of(app, "?max_level=2&checks=version", 500)["failures"] == {
        "version": {"message": "The instances run different versions", "result": {"abc": 1, "def": 2}}
    }


def versioned() -> Any:
    """An application that only has the checks that are there by themselves."""
    config = Configurator(settings={})
    HealthCheck(config)
    return config.make_wsgi_app()


def test_a_redis_that_is_away_is_reported_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Valkey(tmp_path)) as server:
        url = server.url.replace("//", "//me:hunter2@")
    app = Application({}, lambda config: HealthCheck(config).add_redis_check(url))
    answer = app.http.get("/health_check?secret=x", status=500)
    assert "hunter2" not in answer.text
    [failure] = answer.json["failures"].values()
    assert "Connection refused" in failure["message"]
