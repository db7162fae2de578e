"""How an application gets the tween and the timed renderers."""

from __future__ import annotations

import logging
from typing import Any

from pyramid.config import PHASE3_CONFIG
from pyramid.interfaces import ITweens
from pyramid.tweens import INGRESS

from c2cotel.instrumentation.pyramid.renderers import time_renderers
from c2cotel.instrumentation.pyramid.tween import tween_factory

_logger = logging.getLogger(__name__)

_TWEEN = "c2cotel.instrumentation.pyramid.tween_factory"
"""The name that an application's `pyramid.tweens` may list."""


def include(config: Any) -> None:
    """Put the tween and the timed renderers into an application; `registry["c2cotel.telemetry"]` must be there."""

    def last() -> None:
        tweens = config.registry.getUtility(ITweens)
        tweens.add_implicit(_TWEEN, tween_factory, under=INGRESS)
        if tweens.explicit and _TWEEN not in [name for name, _ in tweens.explicit]:
            _logger.error(
                "The setting pyramid.tweens lists all tweens and c2cotel's is missing: no request is measured. "
                "Add %s as its first line",
                _TWEEN,
            )
        time_renderers(config.registry, config.registry["c2cotel.telemetry"])

    # In the last action: a tween that the application adds after setup would otherwise land outside of this one, and
    # a renderer would stay untimed.
    config.action("c2cotel.instrumentation.pyramid", last, order=PHASE3_CONFIG + 100)
