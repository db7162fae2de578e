"""`c2cwsgiutils.setup_process`."""

from __future__ import annotations

import c2cotel
from c2cotel import logs


def init(config_file: str = "/app/production.ini") -> None:
    """Set up logging by an ini file, and all that the environment asks for, in a script or a worker."""
    logs.init(config_file)
    c2cotel.setup()
