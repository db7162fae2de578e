"""An application of 2018 runs unchanged but for one line (contract, sections 0 to 10 and ruling 10)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.client import get
from tests.servers.databases import PostgresPair, Valkey, postgres_pair
from tests.servers.local import HOST, environment, free_tcp_port, wait_until
from tests.servers.process import Process
from tests.servers.udp import UdpListener

INI = Path(__file__).parent / "app_2018" / "production.ini"

pytestmark = pytest.mark.server


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: what is imported once stays."""
    return subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning:pyramid", "-c", code],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresPair]:
    """A master and its replica, with the table that alembic makes."""
    with postgres_pair() as pair:
        done = alembic("upgrade", "head", SQLALCHEMY_URL=pair.master.dsn("postgresql+psycopg2"))
        assert done.returncode == 0, done.stderr
        pair.wait_replicated()
        yield pair


def alembic(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run alembic on the application's migrations; its ``env.py`` only imports `setup_process`."""
    return subprocess.run(
        [Path(sys.executable).with_name("alembic"), "-c", str(INI.with_name("alembic.ini")), *arguments],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Running(Process):
    """The application under the command that starts it.

    Args:
        command: such as ``c2cotel run``.
        directory: a test's own.
        postgres: its databases.
        env: further settings.

    Attributes:
        env: All its settings.
    """

    def __init__(self, command: list[str], directory: Path, postgres: PostgresPair, **env: str) -> None:
        self.port = free_tcp_port()
        self.url = f"http://{HOST}:{self.port}"
        self.env = {
            "C2CWSGIUTILS_CONFIG": str(INI),
            "GUNICORN_PARAMS": f"--no-control-socket -b {HOST}:{self.port} --worker-class gthread --threads 10",
            "SQLALCHEMY_URL": postgres.master.dsn("postgresql+psycopg2") + "?application_name=50%25",
            "SQLALCHEMY_URL_SLAVE": postgres.replica.dsn("postgresql+psycopg2"),
            "OTHER_LOG_LEVEL": "INFO",
            "C2C_LOG_LEVEL": "WARNING",
            "C2C_BASE_PATH": "/c2c",
            "C2C_SECRET": "changeme",
            "C2C_REDIS_URL": "redis://localhost:1",
            **env,
        }
        super().__init__(command, directory, self.env)

    def wait_ready(self) -> None:
        """Wait until it answers."""
        wait_until(lambda: self.ended() or get(f"{self.url}/api/hello") is not None, "an answer", 30)
        assert not self.ended(), self.output()


SCRIPTS = Path(sys.executable).parent
C2COTEL = str(SCRIPTS / "c2cotel")
DOCKER = f"""#!{sys.executable}
import os, subprocess, sys, time
words = sys.argv[1:]
if not all(os.environ.get(name) for name in ("DOCKER_TAG", "TEST_IP", "DOCKER_IP", "DOCKER_CB_HOST")):
    sys.exit("a variable of the compose file is not set")
if "exec" in words:
    sys.exit(subprocess.run(words[words.index("exec") + 3 :]).returncode)
if "--follow" in words:
    time.sleep(600)
"""
"""A stand-in of docker: the composition runs already, on this machine."""

SHARED = {"app.toto.tutu", "app.sql.commit", "app.sql.manual.health_check.db", "app.cron.hellos", "app.cron.runs"}
NAMES = {
    "0": {
        "app.route.GET.hello.200",
        "app.route.PUT.hello.200",
        "app.render.GET.hello.200",
        "app.route.GET.around.200",
        "app.route.GET.c2c_health_check.500",
        "app.render.GET.errors.500",
        "app.render.GET.c2c_health_check.500",
        "app.render.GET._not_found.404",
        "app.titi.tata.success",
        "app.sql.SELECT_FROM_hello_ORDER_BY_hello_id",
        "app.redis.INCRBY.success",
        "app.redis.PUBLISH.success",
        "app.cron.run.success",
        "app.cron.run.failure",
    },
    "1": {
        "app.route|group=2,route=hello,status=200",
        "app.route|group=4,route=_not_found,status=404",
        "app.render|group=5,route=errors,status=500",
        "app.titi.tata|success=1",
        "app.sql|query=SELECT_FROM_hello_ORDER_BY_hello_id",
        "app.redis|cmd=INCRBY,success=1",
        "app.cron.run|success=0",
    },
}
"""What arrives without and with tags."""


def names(listener: UdpListener) -> set[str]:
    """The names that arrived, each with its tags as ``name|key=value,…``."""
    arrived = set()
    for line in listener.lines():
        name, _, rest = line.partition(":")
        tags = rest.partition("|#")[2].replace(":", "=")
        arrived.add(f"{name}|{tags}" if tags else name)
    return arrived


@pytest.mark.parametrize(("workers", "tags"), [("1", "0"), ("2", "1")], ids=["one worker", "two workers and tags"])
def test_the_acceptance_suite_of_2018_passes(
    workers: str, tags: str, tmp_path: Path, postgres: PostgresPair, valkey: Valkey, udp_listener: UdpListener
) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    versions = tmp_path / "versions.json"
    versions.write_text(json.dumps({"main": {"git_hash": "abc", "git_tag": "v1"}, "packages": {}}))
    command = [C2COTEL, "run"] if workers == "2" else [str(SCRIPTS / "c2cwsgiutils_run")]
    running = Running(
        [*command, "--workers", workers],
        tmp_path,
        postgres,
        STATSD_ADDRESS=udp_listener.address,
        STATSD_PREFIX="app",
        STATSD_USE_TAGS=tags,
        C2C_REDIS_URL=valkey.url,
        C2C_BROADCAST_PREFIX=f"suite_{workers}_{tags}_",
        C2C_VERSIONS_PATH=str(versions),
        C2C_LOG_VIEW_ENABLED="1",
        C2C_SQL_PROFILER_ENABLED="1",
        C2C_DEBUG_VIEW_ENABLED="1",
        STATS_VIEW="1",
    )
    try:
        running.wait_ready()
        suite = [str(INI.parent / "suite.py"), "-c", os.devnull, "--noconftest", "-p", "no:cacheprovider", "-q"]
        path = f"{docker.parent}{os.pathsep}{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
        env = {**running.env, "BASE_URL": f"{running.url}/", "WORKERS": workers, "PATH": path, "CI": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *suite],
            env=environment(env),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + running.output()[-3000:]
        assert "24 passed, 1 skipped" in done.stdout
    finally:
        running.terminate()
        running.close()
    udp_listener.settle()
    arrived = names(udp_listener)
    assert NAMES[tags] - arrived == set(), "\n".join(sorted(arrived))
    assert {re.split(r"\||\.sqlalchemy", name)[0] for name in arrived} >= SHARED
    assert [name for name in arrived if "_overflow" in name] == []
    events = running.events()
    assert {event["request_id"] for event in events if event["msg"].startswith("GET ") and "request_id" in event}
    levels = {event["level_name"] for event in events if event["logger_name"].startswith("c2cwsgiutils")}
    assert levels <= {"WARNING", "ERROR", "CRITICAL"}, "our loggers follow the old one's level"
    assert not [event for event in events if event["logger_name"].startswith("c2cotel")]


def test_alembic_has_logs_and_metrics(postgres: PostgresPair, udp_listener: UdpListener) -> None:
    url = postgres.master.dsn("postgresql+psycopg2")
    done = alembic("current", SQLALCHEMY_URL=url, STATSD_ADDRESS=udp_listener.address)
    assert "4a8c1bb4e775" in done.stdout
    assert "INFO     alembic.runtime.migration Context impl PostgresqlImpl." in done.stderr
    udp_listener.wait_for("sql.SELECT_FROM_alembic_version")


def test_the_server_is_started_again_when_it_dies_and_ends_when_it_is_told(
    tmp_path: Path, postgres: PostgresPair
) -> None:
    running = Running([C2COTEL, "run", "--workers", "1"], tmp_path, postgres)
    try:
        running.wait_ready()
        (master,) = running.children()
        os.kill(master, signal.SIGKILL)
        wait_until(lambda: running.children() - {master}, "another server")
        wait_until(lambda: get(f"{running.url}/api/hello") is not None, "an answer", 30)
        assert "ended by SIGKILL; it is started again in 1 s" in running.output()
    finally:
        running.signal(signal.SIGINT)
        assert running.wait() == 0


def test_the_scripts_of_2018_say_what_they_are_now(tmp_path: Path) -> None:
    for script, arguments, command in (
        ("c2cwsgiutils_run", ["--help"], "run"),
        ("c2cwsgiutils_genversion.py", ["v1", "abc"], "genversion"),
        ("c2cwsgiutils_stats_db.py", ["--db", "sqlite://", "--schema", "main"], "stats-db"),
    ):
        done = subprocess.run(
            [Path(sys.executable).with_name(script), *arguments],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"{script} is deprecated: use c2cotel {command}" in done.stderr
    assert json.loads((tmp_path / "versions.json").read_text())["main"] == {"git_hash": "abc", "git_tag": "v1"}


OWED = ("acceptance", "acceptance.composition", "acceptance.connection", "acceptance.utils")
"""Modules that a later issue brings."""


def test_each_name_of_2018_is_the_module_of_today() -> None:
    done = python(
        "import c2cotel.compat\n"
        "from importlib import import_module as get\n"
        "for old, new in c2cotel.compat.MODULES.items():\n"
        f"    if old not in {OWED}:\n"
        "        module = get('c2cwsgiutils.' + old)\n"
        "        assert module is get(new) and module.__name__ == module.__spec__.name == new, (old, module)\n"
        "        print(old)"
    )
    assert done.returncode == 0, done.stderr
    assert {"stats", "pyramid", "health_check", "db", "services", "broadcast", "pyramid_logging"} <= set(
        done.stdout.split()
    )


def test_a_name_without_counterpart_says_where_to_look() -> None:
    done = python("import c2cotel.compat, c2cwsgiutils.pretty_json")
    assert "c2cwsgiutils.pretty_json has no counterpart in c2cotel; see docs/how-to/migrate.md" in done.stderr


def test_wire_names_are_those_of_2018_unless_a_setting_says_otherwise() -> None:
    code = (
        "import os, c2cotel.compat\nfrom c2cotel.config.declare import Settings\n"
        "from c2cotel.config.settings import StatsdSettings\n"
        "for ini in ({}, {'c2c.statsd_2018_names': '0'}):\n"
        "    print(Settings(os.environ, ini).section(StatsdSettings).names_2018)"
    )
    assert python(code).stdout.split() == ["True", "False"]
    assert python(code, STATSD_2018_NAMES="off").stdout.split() == ["False", "False"]


def test_our_loggers_follow_those_of_2018() -> None:
    done = python(
        "import c2cotel.compat, logging\n"
        "logging.getLogger('c2cwsgiutils').setLevel('ERROR')\n"
        "logging.getLogger('c2cwsgiutils.sql_profiler').setLevel(7)\n"
        "for name in ('c2cotel.x', 'c2cotel_views.y', 'c2cotel.sql_profiler'):\n"
        "    print(logging.getLogger(name).getEffectiveLevel())"
    )
    assert done.stdout.split() == ["40", "40", "7"], done.stderr


def test_a_library_of_2018_that_is_installed_stays(tmp_path: Path) -> None:
    (tmp_path / "c2cwsgiutils").mkdir()
    (tmp_path / "c2cwsgiutils" / "__init__.py").write_text("REAL = True\n")
    done = python("import c2cotel.compat, c2cwsgiutils; print(c2cwsgiutils.REAL)", PYTHONPATH=str(tmp_path))
    assert done.stdout == "True\n"
    assert "c2cwsgiutils itself is installed: c2cotel.compat leaves it alone" in done.stderr


def test_a_script_of_2018_sets_its_process_up(tmp_path: Path) -> None:
    ini = tmp_path / "logging.ini"
    ini.write_text(INI.read_text().replace("%(SQLALCHEMY_URL)s", "").replace("%(SQLALCHEMY_URL_SLAVE)s", ""))
    done = python(
        f"import c2cotel.compat, logging\nfrom c2cwsgiutils import setup_process\nsetup_process.init({str(ini)!r})\n"
        "logging.getLogger('script').info('hello')",
        OTHER_LOG_LEVEL="INFO",
        C2C_LOG_LEVEL="INFO",
    )
    said: Any = json.loads(done.stdout)
    assert (said["msg"], said["logger_name"]) == ("hello", "script")


def test_a_script_of_2018_without_an_ini_logs_on_the_console() -> None:
    done = python(
        "import c2cotel.compat, logging\nfrom c2cwsgiutils import setup_process\nsetup_process.init()\n"
        "logging.getLogger('script').info('hello')"
    )
    assert done.stderr.endswith("INFO     script hello\n")
