"""What c2cotel asks of OpenTelemetry's own instrumentations (opentelemetry-python-contrib)."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

_logger = logging.getLogger(__name__)

_OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"


def free_instrumentor(library: str, name: str) -> Any:
    """The instrumentor of a library, for c2cotel to use; there is one object of each in a process.

    Returns:
        None when somebody else uses it already and makes the spans, or when it is not installed: timers do without.
    """
    try:
        module = import_module(f"opentelemetry.instrumentation.{library}")
    except ImportError as error:
        _logger.warning("No spans of %s: pip install 'c2cotel[%s]' brings them (%s)", library, library, error)
        return None
    _ask_for_stable_conventions()
    instrumentor = getattr(module, name)()
    return None if instrumentor.is_instrumented_by_opentelemetry else instrumentor


def _ask_for_stable_conventions() -> None:
    """Ask for the stable semantic conventions; contrib reads this once, at its first use in a process."""
    parts = [part.strip() for part in os.environ.get(_OPT_IN, "").split(",") if part.strip()]
    missing = [part for part in ("http", "database") if part not in parts and f"{part}/dup" not in parts]
    if missing:
        os.environ[_OPT_IN] = ",".join([*parts, *missing])
