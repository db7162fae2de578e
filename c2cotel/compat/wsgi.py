"""`c2cwsgiutils.wsgi`."""

from __future__ import annotations

from typing import Any

from c2cotel import ini


def create_application(configfile: str | None = None) -> Any:
    """The WSGI application of an ini file, its logging set up.

    Args:
        configfile: the ini; when left out, the one that `C2CWSGIUTILS_CONFIG` names.
    """
    return ini.application(configfile)
