"""Debian's Prometheus, and promtool beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.servers.client import get
from tests.servers.local import HOST, free_tcp_port, wait_until
from tests.servers.process import Process

_MISSING = "{} is not here. Debian, Ubuntu: apt-get install prometheus"


class Prometheus(Process):
    """A server that scrapes one target every half second, exemplars included.

    Args:
        directory: a test's own.
        target: `host:port` of an application with its metrics at `/c2c/metrics`.
    """

    def __init__(self, directory: Path, target: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.fail(_MISSING.format("Prometheus"))
        self.url = f"http://{HOST}:{free_tcp_port()}"
        job = {"job_name": "shop", "metrics_path": "/c2c/metrics", "static_configs": [{"targets": [target]}]}
        every = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
        configuration = directory / "prometheus.yml"
        configuration.write_text(json.dumps({"global": every, "scrape_configs": [job]}))
        options = [f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'prometheus'}"]
        options += [f"--web.listen-address={self.url.partition('//')[2]}", "--enable-feature=exemplar-storage"]
        super().__init__([program, *options], directory)
        wait_until(lambda: self.ended() or self._is_ready(), "Prometheus is ready", 30)
        if self.ended():
            pytest.fail(f"Prometheus ended:\n{self.output()[-3000:]}")

    def _is_ready(self) -> bool:
        answer = get(f"{self.url}/-/ready")
        return answer is not None and answer.status == 200

    def value(self, query: str) -> float | None:
        """The one value of a query; None if there is none."""
        result = self.ask("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None

    def ask(self, what: str, **parameters: Any) -> Any:
        """The data of an answer of its API."""
        answer = get(f"{self.url}/api/v1/{what}?{urlencode(parameters)}")
        assert answer is not None
        assert answer.status == 200, answer.body
        return answer.json()["data"]


def promtool(*arguments: str, given: str = "") -> str:
    """What promtool has to complain about; empty if nothing."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail(_MISSING.format("promtool"))
    done = subprocess.run([program, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or f"exit code {done.returncode}"
