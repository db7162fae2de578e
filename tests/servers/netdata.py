"""Debian's netdata, with its statsd server and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from tests.servers.client import get
from tests.servers.local import HOST, free_tcp_port, free_udp_port, wait_until
from tests.servers.process import Process

_CONFIGURATION = """
[global]
 run as user = {user}
 hostname = test
[directories]
 cache = {folder}
 lib = {folder}
 log = {folder}
 config = {folder}
 home = {folder}
[db]
 mode = ram
 retention = 600
 update every = 1
[web]
 bind to = {host}:{port}
[statsd]
 bind to = udp:{host}:{statsd}
 update every (flushInterval) = 1
[plugins]
 timex = no
 idlejitter = no
 tc = no
 cgroups = no
 diskspace = no
 proc = no
 enable running new plugins = no
[health]
 enabled = no
[ml]
 enabled = no
[registry]
 enabled = no
"""


class Netdata(Process):
    """A server that keeps a value a second.

    Args:
        directory: a test's own.

    Attributes:
        address: for `STATSD_ADDRESS`.
    """

    def __init__(self, directory: Path) -> None:
        program = shutil.which("netdata", path="/usr/sbin:/usr/bin")
        if program is None:
            pytest.fail("netdata is not here. Debian, Ubuntu: apt-get install netdata-core")
        folder, port, statsd = directory / "netdata", free_tcp_port(), free_udp_port()
        folder.mkdir()
        self.address = f"{HOST}:{statsd}"
        self._url = f"http://{HOST}:{port}/api/v1"
        configuration = directory / "netdata.conf"
        texts = {"user": directory.owner(), "folder": folder, "host": HOST, "port": port, "statsd": statsd}
        configuration.write_text(_CONFIGURATION.format(**texts))
        super().__init__([program, "-D", "-c", str(configuration), "-P", str(folder / "pid")], directory)
        wait_until(lambda: self.ended() or get(f"{self._url}/info") is not None, "netdata answers", 30)
        # What takes statsd's lines is started by a thread of its own.
        wait_until(lambda: self.ended() or _is_bound(statsd), "netdata listens to statsd", 30)
        if self.ended():
            pytest.fail(f"netdata ended:\n{self.output()[-3000:]}")

    def seconds(self, chart: str) -> list[dict[str, float]]:
        """The values of each second of a chart, as far as there are any."""
        answer = get(f"{self._url}/data?chart=statsd_{chart}&after=-300&format=json&options=unaligned")
        if answer is None or answer.status != 200:  # nothing of that name has come yet
            return []
        found = answer.json()
        return [{name: value or 0.0 for name, value in zip(found["labels"], row, strict=True)} for row in found["data"]]


def _is_bound(port: int) -> bool:
    return any(each.laddr.port == port for each in psutil.net_connections("udp4") if each.laddr)
