"""Debian's collectd with its statsd plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.local import HOST, free_udp_port, wait_until
from tests.servers.process import Process

_COLLECTD = Path("/usr/sbin/collectd")


class Collectd(Process):
    """Debian's collectd with its statsd plugin, which writes what it knows every second.

    Attributes:
        address: for `STATSD_ADDRESS`.
    """

    def __init__(self, directory: Path) -> None:
        if not _COLLECTD.is_file():
            pytest.fail("collectd is not here. Debian, Ubuntu: apt-get install collectd-core")
        port = free_udp_port()
        self.address = f"{HOST}:{port}"
        self._values = directory / "csv"
        configuration = directory / "collectd.conf"
        configuration.write_text(
            f"""
            Hostname "test"
            BaseDir "{directory}"
            PIDFile "{directory}/collectd.pid"
            Interval 1
            LoadPlugin logfile
            <Plugin logfile>
                File STDOUT
            </Plugin>
            LoadPlugin csv
            <Plugin csv>
                DataDir "{self._values}"
                StoreRates false
            </Plugin>
            LoadPlugin statsd
            <Plugin statsd>
                Host "{HOST}"
                Port "{port}"
                CounterSum true
                TimerCount true
                TimerSum true
                TimerLower true
                TimerUpper true
            </Plugin>
            """
        )
        super().__init__([str(_COLLECTD), "-f", "-C", str(configuration)], directory)
        wait_until(lambda: self.ended() or self._listens(port), "collectd listens")
        if self.ended():
            pytest.fail(f"collectd ended:\n{self.output()}")

    def values(self) -> dict[str, list[float]]:
        """Every value it has written, by the name of its file without the day."""
        values: dict[str, list[float]] = {}
        for file in sorted(self._values.glob("test/statsd/*")):
            rows = file.read_text().splitlines()[1:]
            values.setdefault(file.name[: -len("-2000-01-01")], []).extend(float(row.split(",")[1]) for row in rows)
        return values

    def complaints(self) -> list[str]:
        """Lines of its log that are about what it was sent."""
        return [line for line in self.output().splitlines() if "statsd plugin" in line and "Listening" not in line]

    @staticmethod
    def _listens(port: int) -> bool:
        return any(f":{port:04X} " in line for line in Path("/proc/net/udp").read_text().splitlines())
