"""The commands as processes: help, success, and each error with its exit code (contract, section 10)."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from c2cotel.cli.run import with_one_bind
from tests.servers.local import environment
from tests.servers.udp import UdpListener

COMMAND = str(Path(sys.executable).with_name("c2cotel"))

MODEL = """
from sqlalchemy import Column, ForeignKey, Integer
from sqlalchemy.orm import declarative_base
Base = declarative_base()
class Author(Base):
    __tablename__ = "author"
    id = Column(Integer, primary_key=True)
class Book(Base):
    __tablename__ = "book"
    id = Column(Integer, primary_key=True)
    author_id = Column(ForeignKey("author.id"))
"""


def call(directory: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=directory,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["demo", "doctor", "genversion", "models-graph", "run", "stats-db", "tap"])
def test_each_command_has_help_and_is_listed(tmp_path: Path, name: str) -> None:
    done = call(tmp_path, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"c2cotel {name}" in done.stdout
    assert f"  {name} " in call(tmp_path, "--help").stdout


# ---- genversion ----


@pytest.mark.parametrize(
    ("arguments", "main"),
    [
        (["abc"], {"git_hash": "abc"}),
        (["", "abc"], {"git_hash": "abc"}),
        (["v1.0", "abc"], {"git_hash": "abc", "git_tag": "v1.0"}),
    ],
)
def test_genversion_writes_the_versions_file(tmp_path: Path, arguments: list[str], main: dict[str, str]) -> None:
    assert call(tmp_path, "genversion", *arguments).returncode == 0
    found = json.loads((tmp_path / "versions.json").read_text())
    assert set(found) == {"main", "packages"}
    assert found["main"] == main
    assert found["packages"]["pyramid"] == version("pyramid")
    assert [path.name for path in tmp_path.iterdir()] == ["versions.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected the hash of a commit"),
        ([""], 2, "expected the hash of a commit"),
        (["a", "b", "c"], 2, "expected the hash of a commit"),
        (["--output", "nowhere/versions.json", "abc"], 1, "nowhere/versions.json: No such file or directory"),
    ],
)
def test_genversion_says_what_is_wrong(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = call(tmp_path, "genversion", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


# ---- models-graph ----


def test_a_model_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(MODEL)
    done = call(tmp_path, "models-graph", "library")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("graph database {")
    assert "<b>book</b>" in done.stdout
    assert "author -- book" in done.stdout.replace('"', "")
    assert call(tmp_path, "models-graph", "library:Base").stdout == done.stdout
    mermaid = call(tmp_path, "models-graph", "--format", "mermaid", "library").stdout
    assert mermaid.startswith("erDiagram")
    assert "author_id FK" in mermaid


def test_the_function_of_2018_writes_the_drawing(tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(MODEL)
    code = "import library; from c2cotel.models_graph import generate_model_graph as draw; draw(library)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == call(tmp_path, "models-graph", "library").stdout


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nowhere", "nowhere: No module named 'nowhere'"),
        ("json", "json: no model found, expected a module with classes of a declarative base"),
        ("library:Nobody", "library:Nobody: expected a declarative base class with tables"),
        ("two", "two: 2 models found, expected one of Author, Other, as in two:Author"),
    ],
)
def test_models_graph_says_what_is_wrong(tmp_path: Path, model: str, message: str) -> None:
    (tmp_path / "library.py").write_text(MODEL)
    other = "class Other(declarative_base()):\n    __tablename__ = 'o'\n    id = Column(Integer, primary_key=True)\n"
    (tmp_path / "two.py").write_text(MODEL + other)
    done = call(tmp_path, "models-graph", model)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


# ---- stats-db, on SQLite ----


@pytest.fixture
def database(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "stats.db") as connection:
        connection.execute('CREATE TABLE "a.b:c %s" (x)')
        connection.execute("CREATE TABLE hello (x)")
        connection.executemany("INSERT INTO hello VALUES (?)", [(n,) for n in range(42)])
    connection.close()
    return f"sqlite:///{tmp_path}/stats.db"


def test_stats_db_sends_rows_and_sizes(tmp_path: Path, database: str, udp_listener: UdpListener) -> None:
    extra = "SELECT 'of.levels', 3 UNION SELECT 'alone', 1.5"
    done = call(
        tmp_path, "stats-db", "--db", database, "--schema", "main", "--extra", extra,
        "--statsd-address", udp_listener.address,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    udp_listener.settle()
    assert sorted(udp_listener.lines()) == [
        "c2c.count.alone:1.5|g",
        "c2c.count.main.a_b_c__s:0|g",
        "c2c.count.main.hello:42|g",
        "c2c.count.of.levels:3|g",
        "c2c.size.main.a_b_c__s:4096|g",
        "c2c.size.main.hello:4096|g",
    ]


def test_stats_db_sends_every_table_however_many_there_are(tmp_path: Path, udp_listener: UdpListener) -> None:
    with sqlite3.connect(tmp_path / "many.db") as connection:
        for number in range(1100):
            connection.execute(f"CREATE TABLE t{number} (x)")
    connection.close()
    done = call(
        tmp_path, "stats-db", "--db", f"sqlite:///{tmp_path}/many.db", "--schema", "main",
        "--statsd-address", udp_listener.address,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    udp_listener.wait_for("c2c.", 2200)
    assert not udp_listener.counts("c2c.count._overflow")


@pytest.mark.parametrize("spelling", ["--statsd_prefix", "--statsd-prefix"])
def test_stats_db_takes_the_spellings_of_2018(
    tmp_path: Path, database: str, udp_listener: UdpListener, spelling: str
) -> None:
    address = spelling.replace("prefix", "address")
    done = call(
        tmp_path, "stats-db", "--db", database, "--schema", "main", address, udp_listener.address, spelling, "x"
    )
    assert done.returncode == 0, done.stderr
    udp_listener.wait_for("x.count.main.hello")


def test_stats_db_goes_on_after_an_error_and_counts_it(
    tmp_path: Path, database: str, udp_listener: UdpListener
) -> None:
    done = call(
        tmp_path, "stats-db", "--db", database, "--schema", "nowhere", "--schema", "main",
        "--extra", "SELECT 1", "--extra", "SELECT * FROM missing", "--extra", "SELECT 'a', 'b'",
        STATSD_ADDRESS=udp_listener.address, STATSD_PREFIX="own",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "There is no schema nowhere: expected one of main",
        "The extra statement 1 failed: expected rows of a name and a number",
        "The extra statement 2 failed: no such table: missing",
        "The extra statement 3 failed: could not convert string to float: 'b'",
    ]
    udp_listener.settle()
    assert {
        "c2c.count.main.hello:42|g",
        "c2c.error.nowhere:1|c",
        "c2c.error.extra.1:1|c",
        "c2c.error.extra.2:1|c",
        "c2c.error.extra.3:1|c",
    } <= set(udp_listener.lines())


def test_stats_db_prints_when_nobody_is_sent_to(tmp_path: Path, database: str) -> None:
    done = call(tmp_path, "stats-db", "--db", database, "--schema", "main")
    assert (done.returncode, done.stderr) == (0, "")
    assert "count.main.hello: 42" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing option '--db'"),
        (["--db", "sqlite://"], 2, "Missing option '--schema'"),
        (["--db", "somewhere", "--schema", "x"], 2, "expected a URL such as postgresql://"),
        (["--db", "nothing://x/y", "--schema", "x"], 2, "nothing"),
        (["--db", "postgresql://u:p@h:port/d", "--schema", "x"], 2, "//u:REDACTED@h:port/d': expected a URL"),
        (["--db", "sqlite:////nowhere/at/all.db", "--schema", "main"], 1, "The database cannot be reached"),
        (["--db", "sqlite://", "--schema", "main", "--statsd-address", "a:b:c"], 1, "STATSD_ADDRESS='a:b:c'"),
    ],
)
def test_stats_db_says_what_is_wrong(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = call(tmp_path, "stats-db", *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# ---- run; tests/contract/test_2018.py has it with an application ----


def test_run_says_what_is_wrong(tmp_path: Path) -> None:
    done = call(tmp_path, "run")
    assert done.returncode == 1
    assert "/app/production.ini: there is no such file. Expected an ini, named by C2COTEL_CONFIG" in done.stderr
    (tmp_path / "app.ini").write_text("[app:main]\n")
    done = call(tmp_path, "run", C2COTEL_CONFIG="app.ini", GUNICORN_PARAMS="-b ':80")
    assert done.returncode == 1
    assert 'GUNICORN_PARAMS="-b \':80": expected options as in a shell (No closing quotation)' in done.stderr


@pytest.mark.parametrize(
    ("environment", "given", "expected"),
    [
        ("-b :8080 --workers 5", "--bind 127.0.0.1:80", "--workers 5 --bind 127.0.0.1:80"),
        ("--bind=:8080 --workers 5", "-b127.0.0.1:80", "--workers 5 -b127.0.0.1:80"),
        ("-b :8080 -b :8081", "--workers 2", "-b :8080 -b :8081 --workers 2"),
        ("", "--bind=:1 --bind=:2", "--bind=:1 --bind=:2"),
    ],
)
def test_an_address_of_the_command_line_is_the_only_one(environment: str, given: str, expected: str) -> None:
    assert with_one_bind(environment.split(), given.split()) == expected.split()


INI = """
[app:main]
use = call:broken:main
"""


@pytest.mark.parametrize(
    ("text", "env", "reason"),
    [
        (INI + "c2c.health_timeout = soon", {}, "c2c.health_timeout='soon': expected a positive number of seconds"),
        (INI, {"STATS_VIEW": "maybe"}, "STATS_VIEW='maybe': expected a boolean"),
        ("[server:main]", {}, "it has no section [app:main]"),
    ],
)
def test_run_does_not_start_what_can_never_work(tmp_path: Path, text: str, env: dict[str, str], reason: str) -> None:
    (tmp_path / "app.ini").write_text(text)
    done = call(tmp_path, "run", C2COTEL_CONFIG="app.ini", **env)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_run_ends_with_the_exit_code_of_a_server_that_was_never_ready(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_text(INI)
    (tmp_path / "broken.py").write_text("def main(*_, **__):\n    raise RuntimeError('broken')\n")
    params = "-b 127.0.0.1:0 --workers 1 --no-control-socket"
    done = call(tmp_path, "run", C2COTEL_CONFIG="app.ini", GUNICORN_PARAMS=params, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "with exit code 3 before it was ready, and is not started again" in done.stderr
