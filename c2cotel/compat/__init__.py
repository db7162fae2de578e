"""The import names, loggers and wire names of the library of 2018, for applications that come over.

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

from c2cotel.config.declare import unless_set

OLD = "c2cwsgiutils"
MODULES = {
    "acceptance": "c2cotel.acceptance",
    "acceptance.composition": "c2cotel.acceptance.composition",
    "acceptance.connection": "c2cotel.acceptance.connection",
    "acceptance.utils": "c2cotel.acceptance.utils",
    "broadcast": "c2cotel.broadcast",
    "db": "c2cotel.db",
    "debug": "c2cotel_views.debug",
    "errors": "c2cotel_views.errors",
    "health_check": "c2cotel_views.health",
    "models_graph": "c2cotel.models_graph",
    "pyramid": "c2cotel.compat.pyramid",
    "pyramid_logging": "c2cotel.logs",
    "sentry": "c2cotel.sentry",
    "services": "c2cotel_views.services",
    "setup_process": "c2cotel.compat.setup_process",
    "sql_profiler": "c2cotel_views.sql_profiler",
    "stats": "c2cotel.stats",
    "version": "c2cotel_views.versions",
}
"""Modules of the library of 2018, and where each is now."""

_LOGGERS = {"c2cotel": OLD, "c2cotel_views": OLD, "c2cotel.sql_profiler": f"{OLD}.sql_profiler"}
"""Our loggers, and those of 2018 whose levels and handlers they follow."""

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
            raise ModuleNotFoundError(
                f"{fullname} has no counterpart in c2cotel; see docs/how-to/migrate.md for what is where", name=fullname
            )
        return ModuleSpec(fullname, _Alias(MODULES[name]))


class _Package(Loader):
    """The package of 2018, which is empty."""

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = __doc__


class _Alias(Loader):
    """Gives another module.

    Args:
        name: of it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        target = importlib.import_module(self._name)
        # The import statement takes what stands here, and the other module keeps its own name and spec.
        sys.modules[module.__name__] = target


def adopt_loggers() -> None:
    """Have our loggers follow those of 2018, also after a `fileConfig` that disabled what it did not know."""
    for ours, theirs in _LOGGERS.items():
        logger = logging.getLogger(ours)
        logger.parent = logging.getLogger(theirs)
    for name, existing in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] in _LOGGERS and isinstance(existing, logging.Logger):
            existing.disabled = False


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
    for setting in ("STATSD_2018_NAMES", "C2C_OPEN_RESET", "C2C_SHOW_ERRORS"):
        unless_set(setting, "1")
    adopt_loggers()


_turn_on()
