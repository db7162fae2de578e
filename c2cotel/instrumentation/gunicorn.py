"""gunicorn: no secret of a query string in its logs, and workers that answer broadcasts from their start."""

from __future__ import annotations

import logging
from collections.abc import Callable

from c2cotel import broadcast, redaction
from c2cotel.delivery.guard import Guard
from c2cotel.logs.record import stack_of
from c2cotel.runtime.telemetry import Telemetry

_GUARD = Guard(logging.getLogger(__name__), "A record of gunicorn could not be cleaned")
_ACCESS = "gunicorn.access"
_ERROR = "gunicorn.error"
_WITH_ADDRESSES = {
    "r": lambda line: " ".join(map(redaction.url, line.split(" "))),
    "q": redaction.query,
    "f": redaction.url,
}
"""The request line, its query string and the referrer, as gunicorn's `access_log_format` names them."""


class _SecretsHidden(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        with _GUARD:
            if isinstance(atoms := record.args, dict):
                # In place: gunicorn made them for this line alone, in a dictionary that knows how to read its format.
                for name, redacted in _WITH_ADDRESSES.items():
                    if isinstance(atom := atoms.get(name), str):
                        atoms[name] = redacted(atom)
        return True


class _ErrorsHidden(logging.Filter):
    """For what an application raises and nobody answers: gunicorn tells its address, and the stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        with _GUARD:
            if isinstance(record.args, tuple):
                record.args = tuple(
                    redaction.anywhere(argument) if isinstance(argument, str) else argument for argument in record.args
                )
            record.exc_text = stack_of(record)
        return True


def install(_: Telemetry) -> Callable[[], None]:
    """Hide secrets in the logs; returns what ends that."""
    remove_serving = _serve_in_workers()
    filters = {_ACCESS: _SecretsHidden(), _ERROR: _ErrorsHidden()}
    for name, hidden in filters.items():
        logging.getLogger(name).addFilter(hidden)

    def undo() -> None:
        remove_serving()
        for name, hidden in filters.items():
            logging.getLogger(name).removeFilter(hidden)

    return undo


def _serve_in_workers() -> Callable[[], None]:
    """Let every worker answer broadcasts from its start, also where the application was warmed up before the fork."""
    from gunicorn.workers.base import Worker  # noqa: PLC0415  # it is there: this runs once gunicorn was imported

    original = Worker.init_process

    def init_process(self: Worker) -> None:
        with _GUARD:
            broadcast.serve()
        original(self)

    Worker.init_process = init_process  # type: ignore[method-assign]  # its hooks belong to the application

    def undo() -> None:
        if Worker.init_process is init_process:
            Worker.init_process = original  # type: ignore[method-assign]

    return undo
