"""gunicorn's access log: no secret of a query string in it, whoever formats it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from c2cotel import redaction
from c2cotel.telemetry import Telemetry

_ACCESS = "gunicorn.access"
_WITH_ADDRESSES = {
    "r": lambda line: " ".join(map(redaction.url, line.split(" "))),
    "q": redaction.query,
    "f": redaction.url,
}
"""The request line, its query string and the referrer, as gunicorn's `access_log_format` names them."""


class _SecretsHidden(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(atoms := record.args, dict):
            # In place: gunicorn made them for this line alone, in a dictionary that knows how to read its format.
            for name, redacted in _WITH_ADDRESSES.items():
                if isinstance(held := atoms.get(name), str):
                    atoms[name] = redacted(held)
        return True


def install(_: Telemetry) -> Callable[[], None]:
    """Hide secrets in the access log; returns what ends that."""
    hidden = _SecretsHidden()
    logger = logging.getLogger(_ACCESS)
    logger.addFilter(hidden)
    return lambda: logger.removeFilter(hidden)
