"""`versions.json`: what the application is made of."""

from __future__ import annotations

import os
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from c2cotel.plugin import ApplicationSettings, Settings, settings_of
from c2cotel_views import _versions
from c2cotel_views._json import refusal


def get_version() -> str | None:
    """The git hash of the application, by the file that the environment names; None where there is none."""
    path = Settings(os.environ).section(ApplicationSettings).versions_path
    return None if _versions.read(path) is None else _versions.git_hash(path)


def enabled(settings: Settings) -> bool:
    """Whether the file is there; one that cannot be used is an error at start."""
    return _versions.read(settings.section(ApplicationSettings).versions_path) is not None


def view(request: Request) -> dict[str, Any]:
    """The file as it is now."""
    path = settings_of(request.registry).section(ApplicationSettings).versions_path
    versions = _versions.read(path)
    if versions is None:
        raise refusal(HTTPNotFound, "The versions file is gone")
    return versions
