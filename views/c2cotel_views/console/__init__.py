"""The console: what all processes of the service do, in pages and as JSON."""

from __future__ import annotations

from c2cotel_views._view import View
from c2cotel_views.console import _json, _loggers
from c2cotel_views.console._switch import WINDOW, enabled, install

VIEWS = (
    View(
        path="/overview.json",
        route="c2c_overview_json",
        enabled=enabled,
        view=_json.overview,
        doc="Rates, failures, percentiles and where the time goes, by step and by route; the processes; what died; the "
        "metrics that have all the series they may have. Of all processes.",
        parameters=(WINDOW,),
        protected=True,
        install=install,
    ),
    View(
        path="/sql.json",
        route="c2c_sql_json",
        enabled=enabled,
        view=_json.statements,
        doc="The statements of all processes by total time, with the most repeats in one request.",
        parameters=(WINDOW,),
        protected=True,
    ),
    View(
        path="/loggers.json",
        route="c2c_loggers_json",
        enabled=enabled,
        view=_loggers.loggers,
        doc="The loggers of all processes with their levels, and what overrides them.",
        protected=True,
        channels=_loggers.CHANNELS,
    ),
)
