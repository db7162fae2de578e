"""Log records below their level, in the hands of the request that they belong to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from c2cotel.delivery.guard import Guard
from c2cotel.logs.buffer import LogBuffer, emit
from c2cotel.runtime.flight.entry import Entry, local_now
from c2cotel.runtime.flight.logs import note_log

_logger = logging.getLogger(__name__)

_NONE = logging.CRITICAL + 1
_MOST = 500
_MOST_TEXT = 256 * 1024


class Kept:
    """The records that wait for the end of a request.

    Attributes:
        records: Each with its logger.
        text: Characters of their messages.
        dropped: Number of records that did not fit in.
    """

    __slots__ = ("dropped", "records", "text")

    def __init__(self) -> None:
        self.records: list[tuple[logging.Logger, logging.LogRecord]] = []
        self.text = 0
        self.dropped = 0


class RequestLogs:
    """Keeps records for the requests of this process; see `c2cotel.logs.buffer.Wants`.

    Attributes:
        lowest: The lowest level that a request wants of any logger.
        buffer: What takes part in `logging`.
        verbose: Running requests that want everything.
    """

    def __init__(self) -> None:
        self.buffer: LogBuffer | None = None
        self._undo: Callable[[], None] | None = None
        self._installing = threading.Lock()
        self.verbose: set[Entry] = set()
        self._guard = Guard(_logger, "Kept log records could not be logged")

    def install(self) -> None:
        """Take part in `logging`, once: where no setting asks for it, that waits for the first token."""
        with self._installing:
            if self._undo is None and self.buffer is not None:
                self._undo = self.buffer.install()

    def reset(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._installing = threading.Lock()

    def close(self) -> None:
        """Take part in `logging` no more."""
        undo, self._undo = self._undo, None
        self.buffer = None
        if undo is not None:
            undo()

    @property
    def lowest(self) -> int:
        """The lowest level that anybody wants of any logger at present."""
        return logging.NOTSET if self.verbose else _NONE

    def is_kept(self, record: logging.LogRecord) -> bool:
        """Whether a record that is just being made comes to `take` later."""
        return self.buffer is not None and self.buffer.is_kept(record)

    def level(self) -> int | None:
        """The level from which the current request wants records of any logger; None outside of a request."""
        local = local_now()
        if local is None or not isinstance(local.owner, Entry):
            return None
        return logging.NOTSET if local.owner.is_verbose else _NONE

    def take(self, logger: logging.Logger, record: logging.LogRecord, emits: bool) -> None:
        """Keep a record; whether the handlers may get it later."""
        local = local_now()
        if local is None or not isinstance(local.owner, Entry):
            return
        note_log(local, record, buffered=True)
        if emits:
            kept = local.owner.buffered
            if kept is None:
                kept = local.owner.buffered = Kept()
            if len(kept.records) < _MOST and kept.text < _MOST_TEXT:
                kept.text += len(str(record.msg)) + len(record.exc_text or "")
                kept.records.append((logger, record))
            else:
                kept.dropped += 1

    def emit(self, entry: Entry) -> None:
        """Give what is kept of a request to the handlers, once."""
        kept: Any = entry.buffered
        entry.buffered = None
        if kept is None:
            return
        for logger, record in kept.records:
            with self._guard:
                emit(logger, record)
        if kept.dropped:
            _logger.warning(
                "%d more log records of request %s were kept out of the buffer: it has room for %d",
                kept.dropped,
                entry.id,
                _MOST,
            )
