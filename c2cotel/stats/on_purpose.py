"""Functions that send the same SQL statement again and again, as they should."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

_NAME = "c2cotel_repeats_sql"
"""Name of the code around such a function, by which a stack shows that it runs."""


def repeats_sql(function: _F) -> _F:
    """Mark a function that may send a statement as often as it likes: `C2C_SQL_REPEATS` does not count it.

    ::

        @stats.repeats_sql
        def export(session): ...
    """

    def c2cotel_repeats_sql(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return functools.wraps(function)(c2cotel_repeats_sql)  # type: ignore[return-value]  # it is called as that is


def is_on_purpose() -> bool:
    """Whether the current code runs inside a function that `repeats_sql` marks."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # documented, in spite of its name
    while frame is not None:
        if frame.f_code.co_name == _NAME:
            return True
        frame = frame.f_back
    return False
