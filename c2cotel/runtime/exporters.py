"""Which exporters the settings name, and what makes one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from c2cotel.config.settings import PROMETHEUS, OtelSettings
from c2cotel.delivery.http import HttpSender
from c2cotel.errors import SettingsError
from c2cotel.otel.otlp_client import OtlpClient
from c2cotel.otel.sdk_private import otlp_client, otlp_connection, use_otlp_client
from c2cotel.tracing.sparing import SparingSpanExporter

_logger = logging.getLogger(__name__)

Signal = Literal["traces", "metrics", "logs"]

_OTLP = "otlp"
_OTLP_HTTP = "otlp_proto_http"
_OTLP_JSON = "otlp_json_http"
_PROTOCOLS = {"http/protobuf": _OTLP_HTTP, "http/json": _OTLP_JSON, "grpc": "otlp_proto_grpc"}
_PACKAGES = {
    _OTLP_HTTP: "c2cotel[otlp]",
    _OTLP_JSON: "opentelemetry-exporter-otlp-json-http",
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "zipkin": "opentelemetry-exporter-zipkin",
}


def exporter_names(otel: OtelSettings, signal: Signal) -> Sequence[str]:
    """What a signal is exported by: as the settings say, else OTLP where there is an endpoint."""
    chosen: Iterable[str] | None = getattr(otel, f"{signal}_exporter")
    if chosen is not None:
        elsewhere = ("none", PROMETHEUS) if signal == "metrics" else ("none",)
        return [name for name in dict.fromkeys(chosen) if name.lower() not in elsewhere]
    return [_OTLP] if otel.endpoint or getattr(otel, f"{signal}_endpoint") else []


def exporter_factory(otel: OtelSettings, name: str, signal: Signal, base: type[Any]) -> Callable[[], Any]:
    """The exporter class that a name stands for; refuses what is not installed before anything has started.

    Raises:
        SettingsError: it is not installed, incomplete, or no push exporter.
    """
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    wanted = _otlp_name(otel, signal) if name == _OTLP else name
    entry_point = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=wanted)), None)
    install = _PACKAGES.get(wanted)
    if entry_point is None:
        installed = sorted({entry.name for entry in entry_points(group=f"opentelemetry_{signal}_exporter")} | {_OTLP})
        hint = f"pip install '{install}'" if install else f"one of the installed {', '.join(installed)}, or none"
        raise SettingsError(f"{variable}: the exporter {wanted!r} is not installed: expected {hint}")
    try:
        cls = entry_point.load()
    except ImportError as error:
        hint = f"pip install '{install}'" if install else "its package, complete"
        raise SettingsError(f"{variable}: {wanted!r} cannot be imported ({error}): expected {hint}") from error
    if not issubclass(cls, base):
        raise SettingsError(f"{variable}: {wanted!r} is a pull exporter; expected a push exporter")
    factory: Callable[[], Any] = cls
    if wanted not in {_OTLP_HTTP, _OTLP_JSON}:
        return factory

    def make() -> Any:
        exporter = factory()
        _send_ourselves(exporter)
        if signal != "traces":
            return exporter
        if wanted == _OTLP_JSON:
            return SparingSpanExporter(exporter)
        from c2cotel.tracing.otlp_exporter import OtlpSpanExporter  # noqa: PLC0415  # its imports come with the extra

        return OtlpSpanExporter(exporter)

    return make


def keeps_failed(exporter: Any) -> bool:
    """Whether what an exporter has just failed to send is worth another try."""
    client = otlp_client(exporter)
    if not isinstance(client, OtlpClient):
        return False
    # Of this failure alone: one before the client is asked, as of the encoder, tells nothing here.
    again, client.may_try_again = client.may_try_again, False
    return again


def _send_ourselves(exporter: Any) -> None:
    """Let an official OTLP/HTTP exporter send through our client, unless a proxy or a session of its own is in use."""
    connection = otlp_connection(exporter)
    if connection is None:
        return
    parts = urlsplit(connection.endpoint)
    if getproxies().get(parts.scheme) and not proxy_bypass(parts.hostname or ""):
        if connection.headers.get("content-type") == "application/json":
            _logger.warning("OTLP as JSON goes to %s directly: its exporter uses no proxy", parts.hostname)
        return
    sender = HttpSender(connection.endpoint, connection.headers, verify=connection.verify, cert=connection.cert)
    client = OtlpClient(sender, connection.kind, connection.timeout, connection.compression, connection.logger)
    use_otlp_client(exporter, client)


def _otlp_name(otel: OtelSettings, signal: Signal) -> str:
    signal_protocol = getattr(otel, f"{signal}_protocol")
    variable = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL" if signal_protocol else "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = signal_protocol or otel.protocol or "http/protobuf"
    if protocol not in _PROTOCOLS:
        raise SettingsError(f"{variable}={protocol!r}: expected one of {', '.join(_PROTOCOLS)}")
    return _PROTOCOLS[protocol]
