"""What a check has to say, as a report can hold it: JSON without passwords."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from c2cotel import redaction
from c2cotel_views._error_kinds import without_statement

_LONGEST = 10_000
"""Characters of a message."""
_DEEPEST = 50


class JsonCheckException(Exception):  # noqa: N818  # its name is part of the contract
    """A failure that has more to tell than a message.

    Args:
        message: of the failure.
        json: what the report shows as its result; what JSON can hold.
    """

    def __init__(self, message: str, json: Any) -> None:
        super().__init__(message)
        self.message = message
        self.json = json

    def __str__(self) -> str:
        return str(self.message)

    def json_data(self) -> Any:
        """What was given as `json`; its name of 2018."""
        return self.json

    @property
    def shown(self) -> Any:
        """The result as a report can hold it."""
        try:
            return as_json(self.json)
        except Exception as error:  # noqa: BLE001  # an object of the application may do anything
            return f"{type(error).__name__} when it was made JSON"


def as_json(value: Any, depth: int = 0) -> Any:
    """The value made of what JSON has; everything else becomes its text. Passwords and SQL are hidden."""
    if depth > _DEEPEST:
        return "…"
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (float, Decimal)):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_key(name): _member(_key(name), inner, depth) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(inner, depth + 1) for inner in value]
    return _text(value)


def message_of(error: BaseException) -> str:
    """What an exception says, never empty; of the database's errors without the statement."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # an exception of the application may do anything
        text = ""
    if hasattr(error, "statement"):  # SQLAlchemy's: the lines after the first have the statement
        text = text.partition("\n")[0]
    text = _text(text)[:_LONGEST]
    name = type(error).__name__
    return text or name


def _member(name: str, value: Any, depth: int) -> Any:
    return redaction.HIDDEN if redaction.is_secret(name) else as_json(value, depth + 1)


def _key(name: Any) -> str:
    return _text(name)


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return redaction.cut(without_statement(text.encode("utf-8", "replace").decode()))
