"""The views that load balancers, probes and operators talk to; `c2cotel.setup(config)` includes them."""

from __future__ import annotations

import logging
import re
from typing import Any

from c2cotel.plugin import (
    ApplicationSettings,
    FlightRecorderSettings,
    serves_prometheus,
    settings_of,
    start_level,
    telemetry_of,
)
from c2cotel_views import (
    configuration,
    console,
    debug,
    debug_token,
    errors,
    health,
    index,
    logging_level,
    metrics,
    profiler,
    renderers,
    requests,
    sql_profiler,
    stats,
    versions,
)
from c2cotel_views._auth import BASE_PATH
from c2cotel_views._services import add_cornice_service
from c2cotel_views._view import SERVED, View

VIEWS = (
    *index.VIEWS,
    *requests.VIEWS,
    *console.VIEWS,
    *profiler.VIEWS,
    *console.VIEWS_AFTER_PROFILER,
    *health.VIEWS,
    View(
        path="/versions.json",
        route="c2c_versions",
        enabled=versions.enabled,
        view=versions.view,
        title="Versions",
        doc="What the application is made of, from the file at `C2C_VERSIONS_PATH`; present if the file is.",
    ),
    View(
        path="/config",
        route="c2c_config",
        enabled=configuration.enabled,
        view=configuration.view,
        title="Configuration",
        doc="Every setting with its origin, and what is wrong with it, as `c2cotel doctor` shows; present if "
        "`C2C_BASE_PATH` and `C2C_SECRET` are set.",
        parameters=(configuration.CONNECT,),
        protected=True,
    ),
    View(
        path="/stats.json",
        route="c2c_read_stats_json",
        enabled=lambda settings: settings.section(ApplicationSettings).stats_view,
        view=stats.view,
        title="Statistics",
        doc="Timers, gauges and counters since the start, of this process or of all together.",
        parameters=(stats.RESET, stats.SCOPE),
        changes_state=stats.may_reset,
        install=stats.install,
    ),
    View(
        path="/metrics",
        route="c2c_metrics",
        enabled=serves_prometheus,
        view=metrics.view,
        title="Prometheus",
        doc="The metrics of all processes of the host for Prometheus, in its text format or in OpenMetrics.",
        page=True,
        install=metrics.install,
    ),
    View(
        path="/logging/level",
        route="c2c_logging_level",
        enabled=lambda settings: settings.section(ApplicationSettings).log_view,
        old_secret=lambda settings: settings.log_view_secret,
        view=logging_level.view,
        title="Levels of loggers",
        doc="Show and set levels of loggers in all processes.",
        parameters=(logging_level.NAME, logging_level.LEVEL, logging_level.TTL),
        protected=True,
        changes_state=logging_level.changes,
        channels=logging_level.CHANNELS,
        install=logging_level.install,
    ),
    View(
        path="/sql_profiler",
        route="c2c_sql_profiler",
        enabled=lambda settings: settings.section(ApplicationSettings).sql_profiler,
        old_secret=lambda settings: settings.sql_profiler_secret,
        view=sql_profiler.view,
        title="SQL profiler",
        doc="Log the plan of each distinct `SELECT` on `c2cotel.sql_profiler`; costs a lot while it is on.",
        parameters=(sql_profiler.ENABLE,),
        protected=True,
        changes_state=sql_profiler.changes,
        channels=sql_profiler.CHANNELS,
        install=sql_profiler.install,
    ),
    *debug.VIEWS,
    *debug_token.VIEWS,
)
"""Every view: its route, its guard, its entry in the index and its place in the documentation follow from its row."""

_logger = logging.getLogger(__name__)
_BELOW = re.compile(r"(\.json)?(/?\{.*)?$")
"""The end of a path that a warning leaves out, so that a page and its JSON are named once."""


def includeme(config: Any) -> None:
    """Add the views that the settings turn on, JSON errors and renderers; the entry point of `c2cotel.plugins`."""
    settings = settings_of(config.registry)
    application = settings.section(ApplicationSettings)
    _warn_of_old_secrets(application)
    enabled = [row for row in VIEWS if row.enabled(settings) or row.old_secret(application)]
    telemetry = telemetry_of(config.registry)
    prefix = (config.route_prefix or "").strip("/")
    config.registry[BASE_PATH] = (f"/{prefix}" if prefix else "") + application.base_path
    config.registry[SERVED] = served = [row for row in enabled if row.served(application)]
    for row in served:
        row.add(config, settings, application.base_path)
        telemetry.install(row.serve_channels)
        if row.install is not None:
            telemetry.install(row.install)
    _logger.log(
        start_level(settings),
        "Views at %s: %s",
        config.registry[BASE_PATH] or "/",
        ", ".join(row.path for row in served if row.path) or "none",
    )
    _warn_of_missing_settings(config, application, [row for row in enabled if row not in served])
    telemetry.install(sql_profiler.explain_verbose)
    if any(row in served for row in profiler.VIEWS):
        profiler.add_tween(config)
    config.include(errors)
    config.include(renderers)
    config.add_directive("add_cornice_service", add_cornice_service)


def _warn_of_missing_settings(config: Any, application: ApplicationSettings, missing: list[View]) -> None:
    """Name the settings without which nobody sees what others turn on."""
    if missing:
        paths = [_BELOW.sub("", f"{config.registry[BASE_PATH]}{row.path}") for row in missing]
        _logger.warning(
            "C2C_SECRET is not set, so these views are not served: %s; set C2C_SECRET to a long random text",
            ", ".join(dict.fromkeys(paths)),
        )
    if settings_of(config.registry).section(FlightRecorderSettings).enabled and not application.base_path:
        _logger.warning(
            "C2C_BASE_PATH is not set, so no page shows what C2C_FLIGHT_RECORDER keeps; set it, for example to /c2c"
        )


def _warn_of_old_secrets(settings: ApplicationSettings) -> None:
    for name, secret, switch in (
        ("LOG_VIEW_SECRET", settings.log_view_secret, "C2C_LOG_VIEW_ENABLED"),
        ("SQL_PROFILER_SECRET", settings.sql_profiler_secret, "C2C_SQL_PROFILER_ENABLED"),
        ("DEBUG_VIEW_SECRET", settings.debug_view_secret, "C2C_DEBUG_VIEW_ENABLED"),
    ):
        if secret:
            _logger.warning("%s is deprecated, and still opens its views: set %s=1 and C2C_SECRET", name, switch)
