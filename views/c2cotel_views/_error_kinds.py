"""What an exception means to a client: its status, how loudly it is logged, and what its text may tell."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from dataclasses import dataclass
from typing import Any

from pyramid.exceptions import URLDecodeError
from webob import Response

from c2cotel import redaction

_BAD_REQUEST = 400
_SERVER_ERROR = 500
_LONGEST = 10_000
"""Characters of a message."""

_LONGEST_TRACE = 100_000
"""Characters of a stack trace; what is raised stands at its end."""
_QUIET = frozenset({400, 401})
_STATEMENT = "[SQL: "
"""With this begins what SQLAlchemy adds to its errors."""

_HELD = re.compile(r"""(?<=: )".*|(?<=value )"[^"]*"|'[^']*'""")
"""Where the first line of a database's error quotes a value, and not a name."""

_READS_BODIES = ("webob.request", "gunicorn.http", "waitress")
"""Modules that read what the client sends; an OSError in them is the client's."""


@dataclass(frozen=True)
class Kind:
    """What kind of answer an exception gets.

    Attributes:
        status: of the answer.
        level: of the line in the log.
        is_http: whether the exception is a response itself.
        unexpected: whether it is a fault of the application, whose text is for its developers.
    """

    status: int
    level: int
    is_http: bool = False
    unexpected: bool = False


def kind_of(error: BaseException) -> Kind:
    """The kind of an exception; libraries that the application does not use are not imported for it."""
    if isinstance(error, Response):
        return Kind(error.status_int, _level(error.status_int), is_http=True)
    if _is_client_gone(error) or isinstance(error, (URLDecodeError, *_imported("sqlalchemy.exc", *_REFUSED))):
        return Kind(_BAD_REQUEST, logging.INFO)
    if isinstance(error, _imported("botocore.exceptions", "ClientError")):
        status = _aws_status(error)
        return Kind(status, _level(status))
    return Kind(_SERVER_ERROR, logging.ERROR, unexpected=True)


def text_of(error: BaseException, *, all_of_it: bool = False) -> str:
    """What an exception says, never empty; passwords are hidden, and what the database was asked unless `all_of_it`."""
    try:
        text = str(error)[: 2 * _LONGEST]
    except Exception:  # noqa: BLE001  # an exception of the application may do anything
        text = ""
    if not all_of_it:
        text = without_statement(_without_values(error) or text)
    text = redaction.cut(text, _LONGEST, values=not all_of_it)
    return text or getattr(error, "title", None) or type(error).__name__


def without_statement(text: str) -> str:
    """The text up to what SQLAlchemy adds to its errors, wherever they are quoted."""
    before, mark, _ = text.partition(_STATEMENT)
    return before.rstrip() if mark else text


def stack_trace(error: BaseException, *, values: bool) -> str:
    """The stack trace, passwords hidden; with `values`, those of a failed statement stay."""
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if len(stack) > _LONGEST_TRACE:  # from the start of a line, or the cut might split a secret
        stack = stack[stack.find("\n", len(stack) - _LONGEST_TRACE) + 1 :]
    return redaction.anywhere(stack.rstrip("\n"), values=not values)


def in_one_line(text: str) -> str:
    """The text with everything that could begin another line of a log escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


_REFUSED = ("IntegrityError", "DataError")


def _imported(module: str, *names: str) -> tuple[type[Any], ...]:
    """Classes of a module, if somebody imported it."""
    imported = sys.modules.get(module)
    return tuple(getattr(imported, name) for name in names) if imported is not None else ()


def _level(status: int) -> int:
    if status >= _SERVER_ERROR:
        return logging.ERROR
    return logging.INFO if status in _QUIET else logging.WARNING


def _is_client_gone(error: BaseException) -> bool:
    """Whether a request could not be read to its end; a connection of the application's own is another matter."""
    if not isinstance(error, OSError):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).startswith(_READS_BODIES) for frame, _ in frames)


def _aws_status(error: Any) -> int:
    try:
        status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return _SERVER_ERROR
    return status if _BAD_REQUEST <= status < 600 else _SERVER_ERROR  # noqa: PLR2004  # the end of HTTP's errors


def _without_values(error: BaseException) -> str | None:
    """What a failed statement may tell everybody; None for any other exception.

    What the database says of data that it refuses names tables and constraints, after which a client can act; the
    values that it quotes, and all it says of statements, are hidden.
    """
    if not isinstance(error, _imported("sqlalchemy.exc", "StatementError")):
        return None
    name = type(error).__name__
    if not isinstance(error, _imported("sqlalchemy.exc", *_REFUSED)):
        return name
    first_line = str(error.orig).partition("\n")[0]
    return f"{name}: {_HELD.sub('…', first_line)}"
