"""The only module that knows everybody: settings to pipeline to telemetry to instrumentation to plug-ins."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from time import perf_counter
from typing import Any

import wrapt
from opentelemetry.sdk.resources import HOST_NAME, SERVICE_NAME, SERVICE_VERSION

from c2cotel import broadcast, state
from c2cotel._version import VERSION
from c2cotel.config.declare import Settings
from c2cotel.config.settings import (
    APPLICATION,
    PROCESS,
    ApplicationSettings,
    BroadcastSettings,
    FlightRecorderSettings,
    HostSettings,
    LogSettings,
    SentrySettings,
    StallSettings,
    serves_prometheus,
    start_level,
)
from c2cotel.delivery.forks import forks
from c2cotel.errors import SettingsError
from c2cotel.host.calls import HostCalls
from c2cotel.host.directory import StateFolder, parent_folder, service_folder
from c2cotel.runtime.flight import FlightRecorder
from c2cotel.runtime.flight.buffering import RequestLogs
from c2cotel.runtime.pipeline import Pipeline
from c2cotel.runtime.service import Service
from c2cotel.runtime.telemetry import Running, Telemetry, running

TELEMETRY = "c2cotel.telemetry"
SETTINGS = "c2cotel.settings"

_INSTRUMENTATIONS = {
    library: f"c2cotel.instrumentation.{library}" for library in ("gunicorn", "redis", "requests", "sqlalchemy")
}

_logger = logging.getLogger(__name__)


class _ImportHooks:
    """The libraries whose import is waited for; a hook cannot be taken out again, so each library has one."""

    def __init__(self) -> None:
        self.libraries: set[str] = set()

    def reset(self) -> None:
        """Nothing to do: the hooks stay, and ask what runs when a library is imported."""


def setup(config: Any = None, *, clock: Callable[[], float] = perf_counter) -> Telemetry:
    """Turn on all that the settings ask for; see `c2cotel.setup`."""
    _drop_empty_variables()
    settings = Settings(os.environ, None if config is None else config.registry.settings)
    for section in (*APPLICATION, *PROCESS):
        settings.section(section)
    forks.watch(state.of(Running))
    with state.of(Running).lock:
        telemetry = _start(settings, _service(config), clock)
    try:
        _instrument_libraries()
        if settings.section(SentrySettings).url is not None:
            telemetry.install(import_module("c2cotel.sentry").install)
        telemetry.install(_note_origins)
        telemetry.install(_keep_quiet_records)
        telemetry.install(_broadcast)  # after the above: what it sends is measured from the first message on
    except BaseException:
        telemetry.close(timeout=0.5)
        raise
    if config is not None:
        config.registry[TELEMETRY] = telemetry
        config.registry[SETTINGS] = settings
        from c2cotel.instrumentation import pyramid  # noqa: PLC0415  # scripts need no Pyramid

        telemetry.install(pyramid.install)
        if settings.section(ApplicationSettings).stats_view:
            telemetry.keep_totals()
        if serves_prometheus(settings):
            telemetry.share_metrics()
        # Through include: a second call does nothing, and what the application registers itself wins.
        config.include(_include)
    return telemetry


def _drop_empty_variables() -> None:
    """Take empty variables of OpenTelemetry out of the environment: its SDK refuses some that count as unset."""
    for name in [name for name, value in os.environ.items() if name.startswith("OTEL_") and not value]:
        del os.environ[name]


def _start(settings: Settings, service: Service, clock: Callable[[], float]) -> Telemetry:
    if (started := running()) is not None:
        for section in PROCESS:
            settings.must_agree(started.settings, section)
        return started
    folder = _folder(settings, service)
    pipeline = Pipeline(settings, service, _flight_recorder(settings, service, folder))
    telemetry = Telemetry(settings, pipeline, folder, clock)
    state.of(Running).telemetry = telemetry
    telemetry.start()
    level = start_level(settings)
    _logger.log(level, "c2cotel %s starts: measurements %s", VERSION, "are sent" if telemetry.measures else "stay here")
    return telemetry


def _folder(settings: Settings, service: Service) -> StateFolder:
    parent = parent_folder(settings.section(HostSettings).state_dir, settings.environ)
    name = settings.environ.get("OTEL_SERVICE_NAME") or service.name or "service"
    return StateFolder(service_folder(parent, name, settings.section(BroadcastSettings).prefix))


def _flight_recorder(settings: Settings, service: Service, folder: StateFolder) -> FlightRecorder | None:
    recorder = settings.section(FlightRecorderSettings)
    stalls = settings.section(StallSettings)
    if not recorder.enabled and not stalls.timeout and not settings.section(LogSettings).buffer:
        return None
    resource = service.resource().attributes
    name = str(resource[SERVICE_NAME])
    versions = {
        "application" if name.startswith("unknown_service") else name: str(resource.get(SERVICE_VERSION) or "unknown"),
        "c2cotel": VERSION,
        "python": platform.python_version(),
    }
    return FlightRecorder(recorder, stalls, folder, str(resource[HOST_NAME]), versions)


def _keep_quiet_records(telemetry: Telemetry) -> Callable[[], None]:
    """Keep log records below their level for each request, where a setting or a token asks for them."""
    flight = telemetry.flight
    levels = telemetry.settings.section(LogSettings).buffer or {}
    if flight is None or not (levels or flight.keeps):
        return lambda: None
    from c2cotel.logs.buffer import LogBuffer  # noqa: PLC0415  # few need it

    flight.logs = logs = RequestLogs()
    logs.buffer = LogBuffer(levels, logs)
    if levels:
        logs.install()
    return logs.close


def _note_origins(telemetry: Telemetry) -> Callable[[], None]:
    from c2cotel.logs.record import note_origins  # noqa: PLC0415  # slow to import

    return note_origins(None if telemetry.flight is None else telemetry.flight.note_log)


def _broadcast(telemetry: Telemetry) -> Callable[[], None]:
    calls = HostCalls(telemetry.folder, broadcast.answers_here, broadcast.is_served)
    return broadcast.start(telemetry.settings, calls)


def _instrument_libraries() -> None:
    """Instrument what the application has imported or will import, and import nothing on its behalf."""
    hooks = state.of(_ImportHooks)
    for library in _INSTRUMENTATIONS:
        if library not in hooks.libraries:
            hooks.libraries.add(library)
            wrapt.register_post_import_hook(lambda module: _instrument(module.__name__), library)
        elif library in sys.modules:
            _instrument(library)


def _instrument(library: str) -> None:
    telemetry = running()
    if telemetry is None:
        return
    try:
        telemetry.install(import_module(_INSTRUMENTATIONS[library]).install)
    except SettingsError as error:  # inside somebody's import statement
        _logger.error("%s is not instrumented: %s", library, error)  # noqa: TRY400  # the message says it all
    except Exception:  # such as a version of the library that has not what is looked for
        _logger.exception("%s is not instrumented; the application goes on without", library)


def _include(config: Any) -> None:
    from c2cotel.instrumentation import pyramid  # noqa: PLC0415  # scripts need no Pyramid

    pyramid.include(config)
    if config.registry[SETTINGS].section(SentrySettings).url is not None:
        import_module("c2cotel.sentry").include(config)
    plugins = entry_points(group="c2cotel.plugins")
    for plugin in plugins:
        config.include(plugin.load())
    if not any(plugin.name == "views" for plugin in plugins):
        _warn_without_views(config.registry[SETTINGS].section(ApplicationSettings))


def _warn_without_views(settings: ApplicationSettings) -> None:
    """Say that settings ask for views while the distribution that has them is not installed."""
    asked = {
        "C2C_BASE_PATH": settings.base_path,
        "STATS_VIEW": settings.stats_view,
        "C2C_LOG_VIEW_ENABLED": settings.log_view,
        "C2C_SQL_PROFILER_ENABLED": settings.sql_profiler,
        "C2C_DEBUG_VIEW_ENABLED": settings.debug_view,
        "C2C_PROFILER_PATH": settings.profiler_path,
    }
    if names := [name for name, value in asked.items() if value]:
        _logger.warning(
            "%s: no view is served, because c2cotel-views is not installed: pip install ./views in a clone of c2cotel",
            ", ".join(names),
        )


def _service(config: Any) -> Service:
    package = getattr(getattr(config, "root_package", None), "__name__", None)
    if package is None or package == "__main__":
        return Service()
    name = package.partition(".")[0]
    try:
        return Service(name, version(name))
    except PackageNotFoundError:
        return Service(name)
