"""Where commands find the application."""

from __future__ import annotations

import os
import sys


def look_here() -> None:
    """Let modules of the current directory be imported, as `python -m` and gunicorn do."""
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # sys.path has texts
