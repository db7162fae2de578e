"""The only module that knows everybody: settings to pipeline to telemetry to instrumentation to plugins."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from time import perf_counter
from typing import Any

import wrapt

from c2cotel import broadcast
from c2cotel.errors import SettingsError
from c2cotel.options import APPLICATION, PROCESS, ApplicationSettings, SentrySettings
from c2cotel.pipeline import Pipeline, Service
from c2cotel.settings import Settings
from c2cotel.telemetry import Telemetry

TELEMETRY = "c2cotel.telemetry"
SETTINGS = "c2cotel.settings"

_INSTRUMENTATIONS = {
    library: f"c2cotel.instrumentation.{library}" for library in ("gunicorn", "redis", "requests", "sqlalchemy")
}

_logger = logging.getLogger(__name__)
_lock = threading.Lock()
_running: Telemetry | None = None


def setup(config: Any = None, *, clock: Callable[[], float] = perf_counter) -> Telemetry:
    """Turn on all that the settings ask for; see `c2cotel.setup`."""
    settings = Settings(os.environ, None if config is None else config.registry.settings)
    for section in (*APPLICATION, *PROCESS):
        settings.section(section)
    with _lock:
        telemetry = _start(settings, _service(config), clock)
    for library, instrumentation in _INSTRUMENTATIONS.items():
        _when_imported(library, partial(_install, telemetry, instrumentation))
    try:
        if settings.section(SentrySettings).url is not None:
            telemetry.install(import_module("c2cotel.sentry").install)
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
        # Through include: a second call does nothing, and what the application registers itself wins.
        config.include(_include)
    return telemetry


def running() -> Telemetry | None:
    """The telemetry of this process, from the first `setup` until it is closed."""
    return None if _running is None or _running.closed else _running


def _start(settings: Settings, service: Service, clock: Callable[[], float]) -> Telemetry:
    global _running  # noqa: PLW0603  # a process has one telemetry
    if (known := running()) is not None:
        for section in PROCESS:
            settings.must_agree(known.settings, section)
        return known
    _running = Telemetry(settings, Pipeline(settings, service), clock)
    return _running


def _broadcast(telemetry: Telemetry) -> Callable[[], None]:
    return broadcast.start(telemetry.settings)


def _when_imported(library: str, install: Callable[[Any], None]) -> None:
    """Instrument what the application has imported or will import, and import nothing on its behalf."""
    wrapt.register_post_import_hook(install, library)


def _install(telemetry: Telemetry, instrumentation: str, _: Any) -> None:
    if telemetry.closed:
        return
    try:
        telemetry.install(import_module(instrumentation).install)
    except SettingsError as error:  # inside somebody's import statement
        _logger.error("%s is not instrumented: %s", instrumentation.rpartition(".")[2], error)  # noqa: TRY400  # says it


def _include(config: Any) -> None:
    from c2cotel.instrumentation import pyramid  # noqa: PLC0415  # scripts need no Pyramid

    pyramid.include(config)
    if config.registry[SETTINGS].section(SentrySettings).url is not None:
        import_module("c2cotel.sentry").include(config)
    for plugin in entry_points(group="c2cotel.plugins"):
        config.include(plugin.load())


def _service(config: Any) -> Service:
    package = getattr(getattr(config, "root_package", None), "__name__", None)
    if package is None or package == "__main__":
        return Service()
    name = package.partition(".")[0]
    try:
        return Service(name, version(name))
    except PackageNotFoundError:
        return Service(name)
