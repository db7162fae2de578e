"""Log records below the level of their logger, kept for the current request until it is clear whether they matter.

What decides in `logging` is a method of its `Logger`: it is replaced, and says yes to `Logger.debug` and its kind where
a record is wanted, and what it always said to everybody else. Such a record then goes through the logger's filters as
any other, and stops before the handlers.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from c2cotel.logs.record import extras_of, message_of, stack_of

_BUFFERED = "buffered"
_NONE = logging.CRITICAL + 1
_MOST_REMEMBERED = 10_000
_ASKS = frozenset(
    method.__code__
    for method in (
        logging.Logger.debug,
        logging.Logger.info,
        logging.Logger.warning,
        logging.Logger.error,
        logging.Logger.critical,
        logging.Logger.log,
    )
)
_ADAPTER_ASKS = logging.LoggerAdapter.isEnabledFor.__code__
_ADAPTER_LOGS = logging.LoggerAdapter.log.__code__


class Wants(Protocol):
    """Who keeps records."""

    @property
    def lowest(self) -> int:
        """The lowest level that anybody may want at present."""

    def level(self) -> int | None:
        """The level from which the current request wants records of any logger; None outside of a request."""

    def take(self, logger: logging.Logger, record: logging.LogRecord, emits: bool) -> None:
        """Take a record that holds no object of the application; whether the handlers may get it later."""


class LogBuffer:
    """Keeps records of some loggers; `install` puts it into `logging`.

    Args:
        levels: The level from which records are kept, by name of a logger; those below it have the same.
        wants: Who keeps them.
    """

    def __init__(self, levels: Mapping[str, int], wants: Wants) -> None:
        self._levels = levels
        self._wants = wants
        self._lowest = min(levels.values(), default=_NONE)
        self._by_name: dict[str, int] = {}
        self._asked = threading.local()

    def install(self) -> Callable[[], None]:  # noqa: C901  # what logging calls, in one place
        """Take part in `logging`; returns what ends that."""
        is_enabled_for, call_handlers = logging.Logger.isEnabledFor, logging.Logger.callHandlers
        wants, asked, lowest = self._wants, self._asked, self._lowest

        def is_enabled_or_kept(self: logging.Logger, level: int) -> bool:
            if is_enabled_for(self, level):
                return True
            if level < lowest and level < wants.lowest:
                return False
            wanted = wants.level()
            if wanted is None or self.disabled or self.manager.disable >= level:
                return False
            threshold = level_of(self.name)
            if level < threshold and level < wanted:
                return False
            if not _is_asked_by_logging():
                return False
            asked.by = self.name, level, level >= threshold
            return True

        def call_handlers_or_keep(self: logging.Logger, record: logging.LogRecord) -> None:
            by = getattr(asked, "by", None)
            if by is not None:
                asked.by = None
                if by[0] == record.name and by[1] == record.levelno:
                    wants.take(self, _without_objects(record), by[2])
                    return
            call_handlers(self, record)

        level_of = self._level_of
        logging.Logger.isEnabledFor = is_enabled_or_kept  # type: ignore[method-assign]
        logging.Logger.callHandlers = call_handlers_or_keep  # type: ignore[method-assign]

        def undo() -> None:
            if logging.Logger.isEnabledFor is is_enabled_or_kept:
                logging.Logger.isEnabledFor = is_enabled_for  # type: ignore[method-assign]
            if logging.Logger.callHandlers is call_handlers_or_keep:
                logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]

        return undo

    def is_kept(self, record: logging.LogRecord) -> bool:
        """Whether a record that is just being made is below the level of its logger."""
        by = getattr(self._asked, "by", None)
        return by is not None and by[0] == record.name and by[1] == record.levelno

    def _level_of(self, name: str) -> int:
        level = self._by_name.get(name)
        if level is None:
            parts = name.split(".")
            names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
            level = next((self._levels[each] for each in names if each in self._levels), None)
            if level is None:
                level = self._levels.get("root", _NONE)
            if len(self._by_name) < _MOST_REMEMBERED:
                self._by_name[name] = level
        return level


def emit(logger: logging.Logger, record: logging.LogRecord) -> None:
    """Give a kept record to the handlers that it would have gone to."""
    logger.callHandlers(record)


def _is_asked_by_logging() -> bool:
    """Whether `Logger.debug` or another such method asks, and not the application."""
    frame = sys._getframe(2)  # noqa: SLF001  # documented, in spite of its name
    if frame.f_code in _ASKS:
        return True
    outer = frame.f_back
    return frame.f_code is _ADAPTER_ASKS and outer is not None and outer.f_code is _ADAPTER_LOGS


def _without_objects(record: logging.LogRecord) -> logging.LogRecord:
    """The record with texts and numbers alone: its arguments may change, and must not be held."""
    extras: Mapping[str, Any] = extras_of(record)
    stack = stack_of(record) if record.exc_info or record.exc_text else None
    record.msg = message_of(record)
    record.args = None
    record.exc_info = None
    record.exc_text = stack
    for name, value in extras.items():
        setattr(record, name, value)
    setattr(record, _BUFFERED, True)
    return record
