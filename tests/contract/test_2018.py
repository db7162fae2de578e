"""An application of 2018 runs unchanged but for one line (contract, sections 0 to 10 and ruling 10)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.client import get
from tests.servers.databases import PostgresPair, postgres_pair
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
    with postgres_pair() as pair:
        pair.master.query("CREATE TABLE hello (id serial PRIMARY KEY, value text NOT NULL)")
        pair.wait_replicated()
        yield pair


class Running(Process):
    """`c2cotel run`, or another command that does the same."""

    def __init__(self, command: list[str], directory: Path, postgres: PostgresPair, **env: str) -> None:
        self.port = free_tcp_port()
        self.url = f"http://{HOST}:{self.port}"
        settings = {
            "C2CWSGIUTILS_CONFIG": str(INI),
            "GUNICORN_PARAMS": f"--no-control-socket -b {HOST}:{self.port} --worker-class gthread --workers 2",
            "SQLALCHEMY_URL": postgres.master.dsn("postgresql+psycopg2") + "?application_name=50%25",
            "SQLALCHEMY_URL_SLAVE": postgres.replica.dsn("postgresql+psycopg2"),
            "OTHER_LOG_LEVEL": "INFO",
            "C2C_LOG_LEVEL": "WARNING",
            "C2C_BASE_PATH": "/c2c",
            "C2C_SECRET": "changeme",
        }
        super().__init__(command, directory, {**settings, **env})

    def wait_ready(self) -> None:
        """Until both workers answer."""
        wait_until(lambda: get(f"{self.url}/api/hello") is not None, "an answer", 30)


C2COTEL = str(Path(sys.executable).with_name("c2cotel"))


def test_its_urls_json_and_statsd_lines_are_those_of_2018(
    tmp_path: Path, postgres: PostgresPair, udp_listener: UdpListener
) -> None:
    running = Running([C2COTEL, "run"], tmp_path, postgres, STATSD_ADDRESS=udp_listener.address, STATSD_PREFIX="app")
    try:
        running.wait_ready()
        saved = requests.put(f"{running.url}/api/hello", json={"value": "é"}, timeout=30)
        assert saved.json() == {"saved": True}
        postgres.wait_replicated()
        answer = get(f"{running.url}/api/hello")
        assert answer is not None
        assert answer.json() == {"hello": ["é"]}, "pyramid_tm has committed"
        report = get(f"{running.url}/c2c/health_check?max_level=2")
        assert report is not None
        assert report.status == 500
        held = report.json()
        assert held["failures"]["custom"]["message"] == "I'm not happy"
        assert set(held["successes"]) == {"db_engine_sqlalchemy", "db_engine_sqlalchemy_slave"}
    finally:
        running.terminate()
    udp_listener.settle()
    names = set(udp_listener.counts("app."))
    assert {
        "app.route.GET.hello.200",
        "app.route.PUT.hello.200",
        "app.render.GET.hello.200",
        "app.route.GET.c2c_health_check.500",
        "app.toto.tutu",
        "app.titi.tata.success",
    } <= names
    literal = [name for name in names if name.startswith("app.sql.SELECT_FROM_hello_ORDER_BY_hello_id")]
    assert literal, names
    assert {event["level_name"] for event in running.events() if event["logger_name"].startswith("c2cwsgiutils")} <= {
        "WARNING",
        "ERROR",
    }, "our loggers follow the old one's level"


def test_the_acceptance_suite_of_2018_passes(tmp_path: Path, postgres: PostgresPair) -> None:
    running = Running([C2COTEL, "run"], tmp_path, postgres, C2C_LOG_VIEW_ENABLED="1", STATS_VIEW="1")
    try:
        running.wait_ready()
        suite = [str(INI.parent / "suite.py"), "-c", os.devnull, "--noconftest", "-p", "no:cacheprovider", "-q"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *suite],
            env=environment({"BASE_URL": f"{running.url}/"}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert "8 passed" in done.stdout or "7 passed, 1 skipped" in done.stdout
    finally:
        running.terminate()


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
