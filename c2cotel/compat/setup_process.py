"""`c2cwsgiutils.setup_process`: what an alembic `env.py` or a script imports, and needs no more."""

from __future__ import annotations

import logging

import c2cotel
from c2cotel import logs
from c2cotel.runtime.telemetry import running
from c2cotel.setup_process import (
    bootstrap_application,
    bootstrap_application_from_options,
    fill_arguments,
    init,
)

__all__ = ["bootstrap_application", "bootstrap_application_from_options", "fill_arguments", "init", "init_by_import"]


def init_by_import() -> None:
    """What ``import c2cwsgiutils.setup_process`` does: `init`, but for what the process has already."""
    if not logging.root.handlers:
        logs.init()
    if running() is None:
        c2cotel.setup()
