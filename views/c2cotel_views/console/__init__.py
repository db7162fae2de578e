"""The console: what all processes of the service do, in pages and as JSON."""

from __future__ import annotations

from c2cotel_views._tables import PARAMETERS
from c2cotel_views._view import View
from c2cotel_views.console import _configuration, _forms, _json, _loggers, _logs, _processes, _profiling, _sql
from c2cotel_views.console._figures import TITLES, bar, milliseconds, picture, shares, span
from c2cotel_views.console._forms import forms_page
from c2cotel_views.console._processes import process_row, troubles
from c2cotel_views.console._switch import WINDOW, enabled, install, overview_of

__all__ = [
    "TITLES",
    "VIEWS",
    "VIEWS_AFTER_PROFILER",
    "WINDOW",
    "bar",
    "enabled",
    "forms_page",
    "milliseconds",
    "overview_of",
    "picture",
    "process_row",
    "shares",
    "span",
    "troubles",
]

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
        path="/sql",
        route=_sql.ROUTE,
        enabled=enabled,
        view=_sql.page,
        doc="A page (HTML) of the statements of all processes by total time.",
        parameters=(WINDOW, *PARAMETERS),
        protected=True,
        page=True,
        navigation="SQL",
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
        path="/logs",
        route=_logs.ROUTE,
        enabled=enabled,
        view=_logs.page,
        doc="A page (HTML) of all loggers, whose levels can be set for a time, and of what kept requests logged.",
        parameters=(_logs.FILTER, _logs.CHOSEN, _logs.LEAST),
        protected=True,
        page=True,
        navigation="Logs",
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
    View(
        path="/processes",
        route=_processes.ROUTE,
        enabled=enabled,
        view=_processes.page,
        doc="A page (HTML) of the processes, with what they are at and their stacks.",
        parameters=(_processes.STACKS, _processes.OBJECTS, *PARAMETERS),
        protected=True,
        page=True,
        navigation="Processes",
        channels=_processes.CHANNELS,
    ),
)
VIEWS_AFTER_PROFILER = (
    View(
        path="/profiling",
        route=_profiling.ROUTE,
        enabled=_profiling.enabled,
        view=_profiling.page,
        doc="A page (HTML) that tells how to turn the CPU profiler on; present if it is off.",
        protected=True,
        page=True,
        navigation="Profiler",
    ),
    View(
        path="/configuration",
        route=_configuration.ROUTE,
        enabled=enabled,
        view=_configuration.page,
        doc="A page (HTML) of what is wrong with the settings, and of all settings.",
        parameters=(_configuration.CONNECT, _configuration.FILTER),
        protected=True,
        page=True,
        navigation="Configuration",
    ),
    View(
        path="/views",
        route=_forms.ROUTE,
        enabled=enabled,
        view=_forms.page,
        doc="A page (HTML) with a form for every view that is served.",
        protected=True,
        page=True,
        navigation="All views",
    ),
)
