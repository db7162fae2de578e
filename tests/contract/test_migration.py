"""What applications of 2018, and of the library's later versions, use beside its README (issue 16)."""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pyramid.config import Configurator
from webtest import TestApp

import c2cotel
from c2cotel.logs import PyramidCeeSysLogHandler
from c2cotel_views.health import HealthCheck
from tests.contract.test_2018 import python
from tests.servers.local import HOST, environment, free_udp_port
from tests.servers.udp import UdpListener

START = "import c2cotel.compat\n"


# ---- scripts ----


def test_importing_setup_process_sets_a_script_up(udp_listener: UdpListener) -> None:
    done = python(
        START + "import logging, c2cwsgiutils.setup_process\nfrom c2cwsgiutils import stats\n"
        "stats.set_gauge(['jobs'], 3)\nlogging.getLogger('cron').info('hello')",
        STATSD_ADDRESS=udp_listener.address,
    )
    assert done.returncode == 0, done.stderr
    assert "INFO     cron hello" in done.stderr
    udp_listener.wait_for("jobs")


def test_importing_setup_process_leaves_what_runs_alone() -> None:
    done = python(
        START + "import logging, c2cotel\nlogging.basicConfig(format='mine %(message)s', level='INFO')\n"
        "first = c2cotel.setup()\nimport c2cwsgiutils.setup_process\nlogging.getLogger('cron').info('hello')\n"
        "print(c2cotel.setup() is first)"
    )
    assert "mine hello" in done.stderr
    assert done.stdout == "True\n"


# ---- names ----


def test_init_backends_starts_statsd_by_its_settings(udp_listener: UdpListener) -> None:
    done = python(
        START + "from c2cwsgiutils import stats\n"
        f"stats.init_backends({{'c2c.statsd_address': {udp_listener.address!r}, 'c2c.statsd_prefix': 'job'}})\n"
        "stats.init_backends()\nstats.increment_counter(['runs'])\nprint(stats.USE_TAGS)"
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    udp_listener.wait_for("job.runs")


def test_sentry_broadcast_and_stats_pyramid_have_their_init() -> None:
    done = python(
        START + "import c2cotel\nfrom pyramid.config import Configurator\n"
        "from c2cwsgiutils import broadcast, sentry, stats_pyramid\n"
        "with sentry.capture_exceptions(): pass\nsentry.init()\nbroadcast.init()\nconfig = Configurator(settings={})\n"
        "stats_pyramid.init(config)\nprint(config.registry['c2cotel.telemetry'] is c2cotel.setup())"
    )
    assert done.stdout == "True\n", done.stderr


def test_get_version_is_the_git_hash(tmp_path: Path) -> None:
    file = tmp_path / "versions.json"
    code = START + "from c2cwsgiutils import version\nprint(version.get_version())"
    assert python(code, C2C_VERSIONS_PATH=str(file)).stdout == "None\n"
    file.write_text(json.dumps({"main": {"git_hash": "abc"}}))
    assert python(code, C2C_VERSIONS_PATH=str(file)).stdout == "abc\n"


def test_a_failed_check_has_its_json_data() -> None:
    done = python(
        START + "from c2cwsgiutils.health_check import JsonCheckException\n"
        "print(JsonCheckException('bad', {'a': 1}).json_data())"
    )
    assert done.stdout == "{'a': 1}\n"


@pytest.mark.parametrize(
    "get", ["from c2cwsgiutils.wsgi_app import application", "from c2cwsgiutils import wsgi\nwsgi.create_application()"]
)
def test_a_wsgi_application_comes_from_the_ini(get: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import c2cotel.compat\nimport c2cwsgiutils.pyramid\nfrom pyramid.config import Configurator\n"
        "def main(_, **settings):\n    config = Configurator(settings=settings)\n"
        "    config.include(c2cwsgiutils.pyramid.includeme)\n    print('made')\n    return config.make_wsgi_app()\n"
    )
    ini = tmp_path / "production.ini"
    ini.write_text("[app:main]\npaste.app_factory = shop:main\n")
    done = python(START + get, C2CWSGIUTILS_CONFIG=str(ini), PYTHONPATH=str(tmp_path))
    assert done.stdout == "made\n", done.stderr


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("from c2cwsgiutils.stats import StatsDBackend", "use c2cotel.stats.set_gauge"),
        ("from c2cwsgiutils import pretty_json", "docs/how-to/migrate.md for what is where. Instead: c2cotel.setup"),
        ("from c2cwsgiutils import anything", "docs/how-to/migrate.md"),
        ("import c2cwsgiutils.anything", "docs/how-to/migrate.md"),
    ],
)
def test_a_name_that_is_gone_says_what_to_use(statement: str, shown: str) -> None:
    done = python(f"{START}try:\n    {statement}\nexcept ImportError as error:\n    print(error)")
    assert shown in done.stdout, done.stderr


