"""`c2cwsgiutils.stats`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import c2cotel
from c2cotel.config.declare import Settings, unless_set
from c2cotel.config.settings import ApplicationSettings, StatsdSettings
from c2cotel.runtime.telemetry import running
from c2cotel.stats import (
    Timer,
    Timing,
    increment_counter,
    outcome_timer_context,
    set_gauge,
    timer,
    timer_context,
)

__all__ = [
    "Timer",
    "Timing",
    "increment_counter",
    "init_backends",
    "outcome_timer_context",
    "set_gauge",
    "timer",
    "timer_context",
]

_OF_SETTINGS = {
    "c2c.statsd_address": "STATSD_ADDRESS",
    "c2c.statsd_prefix": "STATSD_PREFIX",
    "c2c.statsd_use_tags": "STATSD_USE_TAGS",
    "c2c.stats_view": "STATS_VIEW",
}
_GONE = {
    "BACKENDS": "c2cotel.setup() starts what STATSD_ADDRESS and STATS_VIEW ask for",
    "MemoryBackend": "set STATS_VIEW=1, and read c2cotel.setup().totals()",
    "StatsDBackend": "set STATSD_ADDRESS, and use c2cotel.stats.set_gauge, increment_counter and timer",
}


def init_backends(settings: Mapping[str, Any] | None = None) -> None:
    """Start sending measurements, as the environment asks for and then the settings.

    Args:
        settings: of an ini, such as ``{"c2c.statsd_address": "localhost:8125"}``.
    """
    if running() is not None:
        return
    for name, env in _OF_SETTINGS.items():
        if text := str((settings or {}).get(name) or ""):
            unless_set(env, text)
    telemetry = c2cotel.setup()
    if telemetry.settings.section(ApplicationSettings).stats_view:
        telemetry.keep_totals()


def __getattr__(name: str) -> Any:
    if name == "USE_TAGS":
        telemetry = running()
        settings = Settings(os.environ) if telemetry is None else telemetry.settings
        return settings.section(StatsdSettings).use_tags
    if name in _GONE:  # no AttributeError: its text would be lost in `from c2cwsgiutils.stats import name`
        raise ImportError(f"c2cwsgiutils.stats.{name} is not in c2cotel: {_GONE[name]}", name=name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
