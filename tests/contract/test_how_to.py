"""The how-to pages: their code runs, and what they set can be set."""

from __future__ import annotations

import configparser
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import transaction
import yaml
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from webtest import TestApp

import c2cotel
from c2cotel.config.declare import Settings
from c2cotel.config.settings import APPLICATION, PROCESS
from c2cotel.metrics import instruments
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.testing import Recorded, recording
from c2cotel_views.health import HealthCheck
from tests.apps.application import Application
from tests.servers.local import ROOT, environment
from tests.unit.documents import Block, blocks

PAGES = sorted((ROOT / "docs/how-to").glob("*.md"))
KEY = {"X-API-Key": "secret"}
_EXPORT = re.compile(r"\b([A-Z][A-Z0-9_]+)=(\S+)")


def codes(page: str, language: str = "python") -> list[Block]:
    """The blocks of a page in one language."""
    return [block for block in blocks(ROOT / f"docs/how-to/{page}.md") if block.language == language]


def run(block: Block, **names: Any) -> dict[str, Any]:
    """Execute a block; returns its names."""
    exec(compile(block.text, f"line {block.line}", "exec"), names)
    return names


class Base(DeclarativeBase):
    """Of the tables here."""


class Hello(Base):
    """A table as the pages name it."""

    __tablename__ = "hello"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str]


# ---- settings


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_what_a_page_sets_is_a_setting_and_is_accepted(page: Path) -> None:
    found = [
        (name, given)
        for block in blocks(page)
        if block.language in {"shell", "dockerfile", "ini"}
        for name, given in _EXPORT.findall(block.text)
        if name.startswith(("C2C_", "STATSD_", "OTEL_", "SENTRY_", "C2COTEL_"))
        and "…" not in given
        and "$" not in given
    ]
    settings = Settings(dict(found))
    for section in (*APPLICATION, *PROCESS):
        settings.section(section)
    documented = (ROOT / "docs/reference/settings.md").read_text()
    for name, _ in found:
        assert f"`{name}`" in documented or name.startswith(("OTEL_", "SENTRY_TAG_", "C2COTEL_")), name


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs/tutorial.md", *PAGES], ids=lambda page: page.stem)
def test_no_page_installs_what_no_registry_has(page: Path) -> None:
    for block in blocks(page):
        assert not re.search(r"pip install[^\n&]*['\" ](c2cotel|c2cotel-views)\b", block.text), f"line {block.line}"


# ---- the pages


def test_broadcast(c2cotel_recorded: Recorded) -> None:
    del c2cotel_recorded
    (block,) = codes("broadcast")
    c2cotel.setup()
    entries: dict[str, int] = {"a": 1}
    view = run(block, CACHE=entries)["view"]
    (answer,) = view(None)
    assert (answer["entries"], entries) == (1, {})
    assert {"hostname", "pid"} <= answer.keys()


def test_add_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS_VIEW", "1")
    plugin, *_ = codes("add-a-view")
    module = ModuleType("threads_plugin")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(plugin.text, "threads_plugin.py", "exec"), module.__dict__)
    app = Application({"c2c.base_path": "/c2c", "c2c.secret": "secret"}, module.includeme)
    app.http.get("/c2c/threads", status=403)
    (answer,) = app.http.get("/c2c/threads", headers=KEY).json
    assert "MainThread" in answer["threads"]


def test_add_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class Transport:
        def perform_request(self, method: str) -> str:
            return f"answer to {method}"

    instrument, module = codes("add-a-library")
    search = run(instrument, Instrument=instruments.Instrument, Kind=instruments.Kind)["SEARCH"]
    monkeypatch.setattr(instruments, "TABLE", (*instruments.TABLE, search))
    install = run(module, Transport=Transport, SEARCH=search, is_suppressed=is_suppressed)["install"]
    original = Transport.perform_request
    with recording() as recorded:
        undo = install(c2cotel.setup())
        assert Transport().perform_request("GET") == "answer to GET"
        assert [line.partition(":")[0] for line in recorded.lines] == ["search.GET"]
    undo()
    assert Transport.perform_request is original


def test_statsd(c2cotel_recorded: Recorded) -> None:
    (block,) = codes("statsd")
    c2cotel.setup()
    run(block, import_orders=int, send_orders=int)
    names = [line.partition(":")[0] for line in c2cotel_recorded.lines]
    assert names == ["orders.import", "orders.send.success", "orders.received", "orders.waiting"]


def test_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (ini,) = codes("db-sessions", "ini")
    setup, binds, changed, script = codes("db-sessions")
    url = f"sqlite:///{tmp_path}/hello.db"
    Base.metadata.create_all(create_engine(url))
    parser = configparser.ConfigParser({"SQLALCHEMY_URL": url, "SQLALCHEMY_URL_SLAVE": url})
    parser.read_string("[app:main]\n" + ini.text)
    config = Configurator(settings={name: value for name, value in parser["app:main"].items() if "." in name})
    c2cotel.setup(config)
    names = run(setup)
    names["init"](config)
    with transaction.manager:
        run(binds, DBSession=names["DBSession"], query=text("SELECT 1"))
        names["DBSession"].remove()
    monkeypatch.setitem(names, "text", lambda _: text("UPDATE hello SET value = value"))
    with transaction.manager:
        exec(compile(changed.text, "db-sessions", "exec"), names)
    run(script, url=url, Hello=Hello)
    with create_engine(url).connect() as connection:
        assert connection.scalar(text("SELECT value FROM hello")) == "from a worker"


