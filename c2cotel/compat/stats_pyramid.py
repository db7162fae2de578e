"""`c2cwsgiutils.stats_pyramid`."""

from __future__ import annotations

from typing import Any

import c2cotel


def init(config: Any) -> None:
    """`c2cotel.setup`, which measures requests, rendering and SQL."""
    c2cotel.setup(config)
