"""`c2cwsgiutils.wsgi_app`: ``gunicorn c2cwsgiutils.wsgi_app`` and uWSGI's ``module`` take `application` from here."""

from __future__ import annotations

from typing import Any

from c2cotel import ini


def __getattr__(name: str) -> Any:
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    application = globals()["application"] = ini.application()
    return application
