"""`c2cwsgiutils.pyramid`."""

from __future__ import annotations

from typing import Any

import c2cotel
from c2cotel.compat import adopt_loggers


def includeme(config: Any) -> None:
    """`c2cotel.setup`, and pyramid_tm for every application, as in 2018."""
    adopt_loggers()
    config.include("pyramid_tm")
    c2cotel.setup(config)
