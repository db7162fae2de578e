"""Cornice comes in with the application's first service: it costs every request as much as all measuring does."""

from __future__ import annotations

from typing import Any


def add_cornice_service(config: Any, service: Any) -> None:
    """Directive that `cornice.Service` calls when it is scanned."""
    from cornice.pyramidhook import register_service_views  # noqa: PLC0415  # see above

    config.add_settings(handle_exceptions=False)
    config.include("cornice")
    register_service_views(config, service)
