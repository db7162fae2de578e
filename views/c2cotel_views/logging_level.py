"""Levels of loggers, changed while all processes of a service run, and restored when one starts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request

from c2cotel import broadcast
from c2cotel.broadcast import Store
from c2cotel.plugin import Telemetry, forks, process_state
from c2cotel_views._json import refusal
from c2cotel_views._parameters import number, text

NAME = text("name", "Logger name (`root` for the root). Leave empty to list overrides.", "", most=500)
LEVEL = text(
    "level", "Level to set, such as `DEBUG`, or `RESET` to take it back. Leave empty to show the level.", "", most=100
)
TTL = number("ttl", "Seconds after which the level goes back by itself; 0: never.", default=0, most=31_536_000)

_logger = logging.getLogger(__name__)
_CHANNEL = "c2c_logging_level"
_KEY = "logging_level:"
_ROOT = "root"
RESET = "RESET"
"""The level that takes an override back."""


class Overrides:
    """What this process overrides, and how each comes to its end."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every override; the loggers stay as they are."""
        self.levels: dict[str, str] = {}
        self._before: dict[str, int] = {}
        self._ends: dict[str, float] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()

    def put(self, name: str, level: str, ttl: float = 0) -> dict[str, Any]:
        """Set a level; the one from before the first override comes back after `ttl` seconds, unless that is 0."""
        unknown = name != _ROOT and not isinstance(logging.root.manager.loggerDict.get(name), logging.Logger)
        if level == RESET:
            self.drop(name)
            return {"name": name, "level": level, "unknown": unknown}
        logger = logging.getLogger(name)
        with self._lock:
            self._stop_timer(name)
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
            if (level := self._before.pop(name, None)) is not None:
                logging.getLogger(name).setLevel(level)

    def restore(self) -> None:
        """Set what is kept in Redis, and take back what is not kept there any more."""
        store = broadcast.store()
        if store is None:
            return
        try:
            kept = _kept(store)
            for name in self.levels.keys() - kept.keys():
                self.drop(name)
            for name, (level, ttl) in kept.items():
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


def _put(name: str, level: str, ttl: float = 0) -> dict[str, Any]:
    before = logging.getLevelName(logging.getLogger(name).level)
    outcome = process_state(Overrides).put(name, level, ttl)
    # So that it is seen whatever the level: who reads a log must know why it changed.
    _logger.critical("The level of the logger %s changes from %s to %s", name, before, level)
    return outcome


CHANNELS = {_CHANNEL: _put}


def install(_: Telemetry) -> Callable[[], None]:
    """Restore the overrides that Redis keeps; returns what brings the levels of before back."""
    overrides = process_state(Overrides)
    forks.watch(overrides)
    # Not here and now: Redis may be away, or its name may take long to look up. It is read each time that this process
    # begins to hear the others, as it may have missed a message until then.
    end_restoring = broadcast.when_subscribed(overrides.restore)

    def undo() -> None:
        end_restoring()
        forks.ignore(overrides)
        overrides.clear()

    return undo


def changes(request: Request) -> bool:
    """Whether a request sets a level."""
    return bool(LEVEL(request))


def view(request: Request) -> dict[str, Any]:
    """List the overrides, tell a logger's level, or set it in all processes."""
    name, level = NAME(request), LEVEL(request)
    outcome = _set(name, level, TTL(request)) if level else {}
    if not name:
        return {"status": 200, "overrides": _all()}
    logger = logging.getLogger(name)
    return {
        "status": 200,
        "name": name,
        "level": logging.getLevelName(logger.level),
        "effective_level": logging.getLevelName(logger.getEffectiveLevel()),
        **outcome,
    }


def _set(name: str, level: str, ttl: int) -> dict[str, Any]:
    """Set or reset a level everywhere; returns what the operator should know beside that."""
    if not name:
        raise refusal(HTTPBadRequest, f"name: expected the name of the logger that gets level={level!r}, or {_ROOT}")
    level_name: str | None = (
        RESET
        if level.upper() == RESET
        else next((each for each in (level, level.upper()) if isinstance(logging.getLevelName(each), int)), None)
    )
    if level_name is None:
        raise refusal(HTTPBadRequest, f"level={level!r}: expected DEBUG, INFO, WARNING, ERROR, CRITICAL or {RESET}")
    if (store := broadcast.store()) is not None:
        try:
            key = store.key(_KEY + name)
            if level_name == RESET:
                store.ask(lambda client: client.delete(key))
            else:
                store.ask(lambda client: client.set(key, level_name, ex=ttl or None))
        except Exception as error:  # noqa: BLE001  # what can be reached without Redis is
            _logger.warning("The level of %s is not kept in %s: %s", name, store.name, error)
    replies = broadcast.ask(_CHANNEL, {"name": name, "level": level_name, "ttl": ttl})
    outcome: dict[str, Any] = {}
    answers = [answer for answer in replies.answers if isinstance(answer, dict)]
    if answers and all(answer.get("unknown") is True for answer in answers):
        outcome["unknown"] = True
    if replies.silent:
        outcome["silent"] = replies.silent
    return outcome


def _all() -> dict[str, str]:
    store = broadcast.store()
    if store is not None:
        try:
            return {name: level for name, (level, _) in sorted(store.ask(lambda _: _kept(store)).items())}
        except Exception as error:  # noqa: BLE001  # what this process knows is better than nothing
            _logger.warning("Levels of loggers cannot be read from %s: %s", store.name, error)
    return dict(sorted(process_state(Overrides).levels.items()))


def _kept(store: Store) -> dict[str, tuple[str, float]]:
    """What is in Redis: level and seconds left (0: no end) by logger."""
    kept = {}
    start = store.key(_KEY)
    pattern = "".join(f"[{character}]" if character in "*?[]" else character for character in start) + "*"
    for key in store.client.scan_iter(match=pattern, count=1000):
        level, milliseconds = store.client.get(key), store.client.pttl(key)
        if level is not None:
            text = level.decode("utf-8", "replace") if isinstance(level, bytes) else level
            if isinstance(logging.getLevelName(text), int):
                kept[key.decode()[len(start) :]] = (text, max(milliseconds, 0) / 1000)
    return kept
