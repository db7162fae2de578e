"""`c2cwsgiutils.setup_process`: what an alembic `env.py` or a script imports, and needs no more."""

from __future__ import annotations

import logging

import c2cotel
from c2cotel import logs
from c2cotel.runtime.telemetry import running


def init(config_file: str | None = None) -> None:
    """Set up logging by an ini file, and all that the environment asks for, in a script or a worker.

    Args:
        config_file: the ini; when left out, as `c2cotel.logs.init` has it.
    """
    logs.init(config_file)
    c2cotel.setup()


def init_by_import() -> None:
    """What ``import c2cwsgiutils.setup_process`` does: `init`, but for what the process has already."""
    if not logging.root.handlers:
        logs.init()
    if running() is None:
        c2cotel.setup()
