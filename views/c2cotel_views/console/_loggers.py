"""The loggers of all processes, with their levels and what overrides them."""

from __future__ import annotations

import logging
from typing import Any

from pyramid.request import Request

from c2cotel import broadcast
from c2cotel.plugin import process_state
from c2cotel_views._overrides import ROOT, Overrides

_LOGGERS = "c2c_loggers"
_PATIENCE = 2.0
_MOST = 5000
_OF_JSON = ("name", "level", "effective_level", "override")


def _loggers() -> dict[str, Any]:
    """The loggers of this process."""
    overrides = process_state(Overrides)
    manager = logging.root.manager.loggerDict
    names = sorted(name for name, logger in list(manager.items()) if isinstance(logger, logging.Logger))
    listed: list[dict[str, Any]] = []
    for name in (ROOT, *names[:_MOST]):
        logger = logging.getLogger() if name == ROOT else logging.getLogger(name)
        override = None
        if (level := overrides.levels.get(name)) is not None:
            left = overrides.left(name)
            override = {"level": level, "expires_s": None if left is None else round(left)}
        listed.append(
            {
                "name": name,
                "level": logging.getLevelName(logger.level),
                "effective_level": logging.getLevelName(logger.getEffectiveLevel()),
                "override": override,
                "unknown": name in overrides.unknown,
            }
        )
    return {"loggers": listed}


CHANNELS = {_LOGGERS: _loggers}


def loggers_of_all() -> tuple[list[dict[str, Any]], list[str]]:
    """The loggers of all processes, each once, and the processes that did not answer.

    A logger is `unknown` if each process that has it got it by the setting of its level.
    """
    replies = broadcast.ask(_LOGGERS, timeout=_PATIENCE)
    loggers = {each["name"]: each for each in _loggers()["loggers"]}
    for answer in replies.answers:
        if isinstance(answer, dict) and isinstance(answer.get("loggers"), list):
            for each in answer["loggers"]:
                if isinstance(each, dict) and {"name", "level", "effective_level", "override"} <= each.keys():
                    mine = loggers.setdefault(each["name"], each)
                    mine["override"] = mine["override"] or each["override"]
                    mine["unknown"] = bool(mine.get("unknown") and each.get("unknown"))
    rest = sorted(name for name in loggers if name != ROOT)
    return [loggers[name] for name in (ROOT, *rest)], list(replies.silent)


def loggers(_: Request) -> dict[str, Any]:
    """The loggers of all processes."""
    return {"loggers": [{name: each[name] for name in _OF_JSON} for each in loggers_of_all()[0]]}
