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
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import transaction
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from webtest import TestApp

import c2cotel
from c2cotel import db
from c2cotel.errors import SettingsError
from c2cotel.logs import JsonLogHandler, PyramidCeeSysLogHandler
from c2cotel_views.health import HealthCheck
from tests.contract.test_2018 import python
from tests.servers.local import HOST, ROOT, environment, free_udp_port
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
    assert "GET /broken returned status code 500: " in broken
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


# ---- from the later versions: databases ----


class Base(DeclarativeBase):
    """What the tables have in common."""


class Hello(Base):
    """A row."""

    __tablename__ = "hello"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def databases(tmp_path: Path) -> dict[str, str]:
    """Settings of a master and a slave, which share a file."""
    url = f"sqlite:///{tmp_path}/a.db"
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
    return {"sqlalchemy.url": url, "sqlalchemy_slave.url": f"{url}?timeout=9"}


def test_each_request_has_its_dbsession(databases: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "c2cotel.db")
    seen: list[Any] = []

    def hello(request: Any) -> dict[str, Any]:
        seen.append(request.dbsession)
        if request.method == "POST":
            request.dbsession.add(Hello())
        if request.params.get("fail"):
            raise HTTPBadRequest
        engine: Any = request.dbsession.connection().engine
        return {"engine": engine.c2c_name, "rows": request.dbsession.query(Hello).count()}

    config = Configurator(settings={"c2c.base_path": "/c2c", **databases})
    c2cotel.setup(config)
    factory = db.init(config, "sqlalchemy", "sqlalchemy_slave", force_master=["GET /forced"])
    HealthCheck(config).add_db_session_check(factory, at_least_one_model=Hello)
    for name in ("hello", "forced"):
        config.add_route(name, f"/{name}")
        config.add_view(hello, route_name=name, renderer="json")
    http = TestApp(config.make_wsgi_app())
    assert http.get("/hello").json == {"engine": "sqlalchemy_slave", "rows": 0}
    assert http.post("/hello").json == {"engine": "sqlalchemy", "rows": 1}
    http.post("/hello?fail=1", status=400)
    assert http.get("/forced").json == {"engine": "sqlalchemy", "rows": 1}, "only what succeeded is committed"
    assert len({id(session) for session in seen}) == len(seen)
    assert "Using slave for GET /hello" in caplog.messages
    assert "Using master for POST /hello" in caplog.messages
    report = http.get("/c2c/health_check").json
    assert set(report["successes"]) == {"db_engine_sqlalchemy", "db_engine_sqlalchemy_slave"}
    given = factory()
    http.get("/hello", extra_environ={"app.dbsession": given})
    assert seen[-1] is given
    given.close()
    for engine in (factory.c2c_rw_bind, factory.c2c_ro_bind):
        engine.dispose()


def test_a_script_has_a_session_of_a_transaction_manager(databases: dict[str, str]) -> None:
    engine = db.get_engine(databases, "sqlalchemy.")
    factory = db.get_session_factory(engine)
    with transaction.manager:
        db.get_tm_session(factory, transaction.manager).add(Hello())
    with transaction.manager:
        assert db.get_tm_session(factory, transaction.manager).query(Hello).count() == 1
    engine.dispose()
    with pytest.raises(SettingsError, match=r"other\.url is not set"):
        db.get_engine(databases, "other.")


# ---- from the later versions: inis and scripts ----

MODULE = """
import c2cotel.compat
import c2cwsgiutils.pyramid
from pyramid.config import Configurator
from pyramid.response import Response

def main(_, **settings):
    config = Configurator(settings=settings)
    config.include(c2cwsgiutils.pyramid.includeme)
    config.add_route("hello", "/hello")
    config.add_view(lambda request: Response(settings["greeting"]), route_name="hello")
    return config.make_wsgi_app()
"""
INI = """
[app:main]
paste.app_factory = shop:main
greeting = %(GREETING)s and %(more)s
[loggers]
keys = root, c2cwsgiutils
[handlers]
keys = json
[formatters]
keys =
[logger_root]
level = INFO
handlers = json
[logger_c2cwsgiutils]
level = %(C2C_LOG_LEVEL)s
handlers =
qualname = c2cwsgiutils
[handler_json]
class = c2cwsgiutils.pyramid_logging.JsonLogHandler
args = ()
kwargs = {'stream': 'ext://sys.stdout'}
"""


@pytest.fixture
def ini(tmp_path: Path) -> dict[str, str]:
    """The environment of an application of version 6."""
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "production.ini").write_text(INI)
    return {
        "PYTHONPATH": str(tmp_path),
        "C2CWSGIUTILS_CONFIG": f"c2c://{tmp_path}/production.ini",
        "GREETING": "100 %",
        "C2C_LOG_LEVEL": "WARNING",
        "more": "more",
    }


