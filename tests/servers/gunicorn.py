"""An application under gunicorn."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.servers.client import get
from tests.servers.local import HOST, wait_until
from tests.servers.process import Process


class Gunicorn(Process):
    """An application under gunicorn.

    Args:
        application: ``module:factory()``.
        directory: a test's own.
        options: further ones of gunicorn's.
        env: settings of the application.
        workers: how many.
        worker_class: gunicorn's name of it.
        threads: of each worker, for `gthread`.
        preload: whether the application is made before the workers are forked.
        max_requests: after how many requests a worker makes room for a new one; 0: never.
        max_requests_jitter: up to how many more it may take.
        host: address that it listens on.
        wrapper: what its command begins with.
    """

    def __init__(
        self,
        application: str,
        directory: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        workers: int = 2,
        worker_class: str = "gthread",
        threads: int = 4,
        preload: bool = False,
        max_requests: int = 0,
        max_requests_jitter: int = 0,
        host: str = HOST,
        wrapper: Sequence[str] = (),
    ) -> None:
        with socket.create_server((host, 0), backlog=512) as listening:
            self.url = f"http://{host}:{listening.getsockname()[1]}"
            command = [
                *wrapper,
                sys.executable,
                "-m",
                "gunicorn",
                "--no-control-socket",
                "--bind",
                f"fd://{listening.fileno()}",
            ]
            command += ["--workers", str(workers), "--worker-class", worker_class, "--threads", str(threads)]
            command += ["--max-requests", str(max_requests), "--max-requests-jitter", str(max_requests_jitter)]
            command += ["--preload"] if preload else []
            # A SIGTERM before a worker listens to it is lost; gunicorn waits that long for the worker to end.
            command += ["--graceful-timeout", "10"]
            super().__init__([*command, *options, application], directory, env, (listening.fileno(),))
        self._workers = workers

    def wait_ready(self, path: str = "/ready", timeout: float = 30.0) -> None:
        """Wait until the path is answered and all workers are there."""
        wait_until(
            lambda: self.ended() or (len(self.children()) >= self._workers and get(self.url + path) is not None),
            f"gunicorn answers {path}",
            timeout,
        )
        if self.ended():
            pytest.fail(f"gunicorn ended:\n{self.output()[-3000:]}")
