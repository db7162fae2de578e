"""How an application gets its measured execution policy and its timed renderers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import PHASE3_CONFIG
from pyramid.interfaces import IExecutionPolicy
from pyramid.router import default_execution_policy

from c2cotel.instrumentation.pyramid.access_log import count_calls
from c2cotel.instrumentation.pyramid.policy import measured
from c2cotel.instrumentation.pyramid.renderers import time_renderers


def include(config: Any) -> None:
    """Measure the requests and the renderings of an application; `registry["c2cotel.telemetry"]` must be there."""

    def last() -> None:
        registry = config.registry
        telemetry = registry["c2cotel.telemetry"]
        policy = registry.queryUtility(IExecutionPolicy) or default_execution_policy
        registry.registerUtility(measured(policy, telemetry), IExecutionPolicy)
        time_renderers(registry, telemetry)
        if telemetry.history is not None:  # a plug-in has asked for it
            count_calls(telemetry.recorder)

    # In the last action: an execution policy that the application sets after setup would otherwise take the place of
    # this one, and a renderer would stay untimed.
    config.action("c2cotel.instrumentation.pyramid", last, order=PHASE3_CONFIG + 100)


def tween_factory(handler: Callable[[Any], Any], _: Any) -> Callable[[Any], Any]:
    """Does nothing: for an application whose setting `pyramid.tweens` lists it, as earlier versions wanted."""
    return handler
