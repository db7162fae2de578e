"""Pyramid: every request has its id, its timers, its span and its `Server-Timing`."""

from c2cotel.instrumentation.pyramid.application import include
from c2cotel.instrumentation.pyramid.request import install
from c2cotel.instrumentation.pyramid.tween import tween_factory

__all__ = ["include", "install", "tween_factory"]
