"""Levels of loggers that were changed while the process runs: what they override, and how they end."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from c2cotel import broadcast
from c2cotel.broadcast import Store

ROOT = "root"
"""What the root logger is called."""

RESET = "RESET"
"""The level that takes an override back."""

KEY = "logging_level:"
"""Begin of the keys in Redis, after the prefix."""

_logger = logging.getLogger(__name__)


class Overrides:
    """What this process overrides, and how each comes to its end.

    Attributes:
        levels: Name of the level by name of the logger.
        unknown: Names of loggers that were none of this process when their level was set.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every override; the loggers stay as they are."""
        self.levels: dict[str, str] = {}
        self.unknown: set[str] = set()
        self._before: dict[str, int] = {}
        self._ends: dict[str, float] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()

    def put(self, name: str, level: str, ttl: float = 0) -> dict[str, Any]:
        """Set a level; the one from before the first override comes back after `ttl` seconds, unless that is 0."""
        unknown = name != ROOT and not isinstance(logging.root.manager.loggerDict.get(name), logging.Logger)
        if level == RESET:
            self.drop(name)
            return {"name": name, "level": level, "unknown": unknown}
        logger = logging.getLogger(name)
        with self._lock:
            self._stop_timer(name)
            if unknown:
                self.unknown.add(name)
            self._before.setdefault(name, logger.level)
            self.levels[name] = level
            logger.setLevel(level)
            if ttl > 0:
                self._ends[name] = time.monotonic() + ttl
                timer = self._timers[name] = threading.Timer(ttl, self.drop, [name])
                timer.name = f"c2cotel level of {name}"
                timer.daemon = True
                timer.start()
        return {"name": name, "level": level, "unknown": unknown}

    def drop(self, name: str) -> None:
        """Go back to the level of before."""
        with self._lock:
            self._stop_timer(name)
            self.levels.pop(name, None)
            self.unknown.discard(name)
            if (level := self._before.pop(name, None)) is not None:
                logging.getLogger(name).setLevel(level)

    def left(self, name: str) -> float | None:
        """Seconds until an override ends by itself; None if it does not."""
        end = self._ends.get(name)
        return None if end is None else max(0.0, end - time.monotonic())

    def restore(self) -> None:
        """Set what is kept in Redis, and take back what is not kept there any more."""
        store = broadcast.store()
        if store is None:
            return
        try:
            levels = kept_levels(store)
            for name in self.levels.keys() - levels.keys():
                self.drop(name)
            for name, (level, ttl) in levels.items():
                self.put(name, level, ttl)
        except Exception as error:  # noqa: BLE001  # the application starts without them
            _logger.warning("Levels of loggers could not be restored from %s: %s", store.name, error)

    def clear(self) -> None:
        """Go back to the levels of before."""
        for name in list(self.levels):
            self.drop(name)

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        """The threads that end overrides did not come along, and what is kept may have changed since."""
        self._lock = threading.Lock()
        self._timers.clear()
        threading.Thread(target=self._again, name="c2cotel levels", daemon=True).start()

    def _again(self) -> None:
        if broadcast.store() is None:  # else they are read once the child hears the others
            for name, end in list(self._ends.items()):
                self.put(name, self.levels[name], max(end - time.monotonic(), 0.001))

    def _stop_timer(self, name: str) -> None:
        self._ends.pop(name, None)
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()


def kept_levels(store: Store) -> dict[str, tuple[str, float]]:
    """What is in Redis: level and seconds left (0: no end) by logger."""
    kept = {}
    start = store.key(KEY)
    pattern = "".join(f"[{character}]" if character in "*?[]" else character for character in start) + "*"
    for key in store.client.scan_iter(match=pattern, count=1000):
        level, milliseconds = store.client.get(key), store.client.pttl(key)
        if level is not None:
            text = level.decode("utf-8", "replace") if isinstance(level, bytes) else level
            if isinstance(logging.getLevelName(text), int):
                kept[key.decode()[len(start) :]] = (text, max(milliseconds, 0) / 1000)
    return kept
