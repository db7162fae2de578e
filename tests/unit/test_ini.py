"""Ini files that use the environment (contract, section 1)."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from c2cotel import ini, logs
from c2cotel.errors import SettingsError
from tests.servers.local import environment

INI = """
[app:main]
use = call:tests.unit.test_ini:main
url = %(INI_URL)s
where = %(here)s
http_proxy = mine
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys =
[logger_root]
level = %(INI_LEVEL)s
handlers = file
[handler_file]
class = logging.FileHandler
args = (%(INI_FILE)r,)
"""


def main(_: Any, **settings: Any) -> Any:
    """Whose WSGI application is what it was given."""
    return settings


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """As it was, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("INI_URL", "postgresql://u:50%25%(x)s%%@h/d")
    monkeypatch.setenv("INI_LEVEL", "INFO")
    monkeypatch.setenv("INI_FILE", str(tmp_path / "log"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    path = tmp_path / "app.ini"
    path.write_text(INI.replace("(%(INI_FILE)r,)", "('%(INI_FILE)s', 'a', None, True)"))
    return str(path)


def test_every_variable_may_be_used_and_a_percent_sign_stays_one(file: str, tmp_path: Path) -> None:
    assert ini.application(file) == {
        "url": "postgresql://u:50%25%(x)s%%@h/d",
        "where": str(tmp_path),
        "http_proxy": "mine",
    }


def test_logging_is_set_up_before_and_loggers_stay_enabled(file: str, tmp_path: Path) -> None:
    logger = logging.getLogger("of the test")
    ini.application(file)
    logger.info("hello")
    assert (tmp_path / "log").read_text() == "hello\n"


def test_variables_that_logging_would_take_for_its_own_or_twice_do_no_harm(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HTTP_PROXY": "x", "ini_level": "LOUD", "FORMATTER": "x", "PROPAGATE": "yes"}.items():
        monkeypatch.setenv(name, value)
    assert ini.application(file)["http_proxy"] == "mine"
    assert ini.set_up_logging(file)
    logging.getLogger("of the test").info("hello")
    assert (tmp_path / "log").read_text() == "hello\n"


def test_the_file_is_named_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("C2COTEL_CONFIG", "C2CWSGIUTILS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert ini.path() == "/app/production.ini"
    monkeypatch.setenv("C2CWSGIUTILS_CONFIG", "/old.ini")
    assert ini.path() == "/old.ini"
    monkeypatch.setenv("C2COTEL_CONFIG", "/new.ini")
    assert ini.path() == "/new.ini"


def test_a_variable_that_is_not_set_is_named(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INI_URL")
    with pytest.raises(SettingsError, match=r"url in \[app:main\] uses %\(INI_URL\)s, which is neither"):
        ini.application(file)
    monkeypatch.delenv("INI_LEVEL")
    with pytest.raises(SettingsError, match=r"level in \[logger_root\] uses %\(ini_level\)s"):
        ini.application(file)


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), ("nonsense", "no section headers")])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "app.ini"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=f"app.ini: .*{message}"):
        ini.application(str(path))


@pytest.mark.parametrize(
    ("held", "other", "message"),
    [
        ("handlers = file", "handlers = nowhere", "KeyError"),
        ("level = %(INI_LEVEL)s", "level = LOUD", "Unknown level: 'LOUD'"),
        ("class = logging.FileHandler", "class = no.such.Handler", "No module named 'no'"),
    ],
)
def test_logging_that_cannot_be_set_up_is_told_with_its_file(file: str, held: str, other: str, message: str) -> None:
    Path(file).write_text(Path(file).read_text().replace(held, other))
    for used in (ini.application, ini.set_up_logging):
        with pytest.raises(SettingsError, match=f"app.ini: its logging cannot be set up: .*{message}"):
            used(file)


def test_scripts_set_up_logging_by_an_ini_or_on_the_console(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.init(file)
    logging.getLogger("script").info("by the ini")
    assert (tmp_path / "log").read_text() == "by the ini\n"
    monkeypatch.setenv("C2COTEL_CONFIG", str(tmp_path / "nowhere.ini"))
    with pytest.raises(SettingsError, match=r"nowhere.ini: No such file"):
        logs.init()
    while logging.getLogger().handlers:
        logging.getLogger().handlers.pop().close()
    monkeypatch.delenv("C2COTEL_CONFIG")
    logs.init()
    logging.getLogger("script").info("on the console")
    assert capsys.readouterr().err.endswith("INFO     script on the console\n")


def test_a_json_line_from_an_ini(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "app.ini"
    path.write_text(
        "[loggers]\nkeys = root\n[handlers]\nkeys = json\n[formatters]\nkeys =\n[logger_root]\nlevel = INFO\n"
        "handlers = json\n[handler_json]\nclass = c2cotel.logs.JsonLogHandler\nargs = (sys.stdout,)\n"
    )
    logs.init(str(path))
    logging.getLogger("script").info("hello")
    assert json.loads(capsys.readouterr().out)["msg"] == "hello"


def test_warnings_of_python_are_lines_of_the_log() -> None:
    code = "import warnings\nfrom c2cotel import logs\nlogs.init()\nwarnings.warn('look here')"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert re.search(r"WARNING  py\.warnings .*UserWarning: look here", done.stderr)
