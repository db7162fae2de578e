"""`c2cotel doctor`: each planted mistake is found, a right configuration is left in peace, no secret is shown."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from c2cotel import doctor
from c2cotel.config.declare import Settings
from tests.servers.local import HOST, free_tcp_port, free_udp_port
from tests.servers.otlp import OtlpReceiver
from tests.servers.udp import UdpListener
from tests.unit.test_commands import call

SECRET = "k7Jq-2mVx-9fLw-0sTz"
INI = """
[app:main]
use = egg:nothing
pyramid.includes = pyramid_tm
c2c.base_path = /c2c
c2c.secret = %(SHOP_SECRET)s
sqlalchemy.url = sqlite:///%(here)s/shop.db
unset = %(C2C_LOG_LEVEL)s
"""


@pytest.fixture
def right(udp_listener: UdpListener, otlp: OtlpReceiver) -> dict[str, str]:
    """An environment in which everything is right, servers included."""
    return {
        "PATH": "/usr/bin",
        "SHOP_SECRET": SECRET,
        "C2C_LOG_LEVEL": "INFO",
        "C2C_DEBUG_VIEW_ENABLED": "1",
        "STATSD_ADDRESS": udp_listener.address,
        "STATSD_TAG_REGION": "west",
        "SENTRY_URL": "https://0123456789abcdef@sentry.example/7",
        "SENTRY_TAG_TEAM": "shop",
        "SENTRY_ENVIRONMENT": "prod",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_PYTHON_LOG_CORRELATION": "true",
        "GUNICORN_PARAMS": "-b :8080 --worker-class gthread --threads 10 --workers 2 --preload",
    }


def found(environ: dict[str, str], ini: dict[str, Any] | None = None, text: str = "", **rest: Any) -> list[str]:
    report = doctor.examine(Settings(environ, ini), ini_text=text, **rest)
    return [str(problem) for problem in report.problems]


def test_nothing_is_said_of_a_right_configuration(
    right: dict[str, str], udp_listener: UdpListener, tmp_path: Path
) -> None:
    (tmp_path / "production.ini").write_text(INI)
    done = call(tmp_path, "doctor", "--config", "production.ini", **right)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No problem found." in done.stdout
    assert "problem  " not in done.stdout
    assert udp_listener.datagrams == [b"\n"]


MISTAKES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "a name of ours misspelt": ({"C2C_SECRT": "x"}, {}, "C2C_SECRT: no setting has this name: is C2C_SECRET meant?"),
    "a name in small letters": ({"c2c_base_path": "x"}, {}, "c2c_base_path: .* is C2C_BASE_PATH meant"),
    "a name of statsd": ({"STATSD_ADRESS": "x"}, {}, "STATSD_ADRESS: .* is STATSD_ADDRESS meant"),
    "a name of Sentry": ({"SENTRY_LEVL": "x"}, {}, "SENTRY_LEVL: .* is SENTRY_LEVEL meant"),
    "a name of OpenTelemetry": ({"OTEL_SERVICENAME": "x"}, {}, "OTEL_SERVICENAME: .* is OTEL_SERVICE_NAME meant"),
    "a name in the ini": ({}, {"c2c.basepath": "/c2c"}, r"c2c.basepath: .* in an ini: is c2c.base_path meant"),
    "a text that is none": ({"STATSD_USE_TAGS": "maybe"}, {}, "STATSD_USE_TAGS: 'maybe': expected a boolean"),
    "a short secret": ({"C2C_SECRET": "abc123"}, {}, "C2C_SECRET: shorter than 12 characters"),
    "a secret that is known": ({"C2C_SECRET": "changeme-now!"}, {}, "C2C_SECRET: easy to guess"),
    "an empty secret": ({"C2C_SECRET": ""}, {}, "C2C_SECRET: empty"),
    "no secret": (
        {"C2C_LOG_VIEW_ENABLED": "1", "C2C_PROFILER_PATH": "/p"},
        {},
        "C2C_SECRET: not set, so the views of C2C_LOG_VIEW_ENABLED, C2C_PROFILER_PATH are not served",
    ),
    "no secret for the flight recorder": (
        {"C2C_FLIGHT_RECORDER": "1", "C2C_BASE_PATH": "/c2c"},
        {},
        "C2C_SECRET: not set, so the views of C2C_FLIGHT_RECORDER are not served",
    ),
    "no path for the flight recorder": (
        {"C2C_FLIGHT_RECORDER": "1", "C2C_SECRET": "9f2c51a07be84d36"},
        {},
        "C2C_BASE_PATH: not set, so no page shows what C2C_FLIGHT_RECORDER keeps",
    ),
    "statsd has no such name": (
        {"STATSD_ADDRESS": "statsd.invalid"},
        {},
        "STATSD_ADDRESS: (cannot be reached|no answer within)",  # some resolvers only ever time out
    ),
    "no statsd over TCP": (
        {"STATSD_ADDRESS": f"tcp://{HOST}:{free_tcp_port()}"},
        {},
        "STATSD_ADDRESS: cannot be reached",
    ),
    "no statsd's socket": ({"STATSD_ADDRESS": "unix:///nowhere/statsd"}, {}, "STATSD_ADDRESS: cannot be reached"),
    "no statsd": ({"STATSD_ADDRESS": f"{HOST}:{free_udp_port()}"}, {}, "STATSD_ADDRESS: cannot be reached"),
    "no collector": (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{free_tcp_port()}"},
        {},
        "OTEL_EXPORTER_OTLP_ENDPOINT: cannot be reached: ConnectionRefusedError",
    ),
    "the port of another protocol": (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:4317"},
        {},
        "4317 is the port of OTLP over gRPC: expected that of OTLP over HTTP",
    ),
    "no URL": (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"},
        {},
        "no URL: expected one such as http://localhost:4318",
    ),
    "an exporter that is not there": (
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {},
        "OTEL_TRACES_EXPORTER: the exporter 'zipkin' is not installed: expected pip install",
    ),
    "no Redis": ({"C2C_REDIS_URL": f"redis://:pw@{HOST}:{free_tcp_port()}"}, {}, "C2C_REDIS_URL: cannot be reached"),
    "no name for the sentinels": (
        {"C2C_REDIS_SENTINELS": f"{HOST}:1"},
        {},
        "C2C_REDIS_SENTINELS: C2C_REDIS_SERVICENAME is not set",
    ),
    "no database": (
        {},
        {"sqlalchemy.url": f"postgresql+psycopg2://u:pw@{HOST}:{free_tcp_port()}/d"},
        "sqlalchemy.url: cannot be reached: OperationalError",
    ),
    "no such dialect": ({}, {"db.url": "postgres://u:pw@h/d"}, "db.url: cannot be reached: NoSuchModuleError"),
    "no place for the database": ({}, {"db.url": "sqlite:////no/where.db"}, "/no: there is no such directory"),
    "no DSN": ({"SENTRY_URL": "https://sentry.example/7"}, {}, "SENTRY_URL: no DSN"),
    "no port in the DSN": ({"SENTRY_URL": "https://key@sentry.example:80x/7"}, {}, "SENTRY_URL: no DSN"),
    "contrib's tween": (
        {},
        {"pyramid.includes": "pyramid_tm opentelemetry.instrumentation.pyramid.callbacks"},
        "opentelemetry.instrumentation.pyramid: beside c2cotel, each request has two spans",
    ),
    "opentelemetry-instrument": (
        {"PYTHONPATH": "/venv/opentelemetry/instrumentation/auto_instrumentation:/app"},
        {},
        "opentelemetry-instrument: .* set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=pyramid",
    ),
    "two places for statsd": (
        {"STATSD_ADDRESS": "localhost:1", "OTEL_EXPORTER_STATSD_ENDPOINT": "localhost:2"},
        {},
        "OTEL_EXPORTER_STATSD_ENDPOINT: not used",
    ),
    "options that are none": (
        {"GUNICORN_PARAMS": "--bind ':80"},
        {},
        "GUNICORN_PARAMS: expected options as in a shell",
    ),
    "loaded before gevent": (
        {"GUNICORN_PARAMS": "--preload -k gevent"},
        {},
        "GUNICORN_PARAMS: --preload with the worker class gevent: .* hangs",
    ),
    "loaded once and for all": ({"GUNICORN_CMD_ARGS": "--preload --reload"}, {}, "--reload has no effect"),
}


@pytest.mark.parametrize(("environ", "ini", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_and_nothing_else(environ: dict[str, str], ini: dict[str, str], message: str) -> None:
    problems = found(environ, ini)
    expected = 1 + ("not used" in message)  # where nobody listens either
    assert len(problems) == expected, problems
    assert re.search(message, problems[0])
    assert "pw" not in "".join(problems)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("[uwsgi]\nmodule = shop", ["without enable-threads", "loaded before the fork"]),
        ("[uwsgi]\nenable-threads = true", ["loaded before the fork"]),
        ("[uwsgi]\nthreads = 4\nlazy-apps = true", []),
        ("[uwsgi]\nenable-threads\npy-call-uwsgi-fork-hooks = 1", []),
        ("[filter:otel]\nuse = call:opentelemetry.instrumentation.wsgi:middleware", ["beside c2cotel"]),
    ],
)
def test_what_stands_outside_of_the_applications_section_is_seen(text: str, messages: list[str]) -> None:
    problems = found({}, text=text)
    assert len(problems) == len(messages)
    for problem, message in zip(problems, messages, strict=True):
        assert message in problem


def test_a_collector_that_knows_no_such_path_is_found(otlp: OtlpReceiver) -> None:
    (problem, *_) = found({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{otlp.url}/v1/traces", "OTEL_METRICS_EXPORTER": "none"})
    assert "404 from" in problem
    assert "expected the base URL of a collector" in problem


class _Refuses(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        if "moved" not in self.path:
            self.send_error(401)
            return
        self.send_response(302)
        self.send_header("Location", "https://elsewhere.example/login?token=hunter2")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer((HOST, 0), _Refuses)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_collector_that_wants_a_key_is_found(refusing: str) -> None:
    (problem,) = found({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{refusing}/v1/traces"})
    assert problem.startswith("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 401 from ")


def test_a_collector_that_redirects_is_found(refusing: str) -> None:
    (problem,) = found({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{refusing}/moved"})
    assert problem.startswith("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 302 from ")
    assert "it redirects to https://elsewhere.example/login" in problem
    assert "hunter2" not in problem


def test_the_library_of_2018_beside_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known = metadata.distribution
    monkeypatch.setattr(
        "c2cotel.doctor._hazards.distribution", lambda name: known("c2cotel" if name == "c2cwsgiutils" else name)
    )
    assert found({}) == [
        "c2cwsgiutils: the library of 2018 is installed beside c2cotel: uninstall it, or both time each request"
    ]


def test_an_examination_may_leave_the_servers_alone() -> None:
    assert found({"STATSD_ADDRESS": "statsd.invalid", "C2C_REDIS_URL": "redis://h.invalid"}, connect=False) == []


def test_every_setting_is_shown_with_its_origin_and_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "shop.ini").write_text(
        INI + "c2c.statsd_prefix = from ini\nc2c.redis_url = redis://:pa55@h.invalid/1\n"
    )
    environ = {
        "SHOP_SECRET": SECRET,
        "C2C_LOG_LEVEL": "INFO",
        "STATSD_TAG_REGION": "west",
        "SENTRY_URL": "https://k3y@sentry.example/7",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer t0ken",
        "STATSD_MAX_SERIES": "7",
    }
    done = call(tmp_path, "doctor", "--config", "shop.ini", "--no-connect", "--json", **environ)
    assert done.returncode == 0
    assert not [word for word in (SECRET, "pa55", "k3y", "t0ken") if word in done.stdout]
    shown = {item["name"]: (item["value"], item["origin"], item["ini"]) for item in json.loads(done.stdout)["settings"]}
    assert shown["C2C_SECRET"] == ("REDACTED", "ini", "c2c.secret")
    assert shown["C2C_REDIS_URL"] == ("redis://:REDACTED@h.invalid/1", "ini", "c2c.redis_url")
    assert shown["STATSD_PREFIX"] == ("from ini", "ini", "c2c.statsd_prefix")
    assert shown["STATSD_MAX_SERIES"] == ("7", "env", None)
    assert shown["STATSD_TAG_REGION"] == ("west", "env", None)
    assert shown["STATS_VIEW"] == ("off", "default", None)
    assert shown["SENTRY_URL"] == ("https://REDACTED@sentry.example/7", "env", None)
    assert shown["OTEL_EXPORTER_OTLP_HEADERS"] == ("REDACTED", "env", None)


def test_the_import_for_applications_of_2018_is_an_origin(tmp_path: Path) -> None:
    (tmp_path / "old.ini").write_text("[app:main]\npyramid.includes = c2cwsgiutils.pyramid\n")
    done = call(tmp_path, "doctor", "--config", "old.ini")
    assert "STATSD_2018_NAMES 1 (c2cotel.compat)" in " ".join(done.stdout.split())
    assert done.returncode == 0


def test_the_exit_code_is_1_when_there_is_a_problem(tmp_path: Path) -> None:
    done = call(tmp_path, "doctor", C2C_SECRT="x", STATSD_USE_TAGS="maybe")
    assert done.returncode == 1
    assert "problem  C2C_SECRT: no setting has this name: is C2C_SECRET meant?" in done.stdout
    assert "2 problems found." in done.stdout


def test_problems_come_before_settings_and_defaults_only_if_asked_for(tmp_path: Path) -> None:
    short = call(tmp_path, "doctor", C2C_SECRT="x", STATSD_PREFIX="shop").stdout
    assert short.index("C2C_SECRT: no setting has this name") < short.index("STATSD_PREFIX")
    assert "C2C_BASE_PATH" not in short
    assert "settings have their defaults; --all shows them" in short
    assert len(short.splitlines()) < 15
    whole = call(tmp_path, "doctor", "--all", C2C_SECRT="x", STATSD_PREFIX="shop").stdout
    assert whole.index("C2C_SECRT: no setting has this name") < whole.index("C2C_BASE_PATH")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "production.ini: No such file or directory. Expected the ini file of the application"),
        ("[app:other]\n", "it has no section [app:main]"),
        ("[app:main]\na = %(NOWHERE)s\n", "a in [app:main] uses %(NOWHERE)s"),
        ("nonsense", "File contains no section headers"),
    ],
)
def test_an_ini_that_cannot_be_used_is_an_error(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "production.ini").write_text(text)
    done = call(tmp_path, "doctor", C2COTEL_CONFIG="production.ini")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
