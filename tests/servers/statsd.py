"""npm's statsd, the reference server."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers.local import HOST, ROOT, free_tcp_port, free_udp_port, wait_until
from tests.servers.process import Process

_STATSD = ROOT / ".cache/npm/node_modules/statsd"


class StatsdServer(Process):
    """npm's statsd, the reference server; its socket has the system's default buffer.

    Args:
        directory: a test's own.
        graphite: port of a Graphite that gets what is flushed.

    Attributes:
        address: for `STATSD_ADDRESS`.
        tcp_address: the same, over TCP.
    """

    def __init__(self, directory: Path, graphite: int | None = None) -> None:
        if not (_STATSD / "stats.js").is_file() or shutil.which("node") is None:
            pytest.fail("npm's statsd is not here. `make statsd` installs it; it needs node and npm.")
        self._flushes = directory / "flushes.jsonl"
        self._flushes.touch()
        port, self._management = free_udp_port(), free_tcp_port()
        self.address = f"{HOST}:{port}"
        tcp_port = free_tcp_port()
        self.tcp_address = f"tcp://{HOST}:{tcp_port}"
        configuration = directory / "statsd.json"
        configuration.write_text(
            json.dumps(
                {
                    "servers": [
                        {"server": "./servers/udp", "address": HOST, "port": port},
                        {"server": "./servers/tcp", "address": HOST, "port": tcp_port},
                    ],
                    "mgmt_address": HOST,
                    "mgmt_port": self._management,
                    "flushInterval": 3_600_000,
                    "deleteIdleStats": True,
                    "backends": [
                        str(ROOT / "tests/servers/statsd_js/backend.js"),
                        *(["./backends/graphite"] if graphite else []),
                    ],
                    "graphiteHost": HOST,
                    "graphitePort": graphite,
                    "graphite": {"legacyNamespace": False},
                    "flushFile": str(self._flushes),
                }
            )
        )
        script = ROOT / "tests/servers/statsd_js/start.js"
        super().__init__(["node", str(script), str(configuration)], directory, {"STATSD_DIRECTORY": str(_STATSD)})
        wait_until(lambda: self.ended() or self._answers(), "statsd answers on its management port")
        if self.ended():
            pytest.fail(f"statsd ended:\n{self.output()}")

    def ask(self, command: str) -> str:
        """What the management console answers."""
        with socket.create_connection((HOST, self._management), 5) as connection:
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while not answer.endswith((b"END\n\n", b"ERROR\n")) and (more := connection.recv(65_536)):
                answer += more
            return answer.decode()

    def flush(self) -> dict[str, Any]:
        """Make the server flush once it has read all that was sent, and return what it flushed."""
        read = ""
        while read != (read := self.ask("counters")):
            time.sleep(0.2)
        before = len(self._flushes.read_text().splitlines())
        self.signal(signal.SIGUSR2)
        wait_until(lambda: self._flushes.read_text().count("\n") > before, "statsd flushes")
        flushed: dict[str, Any] = json.loads(self._flushes.read_text().splitlines()[before])
        return flushed

    def _answers(self) -> bool:
        try:
            return "END" in self.ask("counters")
        except OSError:
            return False
