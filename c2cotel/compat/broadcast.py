"""`c2cwsgiutils.broadcast`."""

from __future__ import annotations

from typing import Any

import c2cotel
from c2cotel.broadcast import broadcast, decorator, subscribe, unsubscribe

__all__ = ["broadcast", "decorator", "init", "subscribe", "unsubscribe"]


def init(config: Any = None) -> None:
    """`c2cotel.setup`, which reaches the other processes too."""
    c2cotel.setup(config)
