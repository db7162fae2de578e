"""Pyramid: every request has its id, its timers, its span and its `Server-Timing`."""

from c2cotel.instrumentation.pyramid.application import include, tween_factory
from c2cotel.instrumentation.pyramid.request import install

__all__ = ["include", "install", "tween_factory"]
