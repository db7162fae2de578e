"""The renderers `json` and `fast_json`, both indented and sorted, also as `cornice_json` and `cornice_fast_json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
from pyramid.config import PHASE3_CONFIG
from pyramid.interfaces import IRendererFactory
from pyramid.renderers import JSON, json_renderer_factory
from zope.interface.registry import Components

from c2cotel_views import _json

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
# No float: the standard library writes some of them in another way.
_PLAIN = (str, int, bool, type(None))


def includeme(config: Any) -> None:
    """Add both, where the application has no renderer of its own under that name."""

    def last() -> None:
        registry = config.registry
        if registry.queryUtility(IRendererFactory, name="json") is json_renderer_factory:
            pretty = JSON(_pretty)
            # What is added to Pyramid's own goes on, and what is added to this one stays with this application.
            pretty.components = Components(bases=(json_renderer_factory.components,))
            registry.registerUtility(pretty, IRendererFactory, name="json")
        # The later versions of the library of 2018 call them by the names of cornice's.
        for name, render in (("fast_json", _fast), ("cornice_json", _pretty), ("cornice_fast_json", _fast)):
            if registry.queryUtility(IRendererFactory, name=name) is None:
                registry.registerUtility(JSON(render), IRendererFactory, name=name)

    # In a late action and by hand: with add_renderer, one that another include of the application adds is a conflict.
    config.action("c2cotel_views.renderers", last, order=PHASE3_CONFIG + 50)


def _pretty(value: Any, default: Callable[[Any], Any]) -> str:
    try:
        # The indenting encoder of the standard library is pure Python: most answers need nothing that only it has.
        if _is_plain(value) and (encoded := orjson.dumps(value, option=_OPTIONS)).isascii():
            return encoded.decode()
    except (TypeError, RecursionError):  # an integer of more than 64 bits, a lone surrogate, a value that holds itself
        pass
    try:
        return json.dumps(value, default=default, indent=2, sort_keys=True)
    except TypeError:  # keys of several types have no order
        return json.dumps(value, default=default, indent=2)


def _is_plain(value: Any) -> bool:
    """Whether all of it is of JSON's own types, so that no adapter can have a say."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str and (type(inner) is str or _is_plain(inner)) for key, inner in value.items())
    if kind is list or kind is tuple:
        return all(type(inner) is str or _is_plain(inner) for inner in value)
    return kind in _PLAIN


def _fast(value: Any, default: Callable[[Any], Any]) -> str:
    return _json.dumps(value, default).decode()
