"""The views that load balancers, probes and operators talk to; `c2cotel.setup(config)` includes them."""

from __future__ import annotations

from typing import Any

from c2cotel.options import ApplicationSettings
from c2cotel_views import stats
from c2cotel_views._services import add_cornice_service
from c2cotel_views._view import View

VIEWS = (
    View(
        path="/stats.json",
        route="c2c_read_stats_json",
        enabled=lambda settings: settings.section(ApplicationSettings).stats_view,
        view=stats.view,
    ),
)
"""Every view: its route and its place in the documentation follow from its row."""


def includeme(config: Any) -> None:
    """Add the views that the settings turn on; the entry point of `c2cotel.plugins`."""
    settings = config.registry["c2cotel.settings"]
    base_path = settings.section(ApplicationSettings).base_path
    for row in VIEWS:
        if row.enabled(settings):
            row.add(config, base_path)
    config.add_directive("add_cornice_service", add_cornice_service)
