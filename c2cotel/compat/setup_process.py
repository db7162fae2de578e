"""`c2cwsgiutils.setup_process`."""

from __future__ import annotations

import c2cotel
from c2cotel import logs


def init(config_file: str | None = None) -> None:
    """Set up logging by an ini file, and all that the environment asks for, in a script or a worker.

    Args:
        config_file: the ini; when left out, as `c2cotel.logs.init` has it.
    """
    logs.init(config_file)
    c2cotel.setup()
