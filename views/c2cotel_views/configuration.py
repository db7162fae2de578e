"""What the application is set to, where each setting comes from, and what is wrong with that."""

from __future__ import annotations

from typing import Any

from pyramid.interfaces import ITweens
from pyramid.request import Request

from c2cotel import doctor
from c2cotel.plugin import ApplicationSettings, Settings, settings_of
from c2cotel_views._parameters import flag

CONNECT = flag("connect", "Whether to try to reach statsd, OTLP, Redis and databases; takes up to 5 s.", default=True)


def enabled(settings: Settings) -> bool:
    """Whether there is a place for it and somebody who may see it."""
    application = settings.section(ApplicationSettings)
    return bool(application.base_path and application.secret)


def view(request: Request) -> dict[str, Any]:
    """The settings that this process was started with."""
    tweens = request.registry.queryUtility(ITweens)
    names = [] if tweens is None else [name for name, _ in tweens.explicit or tweens.implicit()]
    report = doctor.examine(settings_of(request.registry), tweens=names, connect=CONNECT(request))
    return {"status": 200, **doctor.as_json(report)}
