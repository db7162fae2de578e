"""What c2cotel asks of OpenTelemetry's own instrumentations (opentelemetry-python-contrib)."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from c2cotel.errors import SettingsError

_OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"


def instrumentor(library: str, name: str) -> Any:
    """The instrumentor of a library; there is one object of each in a process.

    Raises:
        SettingsError: it is not installed; says what to install.
    """
    try:
        module = import_module(f"opentelemetry.instrumentation.{library}")
    except ImportError as error:
        raise SettingsError(f"Spans of {library} need more: pip install 'c2cotel[{library}]' ({error})") from error
    return getattr(module, name)()


def ask_for_stable_conventions() -> None:
    """Ask for the stable semantic conventions; contrib reads this once, at its first use in a process."""
    parts = [part.strip() for part in os.environ.get(_OPT_IN, "").split(",") if part.strip()]
    missing = [part for part in ("http", "database") if part not in parts and f"{part}/dup" not in parts]
    if missing:
        os.environ[_OPT_IN] = ",".join([*parts, *missing])
