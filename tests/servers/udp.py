"""A statsd server that keeps every datagram."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

from tests.servers.local import HOST, wait_until

_SO_RCVBUFFORCE = 33  # socket(7); root may go beyond the system's limit with it


class UdpListener:
    """Collects datagrams in a thread.

    Args:
        port: 0 for any free one.

    Attributes:
        address: for `STATSD_ADDRESS`.
        datagrams: what has arrived.
    """

    def __init__(self, port: int = 0) -> None:
        self.datagrams: list[bytes] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, option, 1 << 24)
                break
            except PermissionError:
                continue
        self._socket.bind((HOST, port))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._listen, name="UDP listener", daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        """Every line so far, in the order of arrival; what asks whether anybody listens is none."""
        datagrams = [datagram for datagram in list(self.datagrams) if datagram != b"\n"]
        return [line for datagram in datagrams for line in datagram.decode().split("\n")]

    def counts(self, prefix: str = "") -> Counter[str]:
        """How many lines came of each name that starts with `prefix`."""
        return Counter(name for line in self.lines() if (name := line.partition(":")[0]).startswith(prefix))

    def wait_for(self, prefix: str, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until `count` lines start with `prefix`."""
        wait_until(lambda: self.counts(prefix).total() >= count, f"{count} lines {prefix}…: {self.counts()}", timeout)

    def settle(self, seconds: float = 0.3) -> None:
        """Wait until nothing has come for a while."""
        before = -1
        while before != len(self.datagrams):
            before = len(self.datagrams)
            time.sleep(seconds)

    def close(self) -> None:
        """Stop listening; a sender is then refused."""
        if self._thread.is_alive():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as farewell:
                farewell.sendto(b"", (HOST, self.port))
            self._thread.join(5)
            self._socket.close()

    def _listen(self) -> None:
        while datagram := self._socket.recv(65_536):
            self.datagrams.append(datagram)
