"""Renderers that measure how long they took, whatever calls them."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from pyramid.interfaces import IRendererFactory

from c2cotel.otel.sdk_private import is_recording
from c2cotel.runtime.request_scope import SCOPE, outer_scope
from c2cotel.runtime.telemetry import Telemetry
from c2cotel.tracing.child import child


def time_renderers(registry: Any, telemetry: Telemetry) -> None:
    """Put a timer around every renderer factory of an application, once."""
    for name, factory in list(registry.getUtilitiesFor(IRendererFactory)):
        if not isinstance(factory, _TimedFactory):
            registry.registerUtility(_TimedFactory(factory, telemetry), IRendererFactory, name=name)


class _TimedFactory:
    """A renderer factory whose renderers are timed; everything else of both shows through."""

    def __init__(self, factory: Any, telemetry: Telemetry) -> None:
        self._factory = factory
        self._telemetry = telemetry

    def __call__(self, info: Any) -> Any:
        renderer = self._factory(info)
        timed = _timed(renderer, self._telemetry, f"render {info.name}" if info.name else "render")
        return timed if isinstance(renderer, FunctionType) else _TimedRenderer(timed, renderer)

    def __getattr__(self, name: str) -> Any:
        return _shown(self, "_factory", name)


class _TimedRenderer:
    """A renderer that is more than a function, such as a template with its `implementation()`."""

    def __init__(self, timed: Callable[[Any, Any], Any], renderer: Any) -> None:
        self._timed = timed
        self._renderer = renderer

    def __call__(self, value: Any, system: Any) -> Any:
        return self._timed(value, system)

    def __getattr__(self, name: str) -> Any:
        return _shown(self, "_renderer", name)


def _shown(wrapper: Any, wrapped: str, name: str) -> Any:
    """An attribute of what is wrapped; a copy that is being made has nothing wrapped yet."""
    if wrapped not in vars(wrapper):
        raise AttributeError(name)
    return getattr(vars(wrapper)[wrapped], name)


def _timed(renderer: Callable[[Any, Any], Any], telemetry: Telemetry, span_name: str) -> Callable[[Any, Any], Any]:
    clock = telemetry.clock
    tracer = telemetry.tracer

    def measured(value: Any, system: Any) -> Any:
        start = clock()
        result = renderer(value, system)
        seconds = clock() - start
        try:
            system["request"].environ[SCOPE].render_seconds.append(seconds)
        except Exception:  # noqa: BLE001  # rendered for no request, or for one made by hand
            if (scope := outer_scope()) is not None:
                scope.render_seconds.append(seconds)
        return result

    if tracer is None:
        return measured

    def traced(value: Any, system: Any) -> Any:
        if telemetry.closed or not is_recording():
            return measured(value, system)
        with child(tracer, span_name):
            return measured(value, system)

    return traced
