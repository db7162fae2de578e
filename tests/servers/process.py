"""A process under test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers.local import ROOT, environment

# A process that a killed pytest leaves behind ends by itself.
_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


class Process:
    """A process that writes what it says to a file, and is gone at the end of the test.

    Args:
        command: with its arguments.
        directory: a test's own, for the file.
        env: settings of the process.
        fds: file descriptors that it inherits.
    """

    def __init__(
        self, command: list[str], directory: Path, env: Mapping[str, str] | None = None, fds: tuple[int, ...] = ()
    ) -> None:
        self._output = directory / f"output-{time.monotonic_ns()}.log"
        with self._output.open("ab") as output:
            self._popen = subprocess.Popen(
                [*_WITH_PARENT, *command],
                cwd=ROOT,
                env=environment({"PYTHONUNBUFFERED": "1", "C2C_STATE_DIR": str(directory / "state"), **(env or {})}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def output(self) -> str:
        """What it and its children have written so far."""
        return self._output.read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """What it has logged so far as JSON; of the last line, half may be written."""
        lines = self.output().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def ended(self) -> bool:
        """Whether it has ended."""
        return self._popen.poll() is not None

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end; returns its exit code."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Still runs after {timeout:g} s: {self._popen.args!r}\n{self.output()[-2000:]}")

    def terminate(self, timeout: float = 20.0) -> float:
        """Ask it to end and wait for that; returns the seconds it took."""
        start = time.monotonic()
        self._popen.terminate()
        self.wait(timeout)
        return time.monotonic() - start

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def children(self) -> set[int]:
        """The ids of its child processes."""
        return {child.pid for child in psutil.Process(self.pid).children()}

    def close(self) -> None:
        """See that it and its children are gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # its session is its own
        self._popen.wait(10)