def test_a_script_bootstraps_the_application(ini: dict[str, str]) -> None:
    done = python(
        "import argparse, logging\nfrom c2cotel import setup_process\nparser = argparse.ArgumentParser()\n"
        "setup_process.fill_arguments(parser)\n"
        f"options = parser.parse_args([{ini['C2CWSGIUTILS_CONFIG']!r}, 'more=less'])\n"
        "with setup_process.bootstrap_application_from_options(options) as env:\n"
        "    logging.getLogger('script').info(env['registry'].settings['greeting'])",
        **ini,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [json.loads(line) for line in done.stdout.splitlines() if '"script"' in line]
    assert line["msg"] == "100 % and less"


@pytest.mark.parametrize("command", [["proutes"], ["pshell", "-p", "python"]])
def test_the_loader_c2c_serves_pyramids_commands(command: list[str], ini: dict[str, str]) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name(command[0]), *command[1:], ini["C2CWSGIUTILS_CONFIG"]],
        input="print(registry.settings['greeting'])\n",
        env={**environment(ini), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("/hello" if command[0] == "proutes" else "100 % and more") in done.stdout


def test_gunicorns_configuration_takes_its_logging_from_the_ini(ini: dict[str, str]) -> None:
    done = python(
        START + "import logging, logging.config, c2cwsgiutils\n"
        "logging.config.dictConfig(c2cwsgiutils.get_logconfig_dict(c2cwsgiutils.get_paste_config()))\n"
        "print(c2cwsgiutils.get_config_defaults()['GREETING'])\n"
        "logging.getLogger('c2cwsgiutils.x').info('no')\nlogging.getLogger('shop').info('yes')",
        **ini,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "100 %%"
    assert [json.loads(line)["msg"] for line in done.stdout.splitlines()[1:]] == ["yes"]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("# c2cwsgiutils was here", False),
        ("; class = c2cwsgiutils.pyramid_logging.JsonLogHandler", False),
        ("a = 1 ; once c2cwsgiutils", False),
        ("sqlalchemy.url = postgresql://db/c2cwsgiutils", False),
        ("folder = /app/c2cwsgiutils/files", False),
        ("mail = c2cwsgiutils@example.com", False),
        ("package = my-c2cwsgiutils", False),
        ("package = my_c2cwsgiutils", False),
        ("class = c2cwsgiutils.pyramid_logging.JsonLogHandler", True),
        ("use = egg:c2cwsgiutils", True),
        ("qualname = c2cwsgiutils", True),
        ("pyramid.includes = pyramid_tm c2cwsgiutils.pyramid", True),
    ],
)
def test_only_what_an_ini_uses_turns_compat_on(line: str, names: bool, tmp_path: Path) -> None:
    file = tmp_path / "production.ini"
    file.write_text(f"[app:main]\n{line}\npaste.app_factory = shop:main\n")
    done = python(
        f"import sys\nfrom c2cotel import ini\nini.set_up_logging({str(file)!r})\n"
        "print('c2cotel.compat' in sys.modules)"
    )
    assert done.stdout == f"{names}\n", done.stderr


def test_a_handler_takes_the_name_of_a_standard_stream() -> None:
    assert JsonLogHandler("ext://sys.stdout").stream is sys.stdout
    assert JsonLogHandler(stream="ext://sys.stderr").stream is sys.stderr
    with pytest.raises(ValueError, match=r"stream='x': expected one of ext://sys\.stdout"):
        JsonLogHandler("x")


# ---- from the later versions: views ----


@pytest.mark.parametrize(("value", "answered"), [("1", True), ("0", False)])
def test_exception_handling_may_be_enabled_as_in_version_6(value: str, answered: bool) -> None:
    http = TestApp(application({"c2c.enable_exception_handling": value}))
    answer = http.get("/nowhere", status=404)
    assert (answer.content_type == "application/json") is answered


def test_the_time_of_the_process_is_told() -> None:
    http = TestApp(application({"c2c.base_path": "/c2c", "c2c.secret": "s", "c2c.debug_view_enabled": "1"}))
    answer = http.get("/c2c/debug/time?secret=s").json
    assert datetime.fromisoformat(answer["time"]).timestamp() == answer["timestamp"]
    assert answer["timezone"]


@pytest.mark.parametrize("name", ["cornice_json", "cornice_fast_json"])
def test_cornices_renderers_have_their_names(name: str) -> None:
    config = Configurator(settings={})
    c2cotel.setup(config)
    config.add_route("hello", "/hello")
    config.add_view(lambda _: {"b": [1], "a": "é"}, route_name="hello", renderer=name)
    answer = TestApp(config.make_wsgi_app()).get("/hello")
    assert answer.json == {"b": [1], "a": "é"}
    assert answer.text.startswith('{\n  "a": ')


# ---- what has to be done by hand ----


def test_doctor_finds_entry_points_without_compat(tmp_path: Path) -> None:
    (tmp_path / "alembic").mkdir()
    (tmp_path / "alembic" / "env.py").write_text("import os\nimport c2cwsgiutils.setup_process\n")
    (tmp_path / "conftest.py").write_text("import c2cotel.compat\nfrom c2cwsgiutils.acceptance import utils\n")
    (tmp_path / "models_graph.py").write_text("import os\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("c2cotel"), "doctor", "--no-connect"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    reason = "imports c2cwsgiutils without c2cotel.compat: expected `import c2cotel.compat` as its first import"
    assert problems == [f"problem  alembic/env.py: {reason}"]


MIGRATE = (ROOT / "docs/how-to/migrate.md").read_text()
DIFFERENCES = re.findall(r"^\| .* \| `([\w/]+\.py)::(\w+)` \|$", MIGRATE, re.MULTILINE)


def test_the_list_of_differences_is_not_empty() -> None:
    section = MIGRATE.partition("## Deliberate differences")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) - 1 == len(DIFFERENCES) >= 10, "each row names the test that keeps it"


@pytest.mark.parametrize(("file", "function"), DIFFERENCES)
def test_a_listed_difference_is_kept_by_a_test(file: str, function: str) -> None:
    assert f"def {function}(" in (ROOT / "tests" / file).read_text()


def test_every_module_of_2018_is_in_the_guide() -> None:
    code = START + "print(*c2cotel.compat.MODULES, *c2cotel.compat.GONE)"
    for name in python(code).stdout.split():
        assert f"c2cwsgiutils.{name}`" in MIGRATE or f"`.{name}`" in MIGRATE, name
