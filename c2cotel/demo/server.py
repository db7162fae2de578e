"""The application under gunicorn, as a child process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gunicorn.config import KNOWN_SETTINGS

from c2cotel.demo import DATABASE
from c2cotel.demo.events import Ended, Output, Put
from c2cotel.demo.receivers import LOOPBACK

if TYPE_CHECKING:
    from typing_extensions import Self

BASE_PATH = "/c2c"
SECRET = "guest-book-on-loopback"  # noqa: S105  # of the demo alone, which ends with it
WORKERS = 2

# Variables that would send elsewhere what the demo must get, or change how gunicorn is run.
_TAKEN_OUT = ("OTEL_EXPORTER_OTLP_", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "GUNICORN_", "WEB_CONCURRENCY")
# A request in flight ends in this time.
_GRACE = 3
_PATIENCE = 8.0


def environment(variables: Mapping[str, str], *, statsd: str, otlp: str, folder: Path) -> dict[str, str]:
    """The environment of the application.

    Args:
        variables: Environment of this process; its settings of c2cotel apply, except where data is sent.
        statsd: ``host:port`` of the statsd receiver.
        otlp: base URL of the OTLP receiver.
        folder: for the database.
    """
    kept = {name: value for name, value in variables.items() if not name.startswith(_TAKEN_OUT)}
    # Shorter than by default, so that nobody waits.
    defaults = {
        "OTEL_SERVICE_NAME": "guest-book",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    for name, value in defaults.items():
        kept[name] = kept.get(name) or value
    return {
        **kept,
        "STATSD_ADDRESS": statsd,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
        "STATS_VIEW": "1",
        "C2C_BASE_PATH": BASE_PATH,
        "C2C_FLIGHT_RECORDER": "1",
        "C2C_LOG_VIEW_ENABLED": "1",
        "C2C_SQL_PROFILER_ENABLED": "1",
        "C2C_DEBUG_VIEW_ENABLED": "1",
        "C2C_SECRET": kept.get("C2C_SECRET") or SECRET,
        "C2C_SLOW": kept.get("C2C_SLOW") or "100ms",
        "C2C_STATE_DIR": str(folder / "state"),
        DATABASE: str(folder / "guest_book.sqlite3"),
        # The OTLP exporter would ask a proxy for the loopback address too.
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }


class Server:
    """The application under gunicorn, on a free port, from `__enter__` to `__exit__`.

    Args:
        environ: environment of the processes.
        folder: they run there, so that no configuration file lies around.
        put: gets their `Output`, and `Ended`.

    Attributes:
        port: where the application listens, on loopback.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path, put: Put) -> None:
        self._environ = dict(environ)
        self._folder = folder
        self._put = put
        self.port = 0

    @property
    def url(self) -> str:
        """Of the application, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        # The socket is made here and inherited: its port is known and is already there for the first request.
        with socket.create_server((LOOPBACK, 0)) as listener:
            self.port = listener.getsockname()[1]
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                _command(listener.fileno()),
                cwd=self._folder,
                env=self._environ,
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="backslashreplace",
                # A group of its own: Ctrl-C reaches the demo alone, which then ends gunicorn in order.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name="output of gunicorn", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        # It ends when nobody can write any more: until then a worker is left.
        self._reader.join(_PATIENCE)
        if self._reader.is_alive():
            os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join(_PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None  # for the type checker: it was asked for
        with self._process.stdout as lines:
            for line in lines:
                text = line.rstrip("\n")
                self._put(Output(text, _json_object(text)))
        self._put(Ended())


def _command(descriptor: int) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{descriptor}", "--workers", str(WORKERS)]
    command += ["--worker-class", "gthread", "--threads", "4", "--graceful-timeout", str(_GRACE)]
    # Newer gunicorn puts a socket into the home directory, one for all that run: ours must not disturb another.
    if any("--no-control-socket" in (setting.cli or ()) for setting in KNOWN_SETTINGS):
        command.append("--no-control-socket")
    return [*command, "c2cotel.demo.application:main()"]


def _json_object(text: str) -> dict[str, object] | None:
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