def test_a_test_may_be_skipped_on_a_ci_server() -> None:
    code = (
        START + "import pytest\nfrom c2cwsgiutils.acceptance import utils\n"
        "@utils.skipIfCI\ndef test_x(): pass\nprint(test_x.pytestmark[0].args)"
    )
    assert python(code, CI="", IN_CI="0").stdout == "(False,)\n"
    assert python(code, IN_CI="1").stdout == "(True,)\n"


# ---- stats-db ----


def stats_db(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("c2cwsgiutils_stats_db.py")
    command = [str(script), "--db", "sqlite://", "--schema", "main", "--extra", "select 'of.all', 7", *arguments]
    return subprocess.run(command, env=environment(env), capture_output=True, text=True, timeout=60, check=False)


def test_the_prefix_of_stats_db_is_c2c(udp_listener: UdpListener) -> None:
    done = stats_db("--verbosity", "2", STATSD_ADDRESS=udp_listener.address, STATSD_PREFIX="shop")
    assert done.returncode == 0, done.stderr
    udp_listener.settle()
    assert udp_listener.lines() == ["c2c.count.of.all:7|g"]


def test_stats_db_says_when_nobody_took_its_values() -> None:
    done = stats_db("--statsd-address", f"{HOST}:{free_udp_port()}")
    assert done.returncode == 1
    assert "The values did not arrive: STATSD_ADDRESS: " in done.stderr


# ---- secrets and checks ----


def test_a_deprecated_secret_opens_its_views_and_no_others(caplog: pytest.LogCaptureFixture) -> None:
    ini = {"c2c.base_path": "/c2c", "c2c.debug_view_secret": "for debugging", "c2c.log_view_secret": "for levels"}
    http = TestApp(application(ini))
    assert "c2c.debug_view_secret" not in caplog.text
    assert "DEBUG_VIEW_SECRET is deprecated, and still opens its views" in caplog.text
    assert http.get("/c2c/debug/headers?secret=for+debugging").json
    assert http.get("/c2c/debug/headers", headers={"X-API-Key": "for debugging"}).json
    assert http.get("/c2c/logging/level?secret=for+levels&name=x&level=INFO").json["level"] == "INFO"
    for path in ("debug/headers?secret=for+levels", "debug/headers", "logging/level?secret=for+debugging&name=x"):
        http.get(f"/c2c/{path}", status=403)
    http.get("/c2c/sql_profiler?secret=for+levels", status=404)


def test_c2c_secret_opens_what_a_deprecated_one_turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQL_PROFILER_SECRET", "old")
    http = TestApp(application({"c2c.base_path": "/c2c", "c2c.secret": "new"}))
    for secret in ("old", "new"):
        assert http.get(f"/c2c/sql_profiler?secret={secret}").json["enabled"] is False


def test_unknown_checks_are_an_error_except_under_compat() -> None:
    def happy(_: object) -> str:
        return "happy"

    def asked(name: str, ini: dict[str, str], status: int) -> Any:
        config = Configurator(settings={"c2c.base_path": "/c2c", **ini})
        health_check = HealthCheck(config)
        health_check.add_custom_check("happy", happy)
        http = TestApp(config.make_wsgi_app())
        return http.get(f"/c2c/health_check?checks={name}", status=status).json

    assert "expected some of happy" in asked("happy,other", {}, 400)["message"]
    as_in_2018 = {"c2c.ignore_unknown_checks": "1"}
    assert set(asked("happy,other", as_in_2018, 200)["successes"]) == {"happy"}
    assert asked("other", as_in_2018, 200)["successes"] == {}
    code = START + "from c2cotel.plugin import ApplicationSettings, Settings\n"
    code += "print(Settings({}).section(ApplicationSettings).ignore_unknown_checks)"
    assert python(code).stdout == "True\n"


def application(ini: dict[str, str]) -> Any:
    config = Configurator(settings=ini)
    c2cotel.setup(config)
    return config.make_wsgi_app()


# ---- logs ----

RECORDS = """
import logging, c2cotel.compat
logging.basicConfig(format="%(levelname)s %(name)s %(message)s %(referer)s", level="INFO")
for handler in logging.root.handlers:
    handler.addFilter(lambda record: vars(record).setdefault("referer", "-") is not None)
logging.getLogger("c2cwsgiutils.errors").setLevel("ERROR")
import c2cwsgiutils.pyramid
from pyramid.config import Configurator
from webtest import TestApp
def view(request): raise ValueError("broken")
config = Configurator(settings={"c2c.base_path": "/c2c", "c2c.secret": "s", "c2c.log_view_enabled": "1",
                                "c2c.sql_profiler_enabled": "1"})
config.include(c2cwsgiutils.pyramid.includeme)
config.add_route("broken", "/broken")
config.add_view(view, route_name="broken")
http = TestApp(config.make_wsgi_app())
http.get("/broken", headers={"Referer": "http://shop/?secret=hidden&a=b"}, status=500)
http.get("/nowhere", status=404)
http.get("/c2c/logging/level?secret=s&name=shop&level=DEBUG")
http.get("/c2c/sql_profiler?secret=s&enable=1")
import warnings
warnings.warn("look here")
"""


def test_records_have_the_names_and_fields_of_2018() -> None:
    done = python(RECORDS)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    (broken,) = [line for line in lines if line.startswith("ERROR c2cwsgiutils.errors GET /broken")]
    assert "http://shop/?secret=" in broken
    assert "&a=b" in broken
    assert "hidden" not in done.stderr
    assert not [line for line in lines if "/nowhere" in line], "the level of c2cwsgiutils.errors counts"
    assert "CRITICAL c2cwsgiutils.logging_view The level of the logger shop changes from NOTSET to DEBUG -" in lines
    assert "WARNING c2cwsgiutils.sql_profiler The SQL profiler is turned on -" in lines
    assert [line for line in lines if line.startswith("WARNING py.warnings ") and "look here" in line]
    assert [line for line in lines if re.match("INFO c2cwsgiutils._setup c2cotel .* starts", line)]
    assert [line for line in lines if line.startswith("INFO c2cwsgiutils Views at /c2c: /, ")]
    assert not [line for line in lines if " c2cotel" in line.partition(" ")[2][:8]]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("asked", [True, False])
def test_syslog_may_be_a_unix_socket(kind: socket.SocketKind, asked: bool, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.settimeout(10)
        server.bind(path)
        if kind == socket.SOCK_STREAM:
            server.listen()
        handler = PyramidCeeSysLogHandler(path, "local1", kind if asked else None)
        try:
            handler.emit(logging.LogRecord("shop", logging.INFO, "", 0, "hello", (), None))
            with server.accept()[0] if kind == socket.SOCK_STREAM else nullcontext(server) as receiver:
                message = receiver.recv(65_536)
        finally:
            handler.close()
    assert message.startswith(b"<142>: @cee: {")
    assert message.endswith(b"}\0")


def test_syslog_may_be_tcp() -> None:
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(10)
        handler = PyramidCeeSysLogHandler(
            server.getsockname(), facility=logging.handlers.SysLogHandler.LOG_LOCAL0, socktype=socket.SOCK_STREAM
        )
        try:
            handler.emit(logging.LogRecord("shop", logging.ERROR, "", 0, "hello", (), None))
            with server.accept()[0] as receiver:
                receiver.settimeout(10)
                assert receiver.recv(65_536).startswith(b"<131>: @cee: {")
        finally:
            handler.close()
