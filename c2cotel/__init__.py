"""Observability for Pyramid and WSGI applications, on OpenTelemetry.

::

    import c2cotel

    def main(global_config, **settings):
        with Configurator(settings=settings) as config:
            c2cotel.setup(config)
            ...

Importing this package does nothing and costs little; `setup` turns on what the settings ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2cotel._version import VERSION as __version__  # noqa: N811  # the name that tools look for
from c2cotel.errors import C2cotelError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2cotel.runtime.telemetry import Telemetry

__all__ = ["C2cotelError", "SettingsError", "__version__", "includeme", "setup"]


def setup(config: Any = None, *, clock: Callable[[], float] | None = None) -> Telemetry:
    """Turn on everything that the settings ask for.

    Settings come from the environment, then from the configurator's ini. Calling it twice is as good as once; what
    belongs to the process is fixed by the first call until its `Telemetry` is closed.

    Args:
        config: the application's Pyramid `Configurator`; None in scripts and workers.
        clock: monotonic seconds, for tests.

    Returns:
        The running telemetry; its `close()` sends what is left and undoes everything.

    Raises:
        SettingsError: a setting cannot be used, or differs from what an earlier call fixed.
    """
    from c2cotel import _setup  # noqa: PLC0415  # importing c2cotel must cost nothing

    return _setup.setup(config) if clock is None else _setup.setup(config, clock=clock)


def includeme(config: Any) -> None:
    """``config.include("c2cotel")`` is the same as ``c2cotel.setup(config)``."""
    setup(config)
