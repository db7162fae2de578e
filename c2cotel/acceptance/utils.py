"""Waiting for what takes its time, and comparing what is nearly equal."""

from __future__ import annotations

import functools
import logging
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import requests

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_TIMEOUT = 60.0
_LONGEST_TRY = 10.0
"""Seconds that one attempt to reach a URL may take."""

_REMOTE = ("tcp", "http", "https", "ssh")
_DOCKER_BRIDGE = "172.17.0.1"
"""The host in Docker's own network, unless it is configured otherwise."""

_logger = logging.getLogger(__name__)


def in_docker() -> bool:
    """Whether the tests themselves run in a container, which says so with ``DOCKER_RUN=1``."""
    return os.environ.get("DOCKER_RUN", "0") == "1"


def docker_gateway(routes: Path = Path("/proc/net/route")) -> str:
    """The address at which a container reaches the ports of its host.

    Args:
        routes: the table of the system.

    Raises:
        LookupError: there is no default route.
    """
    for line in routes.read_text(encoding="ascii").splitlines()[1:]:
        _, destination, gateway, *_ = line.split()
        if int(destination, 16) == 0 and int(gateway, 16) != 0:
            return socket.inet_ntoa(struct.pack("=L", int(gateway, 16)))
    raise LookupError(f"{routes} has no default route")


def docker_ip(routes: Path = Path("/proc/net/route")) -> str:
    """The address of the machine whose ports a composition publishes, as its containers see it.

    Args:
        routes: the table of the system.
    """
    remote = urlsplit(os.environ.get("DOCKER_HOST", ""))
    if remote.scheme in _REMOTE and remote.hostname:
        return remote.hostname
    try:
        return docker_gateway(routes) if in_docker() else _bridge(routes)
    except (LookupError, OSError):
        return _DOCKER_BRIDGE


def own_ip(docker: str) -> str:
    """The address at which containers reach what the tests listen on.

    Args:
        docker: of `docker_ip`.
    """
    remote = urlsplit(os.environ.get("DOCKER_HOST", "")).scheme in _REMOTE
    if not remote and not in_docker():
        return docker  # the bridge is an interface of this machine
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((docker, 9))  # sends nothing
        except OSError:
            return docker
        return str(probe.getsockname()[0])


def _bridge(routes: Path) -> str:
    """The host's address in Docker's own network, the first one of it."""
    for line in routes.read_text(encoding="ascii").splitlines()[1:]:
        interface, network, *_ = line.split()
        if interface == "docker0":
            first = socket.ntohl(int(network, 16)) + 1
            return socket.inet_ntoa(struct.pack("!L", first))
    return _DOCKER_BRIDGE


DOCKER_GATEWAY = docker_gateway() if in_docker() else "localhost"
"""Where the published ports of a composition are."""


def retry_timeout(what: Callable[[], R], timeout: float = _TIMEOUT, interval: float = 0.5) -> R:
    """Call a function until it returns something true.

    Args:
        what: raises, or returns something false, while it is too early.
        timeout: seconds after which it has failed.
        interval: seconds between two calls.

    Returns:
        What the last call returned.

    Raises:
        AssertionError: it was too early until the end; tells the last error.
    """
    deadline = time.monotonic() + timeout
    while True:
        reason: object
        try:
            if result := what():
                return result
            reason = f"it returned {result!r}"
        except Exception as error:  # noqa: BLE001  # whatever it is, it may be gone the next time
            reason = f"{type(error).__name__}: {error}"
        if time.monotonic() + interval > deadline:
            raise AssertionError(f"Not within {timeout:g} s, at last {reason}")
        _logger.info("Not yet: %s", reason)
        time.sleep(interval)


def wait_url(url: str, timeout: float = _TIMEOUT, interval: float = 0.5) -> None:
    """Wait until a URL answers 200.

    Args:
        url: asked by ``GET``.
        timeout: seconds.
        interval: seconds between two attempts.

    Raises:
        AssertionError: it did not in time; tells the last status or error.
    """

    def answers() -> bool:
        with requests.get(url, timeout=min(timeout, _LONGEST_TRY)) as response:
            if response.status_code != requests.codes.ok:
                raise AssertionError(f"{url} answered {response.status_code}")
            return True

    retry_timeout(answers, timeout, interval)


def retry(
    errors: type[BaseException] | tuple[type[BaseException], ...], tries: int = 4, delay: float = 3, backoff: float = 2
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that calls a function again when it raises.

    Args:
        errors: what it may raise.
        tries: how often it is called at most; the last error is raised.
        delay: seconds before the second call.
        backoff: how many times as long each further wait is.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            wait = delay
            for left in reversed(range(1, tries)):
                try:
                    return function(*args, **kwargs)
                except errors as error:
                    _logger.warning("%s, trying again in %g s, tries left: %d", error, wait, left)
                    time.sleep(wait)
                    wait *= backoff
            return function(*args, **kwargs)

        return wrapper

    return decorate


def skipIfCI(function: F) -> F:  # noqa: N802  # its name of 2018
    """A decorator that skips a test on a server of continuous integration, which sets ``CI`` or ``IN_CI``."""
    import pytest  # noqa: PLC0415  # all others do without

    in_ci = any(os.environ.get(name, "").lower() not in {"", "0", "false"} for name in ("CI", "IN_CI"))
    skipped: F = pytest.mark.skipif(in_ci, reason="Not running on a CI server")(function)
    return skipped


def approx(struct: Any, **kwargs: Any) -> Any:
    """Lists and dicts, however deep, in which floating point numbers compare as of `pytest.approx`.

    Args:
        struct: what is expected.
        kwargs: of `pytest.approx`.
    """
    import pytest  # noqa: PLC0415  # all others do without

    if isinstance(struct, float):
        return pytest.approx(struct, **kwargs)
    if isinstance(struct, list):
        return [approx(value, **kwargs) for value in struct]
    if isinstance(struct, dict):
        return {key: approx(value, **kwargs) for key, value in struct.items()}
    return struct
