"""How a server that is away is told: one line when it goes, one when it is back."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

_logger = logging.getLogger(__name__)


def loggers_of(exporter: Any) -> set[str]:
    """Names of the loggers to which an exporter may complain: of the modules that make up its class.

    Args:
        exporter: Any; one of ours names as `official` the one that it sends with.
    """
    official = getattr(exporter, "official", exporter)
    return {each.__module__ for each in type(official).__mro__} - sys.stdlib_module_names


class Outage(logging.Filter):
    """Logs once that an exporter fails and once that it works again, however often the exporter complains itself.

    Args:
        what: Name of the channel, for the log.
        noisy: Names of the loggers to which the exporter writes its own complaints.
        items: What is sent, in the plural, for the log.

    Attributes:
        down: Whether the last export failed.
        lost: Number of items that were lost since the last one that worked.
    """

    def __init__(self, what: str, noisy: Iterable[str], items: str = "exports") -> None:
        super().__init__()
        self.down = False
        self.lost = 0
        self._what = what
        self._items = items
        self._reason = ""
        self._closed = False
        self._own_thread: int | None = None
        self._noisy = [logging.getLogger(name) for name in noisy]

    def start(self) -> None:
        """Begin to hold back the exporter's own complaints."""
        for logger in self._noisy:
            logger.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the exporter's complaints about our exports as the reason; let everybody else's through."""
        if record.thread != self._own_thread:
            return True
        # The first complaint has the cause; the last one of several attempts only says that there will be no other.
        self._reason = self._reason or record.getMessage()
        return False

    def watch(self, export: Callable[[], bool]) -> bool:
        """Run one export, and log it if its outcome differs from the last one's; returns whether it worked."""
        self._own_thread = threading.get_ident()
        self._reason = ""
        try:
            works = export()
        except Exception as error:  # noqa: BLE001  # any exporter may be plugged in here
            works, self._reason = False, f"{type(error).__name__}: {error}"
        finally:
            self._own_thread = None
        if self._closed:
            self._let_through()
        elif works and self.down:
            lost = f"; {self.lost} {self._items} were lost meanwhile" if self.lost else ""
            _logger.info("%s works again%s", self._what, lost)
        elif not works and not self.down:
            reason = self._reason or "no reason given"
            _logger.warning("%s fails: %s (logged once until it works again)", self._what, reason)
        self.down = not works
        if works:
            self.lost = 0
        return works

    def close(self) -> None:
        """Leave the exporter's logger as it was, once the export that may be running ends."""
        self._closed = True
        if self._own_thread is None:
            self._let_through()

    def _let_through(self) -> None:
        for logger in self._noisy:
            logger.removeFilter(self)
