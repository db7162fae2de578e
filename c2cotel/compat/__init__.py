"""The import names, loggers and wire names of the library of 2018, for applications that migrate.

::

    import c2cotel.compat  # the one line that changes, before the first import of c2cwsgiutils

Then ``from c2cwsgiutils import stats`` gives `c2cotel.stats`, and so on; see docs/how-to/migrate.md. If the library of
2018 is installed, that is said, and nothing is changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from c2cotel import ini
from c2cotel.config.declare import unless_set

OLD = "c2cwsgiutils"
MODULES = {
    "acceptance": "c2cotel.acceptance",
    "acceptance.composition": "c2cotel.acceptance.composition",
    "acceptance.connection": "c2cotel.acceptance.connection",
    "acceptance.utils": "c2cotel.acceptance.utils",
    "broadcast": "c2cotel.compat.broadcast",
    "db": "c2cotel.db",
    "debug": "c2cotel_views.debug",
    "errors": "c2cotel_views.errors",
    "health_check": "c2cotel_views.health",
    "loader": "c2cotel.loader",
    "models_graph": "c2cotel.models_graph",
    "pyramid": "c2cotel.compat.pyramid",
    "pyramid_logging": "c2cotel.logs",
    "sentry": "c2cotel.compat.sentry",
    "services": "c2cotel_views.services",
    "setup_process": "c2cotel.compat.setup_process",
    "sql_profiler": "c2cotel_views.sql_profiler",
    "stats": "c2cotel.compat.stats",
    "stats_pyramid": "c2cotel.compat.stats_pyramid",
    "version": "c2cotel_views.versions",
    "wsgi": "c2cotel.compat.wsgi",
    "wsgi_app": "c2cotel.compat.wsgi_app",
}
"""Modules of the library of 2018, and where each is now."""

GONE = {
    "auth": "C2C_SECRET opens every protected view, and c2cotel.plugin.has_secret tells who brings it",
    "client_info": "proxies are the WSGI server's matter, such as gunicorn's --forwarded-allow-ips",
    "coverage_setup": "start the process under `coverage run`",
    "index": "c2cotel.setup(config) serves the index where C2C_BASE_PATH is set",
    "pretty_json": "c2cotel.setup(config) adds the renderers json and fast_json",
    "profiler": "C2C_PROFILER_PATH turns the profiler on",
    "redis_stats": "c2cotel.setup() times Redis by itself, unless C2C_TRACK_REDIS is off",
    "redis_utils": "c2cotel.broadcast.store() is the client of C2C_REDIS_URL",
    "request_tracking": "request.c2c_request_id is there after c2cotel.setup(config)",
}
"""What to use in the place of modules that are not there."""

_LOGGERS = {
    "c2cotel": OLD,
    "c2cotel_views": OLD,
    "c2cotel.broadcast": f"{OLD}.broadcast",
    "c2cotel.db": f"{OLD}.db",
    "c2cotel.health": f"{OLD}.health_check",
    "c2cotel.instrumentation.requests": f"{OLD}.request_tracking",
    "c2cotel.sentry": f"{OLD}.sentry",
    "c2cotel.sql_profiler": f"{OLD}.sql_profiler",
    "c2cotel.stats": f"{OLD}.stats",
    "c2cotel_views.debug": f"{OLD}.debug",
    "c2cotel_views.errors": f"{OLD}.errors",
    "c2cotel_views.logging_level": f"{OLD}.logging_view",
}
"""Our loggers, and those of 2018 under whose names their records appear; parents first."""

_WORDING = {"%s %s was answered with %d: %s (request %s)": "%s %s returned status code %d: %s (request %s)"}
"""Our log lines, and how they were worded: saved searches look for that."""

_AS_IN_2018 = ("STATSD_2018_NAMES", "C2C_OPEN_RESET", "C2C_SHOW_ERRORS", "C2C_IGNORE_UNKNOWN_CHECKS")
"""Settings that are on unless somebody says otherwise."""

_BY_IMPORT = MODULES["setup_process"]
"""What alembic and scripts only import: that is its use."""

_logger = logging.getLogger(__name__)


class _Finder(MetaPathFinder):
    """Finds the names of 2018; asked first, or an aliased package would find its parts in its directory again."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == OLD:
            return ModuleSpec(OLD, _Package(), is_package=True)
        start, _, name = fullname.partition(".")
        if start != OLD:
            return None
        if name not in MODULES:
            instead = f". Instead: {GONE[name]}" if name in GONE else ""
            # Under another name than its own: `from c2cwsgiutils import name` would swallow the error.
            raise ModuleNotFoundError(
                f"{fullname} has no counterpart in c2cotel; see docs/how-to/migrate.md for what is where{instead}",
                name=OLD,
            )
        return ModuleSpec(fullname, _Alias(MODULES[name]))


class _Package(Loader):
    """The package of 2018, whose names are its modules; and of its later versions, what a `gunicorn.conf.py` uses."""

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = __doc__
        vars(module).update(
            get_config_defaults=lambda: ini.defaults(ini.path()),
            get_logconfig_dict=ini.logging_config,
            get_paste_config=ini.path,
        )


class _Alias(Loader):
    """Gives another module.

    Args:
        name: of it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        target = importlib.import_module(self._name)
        if self._name == _BY_IMPORT:
            target.init_by_import()
        # The import statement takes what stands here, and the other module keeps its own name and spec.
        sys.modules[module.__name__] = target


def adopt_loggers() -> None:
    """Have our loggers follow those of 2018, also after a `fileConfig` that disabled what it did not know."""
    logging.captureWarnings(capture=True)
    for ours, theirs in _LOGGERS.items():
        logger = logging.getLogger(ours)
        logger.parent = logging.getLogger(theirs)
    for name, existing in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] in _LOGGERS and isinstance(existing, logging.Logger):
            existing.disabled = False
    logging.root.setLevel(logging.root.level)  # levels that loggers had before are remembered by `logging`


def _rename_records() -> None:
    """Give the records of our loggers the names and the wording that they had, for saved searches in logs."""
    make = logging.getLogRecordFactory()

    def renamed(name: str, *args: Any, **kwargs: Any) -> logging.LogRecord:
        if name.startswith("c2cotel"):
            package, _, rest = name.partition(".")
            if package in _LOGGERS:
                name = _LOGGERS.get(name) or f"{OLD}.{rest}"
                args = tuple(_WORDING.get(each, each) if isinstance(each, str) else each for each in args)
        return make(name, *args, **kwargs)

    logging.setLogRecordFactory(renamed)


def _turn_on() -> None:
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if importlib.util.find_spec(OLD) is not None:
        warnings.warn(
            f"{OLD} itself is installed: c2cotel.compat leaves it alone. Uninstall it to go over to c2cotel",
            stacklevel=3,
        )
        return
    sys.meta_path.insert(0, _Finder())
    for setting in _AS_IN_2018:
        unless_set(setting, "1")
    adopt_loggers()
    _rename_records()


_turn_on()
