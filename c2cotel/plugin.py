"""All that a plug-in may import of c2cotel beside its public doors; c2cotel_views itself uses nothing else.

A plug-in is a function that takes a Pyramid `Configurator`, named by an entry point of the group ``c2cotel.plugins``;
`c2cotel.setup(config)` includes it. See docs/how-to/add-a-view.md.
"""

from __future__ import annotations

import hmac
from typing import Any

from c2cotel.config.declare import Settings, setting
from c2cotel.config.settings import (
    ApplicationSettings,
    FlightRecorderSettings,
    StatsdSettings,
    serves_prometheus,
    start_level,
)
from c2cotel.delivery.forks import ForkAware, forks
from c2cotel.delivery.guard import Guard
from c2cotel.delivery.once import Once
from c2cotel.errors import SettingsError
from c2cotel.host.records import KEPT
from c2cotel.metrics.exchange import Family as MetricFamily
from c2cotel.metrics.observations import Observation
from c2cotel.metrics.totals import merge as merge_totals
from c2cotel.runtime import history as request_history
from c2cotel.runtime.flight import lines as flight_lines
from c2cotel.runtime.flight import search as flight_search
from c2cotel.runtime.flight import tokens as debug_tokens
from c2cotel.runtime.flight.verbose import verbose_request
from c2cotel.runtime.request_scope import defer, note_rendering
from c2cotel.runtime.telemetry import Telemetry
from c2cotel.state import of as process_state
from c2cotel.tracing.child import child as child_span

__all__ = [
    "KEPT",
    "ApplicationSettings",
    "FlightRecorderSettings",
    "ForkAware",
    "Guard",
    "MetricFamily",
    "Observation",
    "Once",
    "Settings",
    "SettingsError",
    "StatsdSettings",
    "Telemetry",
    "child_span",
    "debug_tokens",
    "defer",
    "flight_lines",
    "flight_search",
    "forks",
    "has_secret",
    "merge_totals",
    "note_rendering",
    "process_state",
    "request_history",
    "serves_prometheus",
    "setting",
    "settings_of",
    "start_level",
    "telemetry_of",
    "verbose_request",
]


def has_secret(request: Any) -> bool:
    """Whether a request brings `C2C_SECRET` in the header ``X-API-Key``, compared in constant time.

    Without `C2C_SECRET` no request does. Parameters and browser sessions are c2cotel_views' own.
    """
    secret = settings_of(request.registry).section(ApplicationSettings).secret
    if not secret:
        return False
    # WSGI hands the bytes of a header over as Latin-1 (PEP 3333).
    given = request.environ.get("HTTP_X_API_KEY", "").encode("latin-1", "replace")
    return hmac.compare_digest(given, secret.encode("utf-8", "surrogateescape"))


def settings_of(registry: Any) -> Settings:
    """The settings of an application, by its Pyramid registry."""
    settings: Settings = registry["c2cotel.settings"]
    return settings


def telemetry_of(registry: Any) -> Telemetry:
    """The telemetry that an application uses, by its Pyramid registry."""
    telemetry: Telemetry = registry["c2cotel.telemetry"]
    return telemetry