def test_errors_and_services() -> None:
    (block,) = codes("errors-and-services")

    def configure(config: Configurator) -> None:
        config.include("cornice")
        config.add_cornice_service(run(block)["hello_service"])

    assert Application({}, configure).http.get("/hello").json == {"hello": True}


def test_health_checks(tmp_path: Path) -> None:
    (block,) = codes("health-checks")
    (tmp_path / "alembic.ini").write_text(f"[alembic]\nscript_location = {tmp_path}\n")
    engine = create_engine(f"sqlite:///{tmp_path}/a.db")
    Base.metadata.create_all(engine)
    session = sessionmaker(engine)
    with Configurator(settings={"c2c.base_path": "/c2c"}) as config:
        c2cotel.setup(config)
        code = block.text.replace("/app/alembic.ini", str(tmp_path / "alembic.ini"))
        names = run(
            Block("python", "", code, block.line),
            config=config,
            DBSession=session,
            models=SimpleNamespace(Hello=Hello),
            count_jobs=lambda: 1200,
        )
    assert isinstance(names["health_check"], HealthCheck)
    report = TestApp(config.make_wsgi_app()).get("/c2c/health_check?max_level=2&checks=queue", status=500).json
    assert report["failures"]["queue"]["result"] == {"waiting": 1200}


def test_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    (block,) = codes("flight-recorder")

    def order(_: Request) -> dict[str, Any]:
        run(block, order=SimpleNamespace(id=7), customer=SimpleNamespace(name="Ada"))
        return {}

    app = _one_view(order)
    app.http.get("/order", headers={"X-Request-ID": "the-id"})
    app.telemetry.flush()
    record = app.http.get("/c2c/requests/the-id.json", headers=KEY).json
    assert record["attributes"] == {"order": 7, "customer": "Ada"}


def test_repeats_on_purpose() -> None:
    (block,) = codes("look-closer")
    export = run(block)["export"]
    assert (export.__name__, export(None)) == ("export", None)


def test_logs_and_sentry(tmp_path: Path) -> None:
    (ini,) = codes("logs-and-sentry", "ini")
    (script,) = codes("logs-and-sentry")
    (tmp_path / "production.ini").write_text(ini.text)
    code = "import sys, logging, logging.config; logging.config.fileConfig('production.ini'); logging.warning('here')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert '"here"' in done.stdout + done.stderr, done.stderr
    called: list[str] = []
    run(script, main=lambda: called.append("main"))
    assert called == ["main"]
    assert logging.getLogger().level != logging.CRITICAL


def test_the_command_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_SECRET", "a long and random text")
    (command,) = (block.text for block in codes("look-closer", "shell") if "debug-token" in block.text)
    done = subprocess.run(
        [sys.executable, "-m", "c2cotel.cli", *command.split()[1:]],
        env=environment({"C2C_SECRET": "a long and random text"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_tests_of_an_application(tmp_path: Path) -> None:
    (shop,) = (block for block in blocks(ROOT / "docs/tutorial.md") if block.title == "shop.py")
    tests, outside = codes("test")
    (tmp_path / "shop.py").write_text(shop.text)
    (tmp_path / tests.title).write_text(tests.text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests.title],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert " passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert callable(run(outside)["test_hello"])


# ---- files of others


_FIELDS = {
    "livenessProbe": {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"},
    "containers": {"name", "env", "volumeMounts"},
    "volumes": {"name", "emptyDir"},
}
"""What of a pod the page uses, as Kubernetes names it: https://kubernetes.io/docs/reference/kubernetes-api/"""


def test_the_probes_ask_what_is_served() -> None:
    probes, pod = (yaml.safe_load(block.text) for block in codes("kubernetes", "yaml"))
    assert probes.keys() == {"livenessProbe", "readinessProbe", "startupProbe"}
    with Configurator(settings={"c2c.base_path": "/c2c"}) as config:
        c2cotel.setup(config)
        HealthCheck(config)
    http = TestApp(config.make_wsgi_app())
    for probe in probes.values():
        assert probe.keys() <= _FIELDS["livenessProbe"]
        assert probe["httpGet"].keys() == {"path", "port"}
        http.get(probe["httpGet"]["path"], status=200)
    volumes = {volume["name"] for volume in pod["volumes"]}
    for name in ("containers", "volumes"):
        assert all(each.keys() <= _FIELDS[name] for each in pod[name])
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert {variable["name"] for variable in container["env"]} == {"C2C_STATE_DIR"}


def test_prometheus_scrapes_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = codes("prometheus", "yaml")
    (job,) = yaml.safe_load(block.text)["scrape_configs"]
    monkeypatch.setenv("C2C_METRICS_VIEW_ENABLED", "1")
    app = Application({"c2c.base_path": "/c2c"})
    assert "# TYPE" in app.http.get(job["metrics_path"]).text


def test_the_unit_of_systemd_can_be_read() -> None:
    (block,) = codes("gunicorn", "ini")
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as the module's documentation has it
    parser.read_string(block.text)
    assert parser["Service"]["ExecStart"].endswith("c2cotel run")
    assert {"RuntimeDirectory", "RuntimeDirectoryMode"} <= parser["Service"].keys()


def _one_view(view: Callable[[Request], Any]) -> Application:
    def configure(config: Configurator) -> None:
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__, renderer="json")

    return Application({"c2c.base_path": "/c2c", "c2c.secret": "secret"}, configure)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    transaction.abort()
