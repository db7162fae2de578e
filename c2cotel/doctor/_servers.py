"""Whether the servers that the settings name are there."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from opentelemetry.exporter.statsd import StreamLink, UnixDatagramLink, parse_endpoint

from c2cotel import redaction
from c2cotel.broadcast._client import connect
from c2cotel.config.declare import Settings
from c2cotel.config.settings import BroadcastSettings, OtelSettings, StatsdSettings
from c2cotel.doctor._hazards import readable
from c2cotel.doctor._report import Problem, shown
from c2cotel.errors import SettingsError
from c2cotel.otel.sdk_private import suppressed
from c2cotel.runtime.exporters import exporter_names

_PATIENCE = 3.0
"""Seconds that one server has to answer."""
_REFUSAL = 0.2
"""Seconds that the network has to tell that nobody listens on a UDP port."""
_ALL = 5.0
"""Seconds for all of them."""
_GRPC_PORT = 4317
_OTLP_PORT = {"http": 4318, "https": 443}
_OTLP = "http://localhost:4318"
_DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql", "sqlite")
_MISCONFIGURED = (401, 403, 404, 405)
_NO_LINE = b"\n"
"""What every statsd server passes over."""

Probe = tuple[str, Callable[[], str | None]]
"""The subject, and what tells the problem or None."""


def unreachable(settings: Settings) -> Iterator[Problem]:
    """Ask all servers at once; those that do not answer in time are problems, too."""
    answers: dict[int, str | None] = {}
    probes = list(_probes(settings))

    def ask(number: int, probe: Callable[[], str | None]) -> None:
        try:
            with suppressed():
                answers[number] = probe()
        except Exception as error:  # noqa: BLE001  # any driver may be behind it
            answers[number] = f"cannot be reached: {_reason(error)}"

    threads = [
        threading.Thread(target=ask, args=(number, probe), name=f"doctor: {subject}", daemon=True)
        for number, (subject, probe) in enumerate(probes)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _ALL
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    for number, (subject, _) in enumerate(probes):
        message = answers.get(number, f"no answer within {_ALL:g} s")
        if message is not None:
            yield Problem(subject, message)


def _probes(settings: Settings) -> Iterator[Probe]:
    otel, statsd = readable(settings, OtelSettings), readable(settings, StatsdSettings)
    if otel is not None and not otel.disabled:
        for signal in _SIGNALS:
            if "otlp" in exporter_names(otel, signal):
                yield _otlp(otel, signal)
    names = [] if otel is None or otel.disabled else exporter_names(otel, "metrics")
    if statsd is not None and statsd.address:
        yield "STATSD_ADDRESS", lambda: _statsd(statsd.address or "")
    elif otel is not None and "statsd" in names:
        endpoint = otel.statsd_endpoint or "localhost:8125"
        yield "OTEL_EXPORTER_STATSD_ENDPOINT", lambda: _statsd(endpoint)
    redis = readable(settings, BroadcastSettings)
    if redis is not None and (redis.redis_url or redis.sentinels):
        yield "C2C_REDIS_SENTINELS" if redis.sentinels else "C2C_REDIS_URL", lambda: _redis(redis)
    for name, value in settings.ini.items():
        scheme = str(value).partition("://")[0].partition("+")[0]
        if name.endswith(".url") and "://" in str(value) and scheme in _DATABASES:
            yield name, _database(str(value))


_Signal = Literal["traces", "metrics", "logs"]
_SIGNALS: tuple[_Signal, ...] = ("traces", "metrics", "logs")


def _otlp(otel: OtelSettings, signal: _Signal) -> Probe:
    signal_endpoint: str | None = getattr(otel, f"{signal}_endpoint")
    variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT" if signal_endpoint else "OTEL_EXPORTER_OTLP_ENDPOINT"
    url = signal_endpoint or f"{(otel.endpoint or _OTLP).rstrip('/')}/v1/{signal}"
    protocol = getattr(otel, f"{signal}_protocol") or otel.protocol or "http/protobuf"
    return variable, lambda: _collector(url, grpc=protocol == "grpc")


def _collector(url: str, *, grpc: bool) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in _OTLP_PORT or not parts.hostname:
        return f"no URL: expected one such as {_OTLP}"
    port = parts.port or (_GRPC_PORT if grpc else _OTLP_PORT[parts.scheme])
    if grpc:
        with closing(socket.create_connection((parts.hostname, port), _PATIENCE)):
            return None
    if port == _GRPC_PORT:
        return f"{_GRPC_PORT} is the port of OTLP over gRPC: expected that of OTLP over HTTP, mostly 4318"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with closing(kind(parts.hostname, port, timeout=_PATIENCE)) as connection:
        # No span and no metric is a valid message of zero bytes.
        connection.request("POST", parts.path or "/", b"", {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        status, place = response.status, response.headers.get("Location", "nowhere")
    if 300 <= status < 400:  # noqa: PLR2004  # what a proxy with a login answers; nothing is sent there
        return f"{status} from {shown('', url)}: it redirects to {shown('', place)}, where nothing is sent"
    if status == http.client.NOT_FOUND:
        return f"404 from {shown('', url)}: expected the base URL of a collector in OTEL_EXPORTER_OTLP_ENDPOINT"
    return None if status not in _MISCONFIGURED else f"{status} from {shown('', url)}"


def _statsd(address: str) -> str | None:
    endpoint = parse_endpoint(address)
    if endpoint.scheme != "udp":
        with closing(UnixDatagramLink(endpoint.path) if endpoint.scheme == "unix" else StreamLink(endpoint)) as link:
            link.open(_PATIENCE)
        return None
    family, kind, protocol, _, peer = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)[0]
    with closing(socket.socket(family, kind, protocol)) as sender:
        sender.connect(peer)
        sender.settimeout(_REFUSAL)
        sender.send(_NO_LINE)
        try:
            sender.recv(1)
        except TimeoutError:  # silence is all that UDP has for yes
            return None
    return None


def _redis(settings: BroadcastSettings) -> str | None:
    try:
        connected = connect(settings)
    except SettingsError as error:
        return str(error)
    if connected is not None:
        store, listening = connected
        with closing(store.client), closing(listening):
            store.client.ping()
    return None


def _database(url: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        try:
            from sqlalchemy import create_engine, make_url  # noqa: PLC0415  # an extra
            from sqlalchemy.pool import NullPool  # noqa: PLC0415  # an extra
        except ImportError:
            return "SQLAlchemy is not installed: expected pip install 'c2cotel[sqlalchemy]'"
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":  # to connect would make the file
            directory = Path(parsed.database or ".").parent
            return None if directory.is_dir() else f"{directory}: there is no such directory"
        options: dict[str, Any] = {}
        if parsed.get_dialect().name == "postgresql":
            options["connect_timeout"] = int(_PATIENCE)
        engine = create_engine(parsed, poolclass=NullPool, connect_args=options)
        with engine.connect():
            return None

    return probe


def _reason(error: Exception) -> str:
    reason = " ".join(str(error).split()) or "no reason given"
    return redaction.anywhere(f"{type(error).__name__}: {reason}")
