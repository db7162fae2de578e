"""Engines made of settings; an error names the setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Engine, engine_from_config, make_url
from sqlalchemy.exc import ArgumentError

from c2cotel import redaction
from c2cotel.errors import SettingsError

_REFUSED = (ArgumentError, ImportError, TypeError, ValueError)
URL_FORM = "a URL such as postgresql+psycopg2://user:password@host:5432/database"


def prefixed(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The settings below a prefix, not those of a longer prefix that begins alike."""
    options = {
        name.removeprefix(f"{prefix}."): value for name, value in settings.items() if name.startswith(f"{prefix}.")
    }
    return {name: value for name, value in options.items() if "." not in name}


def make_engine(name: str, place: str, arguments: Mapping[str, Any]) -> Engine:
    url = parse_url(f"{place}url", arguments["url"])
    options = {key: value for key, value in arguments.items() if key != "url"}
    try:
        engine = engine_from_config({**options, "url": url}, prefix="")
    except _REFUSED as error:
        raise SettingsError(f"{_culprit(place, url, options)}: {redaction.anywhere(str(error))}") from error
    engine.c2c_name = name  # type: ignore[attr-defined]  # read by the health checks and the metrics
    return engine


def _culprit(place: str, url: URL, options: Mapping[str, Any]) -> str:
    """What SQLAlchemy, which does not say it, refuses: engines are cheap until they connect."""
    for tried in ({}, *({key: value} for key, value in options.items())):
        try:
            engine_from_config({**tried, "url": url}, prefix="")
        except _REFUSED:
            key, value = next(iter(tried.items()), ("url", url.render_as_string(hide_password=True)))
            # These may hold a password in any form.
            value = redaction.HIDDEN if key == "connect_args" else value
            return redaction.anywhere(f"{place}{key}={value}")
    return f"{place}*"


def parse_url(setting: str, text: Any) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # Not a URL, so nobody knows where in it the password ends.
        shown = redaction.anywhere(re.sub(r":.*@", f":{redaction.HIDDEN}@", str(text), flags=re.DOTALL))
        raise SettingsError(f"{setting}={shown!r}: expected {URL_FORM}") from None
