"""Log records of requests, noted as they are made: no handler of `logging` is needed, and none can take it away."""

from __future__ import annotations

import logging
import traceback
from typing import Any, NamedTuple

from c2cotel import redaction
from c2cotel.logs.record import error_of, message_of
from c2cotel.tracing import LocalTrace
from c2cotel.tracing.child import qualified_name

_LONGEST_STACK = 20_000
_OVERHEAD = 200
"""Bytes of a noted record beside its texts, about."""


class LogNote(NamedTuple):
    """A log record as its thread left it: texts and numbers. Secrets are hidden by whoever reads it.

    Args:
        created: Wall clock, seconds since the epoch.
        level: Name of the level.
        logger: Name of the logger.
        message: The message; if it is very long, its beginning.
        stack: Stack trace of its exception; None without one.
        buffered: Whether it is below the level of its logger.
    """

    created: float
    level: str
    logger: str
    message: str
    stack: str | None
    buffered: bool


def note_log(local: LocalTrace, record: logging.LogRecord, *, buffered: bool = False) -> None:
    """Note a log record of a request; it never raises."""
    try:
        message = record.getMessage()
    except (Exception, SystemExit):  # noqa: BLE001  # its arguments may do anything
        message = message_of(record)
    if len(message) > redaction.LONGEST:
        message = redaction.cut(message)
    try:
        stack = _stack_of(record)
    except Exception:  # noqa: BLE001  # an exception of the application may do anything
        stack = None
    local.add_log(
        LogNote(record.created, record.levelname, str(record.name), message, stack, buffered),
        len(message) + (0 if stack is None else len(stack)) + _OVERHEAD,
    )


def shown_log(note: LogNote, start: float) -> dict[str, Any]:
    """A noted record as the contract describes it, secrets hidden.

    Args:
        note: The record.
        start: Start of its request, seconds since the epoch.
    """
    shown: dict[str, Any] = {
        "ms": round((note.created - start) * 1000, 3),
        "level": note.level,
        "logger": note.logger,
        "message": redaction.anywhere(note.message),
        "buffered": note.buffered,
    }
    if note.stack:
        shown["exception"] = redaction.anywhere(note.stack)
    return shown


def _stack_of(record: logging.LogRecord) -> str | None:
    error = error_of(record)
    if error is not None:
        stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        return stack[-_LONGEST_STACK:].rstrip("\n")
    return record.exc_text[-_LONGEST_STACK:] if isinstance(record.exc_text, str) and record.exc_text else None


def error_noted(error: BaseException) -> dict[str, str]:
    """An exception as a record has it; nothing of it is kept."""
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {
        "type": qualified_name(error),
        "message": redaction.error_text(error),
        "stack": redaction.anywhere(stack[-_LONGEST_STACK:]),
    }
