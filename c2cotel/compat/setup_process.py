"""`c2cwsgiutils.setup_process`."""

from __future__ import annotations

import c2cotel
from c2cotel import logs


def init(config_file: str | None = None) -> None:
    """Set up logging as `c2cotel.logs.init` does, by /app/production.ini if none is named, and all that the environment asks for, in a script or a worker."""
    logs.init(config_file)
    c2cotel.setup()
