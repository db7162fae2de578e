"""`c2cwsgiutils.sentry`."""

from __future__ import annotations

from typing import Any

import c2cotel
from c2cotel.sentry import capture_exceptions

__all__ = ["capture_exceptions", "init"]


def init(config: Any = None) -> None:
    """`c2cotel.setup`, which sends to Sentry where `SENTRY_URL` is set."""
    c2cotel.setup(config)
