"""Looking a host up without waiting for a name server that does not answer."""

# Looking up any host imports this. A thread that does so while another one forks leaves a child in which that import
# never ends.
import encodings.idna  # noqa: F401
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.exporter.statsd._endpoint import Endpoint

Address = tuple[int, Any]
"""Family and socket address."""

Resolver = Callable[..., Sequence[Any]]


class _Request(threading.Thread):
    """One question to the name server. Nobody can end it; its answer is taken when it comes."""

    def __init__(self, ask: Callable[[], list[Address]]) -> None:
        super().__init__(name="StatsD look-up of a host", daemon=True)
        self.started_at = time.monotonic()
        self.addresses: list[Address] = []
        self.error: Exception | None = None
        self._ask = ask

    def run(self) -> None:
        try:
            self.addresses = self._ask()
        except Exception as error:  # noqa: BLE001  raised again by who waits
            self.error = error


class Lookup:
    """The addresses of an endpoint's host. Not safe for several threads at once.

    Args:
        endpoint: Host and port.
        kind: Kind of the socket, such as `socket.SOCK_DGRAM`.
        resolver: As `socket.getaddrinfo`; None: that one.
    """

    def __init__(self, endpoint: Endpoint, kind: int, resolver: Resolver | None = None) -> None:
        self._endpoint = endpoint
        self._kind = kind
        self._resolver = resolver
        self._request: _Request | None = None
        self._pid = os.getpid()

    def addresses(self, timeout: float) -> list[Address]:
        """All addresses, at least one. A question that is still open is not asked again.

        Args:
            timeout: Seconds since the question within which the answer is waited for.

        Raises:
            OSError: The host has no address, or there is no answer yet.
            UnicodeError: No name server can be asked for this host.
        """
        if self._pid != os.getpid():  # the parent's thread does not run here
            self._pid, self._request = os.getpid(), None
        if _is_address(self._endpoint.host):
            return self._ask()
        request = self._request or self._start()
        request.join(max(request.started_at + timeout - time.monotonic(), 0.0))
        if request.is_alive():
            raise TimeoutError(f"no name server answers for {self._endpoint.host}")
        self._request = None
        if request.error is not None:
            raise request.error
        return request.addresses

    def _start(self) -> _Request:
        self._request = _Request(self._ask)
        try:
            self._request.start()
        except RuntimeError as error:  # the interpreter ends, or there is no room for another thread
            self._request = None
            raise OSError(f"{self._endpoint.host} cannot be looked up: {error}") from error
        return self._request

    def _ask(self) -> list[Address]:
        resolve = self._resolver or socket.getaddrinfo
        answer = resolve(self._endpoint.host, self._endpoint.port, type=self._kind)
        addresses = [(family, address) for family, _type, _protocol, _name, address in answer]
        if not addresses:
            raise OSError(f"{self._endpoint.host} has no address")
        return addresses


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
