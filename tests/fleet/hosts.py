"""Hosts that are network namespaces of this machine, each on a line of its own to the one with the servers."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_WRAPPER = 'hostname "$0" && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def may_be_made() -> bool:
    """Whether this process may make network namespaces with lines between them."""
    try:
        with _namespace(f"c2c-{os.getpid()}-try") as name:
            _ip("-n", name, "link", "add", "try", "type", "veth")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@dataclass(frozen=True)
class FleetHost:
    """One of the hosts.

    Attributes:
        name: its host name.
        namespace: its network namespace.
        address: its own.
        servers: address of the host with the servers, as it sees it.
        resolver: file that is its `/etc/resolv.conf`.
    """

    name: str
    namespace: str
    address: str
    servers: str
    resolver: Path

    @property
    def wrapper(self) -> list[str]:
        """What a command begins with that is to see the host's name and resolver."""
        return ["unshare", "--mount", "--uts", "sh", "-c", _WRAPPER, self.name, str(self.resolver)]

    def cut(self) -> None:
        """Take its line away: packets get lost, and nobody is told."""
        _ip("link", "set", f"to-{self.name}", "down")

    def mend(self) -> None:
        """Give the line back."""
        _ip("link", "set", f"to-{self.name}", "up")


@contextmanager
def fleet(folder: Path, number: int) -> Iterator[list[FleetHost]]:
    """Hosts, with the current thread on the one that has the servers.

    Args:
        folder: a test's own.
        number: how many hosts beside that one.
    """
    prefix = f"c2c-{os.getpid()}"
    with _namespace(f"{prefix}-servers") as servers, inside(servers):
        hosts = []
        with _namespaces([f"{prefix}-{n}" for n in range(1, number + 1)]) as namespaces:
            for n, namespace in enumerate(namespaces, 1):
                resolver = folder / f"resolv-{n}.conf"
                resolver.write_text("")
                host = FleetHost(f"host{n}", namespace, f"10.77.{n}.2", f"10.77.{n}.1", resolver)
                line = f"to-{host.name}"
                _ip("link", "add", line, "type", "veth", "peer", "name", "eth0", "netns", namespace)
                _ip("address", "add", f"{host.servers}/24", "dev", line)
                _ip("link", "set", line, "up")
                _ip("-n", namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
                _ip("-n", namespace, "link", "set", "eth0", "up")
                hosts.append(host)
            yield hosts


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """What the current thread opens, and the processes that it starts, are in a namespace."""
    with Path("/proc/thread-self/ns/net").open() as before, Path(f"/run/netns/{namespace}").open() as wanted:
        _enter(wanted.fileno())
        try:
            yield
        finally:
            _enter(before.fileno())


def listen_and_be_silent(address: str, port: int) -> socket.socket:
    """A server that takes datagrams and answers none."""
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((address, port))
    return silent


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@contextmanager
def _namespace(name: str) -> Iterator[str]:
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "delete", name)


@contextmanager
def _namespaces(names: list[str]) -> Iterator[list[str]]:
    if not names:
        yield []
        return
    with _namespace(names[0]) as first, _namespaces(names[1:]) as rest:
        yield [first, *rest]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
