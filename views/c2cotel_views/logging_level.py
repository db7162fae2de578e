"""Levels of loggers, changed while all processes of a service run, and restored when one starts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request

from c2cotel import broadcast
from c2cotel.plugin import Telemetry, forks, process_state
from c2cotel_views._json import refusal
from c2cotel_views._overrides import KEY, RESET, ROOT, Overrides, kept_levels
from c2cotel_views._parameters import number, text

NAME = text("name", "Logger name (`root` for the root). Leave empty to list overrides.", "", most=500)
LEVEL = text(
    "level", "Level to set, such as `DEBUG`, or `RESET` to take it back. Leave empty to show the level.", "", most=100
)
TTL = number("ttl", "Seconds after which the level goes back by itself; 0: never.", default=0, most=31_536_000)

_logger = logging.getLogger(__name__)
_CHANNEL = "c2c_logging_level"


def _put(name: str, level: str, ttl: float = 0) -> dict[str, Any]:
    # Without `getLogger`, which makes the logger whose absence is to be told.
    logger = logging.root if name == ROOT else logging.root.manager.loggerDict.get(name)
    before = logging.getLevelName(logger.level if isinstance(logger, logging.Logger) else logging.NOTSET)
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
        raise refusal(HTTPBadRequest, f"name: expected the name of the logger that gets level={level!r}, or {ROOT}")
    level_name: str | None = (
        RESET
        if level.upper() == RESET
        else next((each for each in (level, level.upper()) if isinstance(logging.getLevelName(each), int)), None)
    )
    if level_name is None:
        raise refusal(HTTPBadRequest, f"level={level!r}: expected DEBUG, INFO, WARNING, ERROR, CRITICAL or {RESET}")
    if (store := broadcast.store()) is not None:
        try:
            key = store.key(KEY + name)
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
            return {name: level for name, (level, _) in sorted(store.ask(lambda _: kept_levels(store)).items())}
        except Exception as error:  # noqa: BLE001  # what this process knows is better than nothing
            _logger.warning("Levels of loggers cannot be read from %s: %s", store.name, error)
    return dict(sorted(process_state(Overrides).levels.items()))
