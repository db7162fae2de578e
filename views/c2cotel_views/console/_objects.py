"""What the processes hold in memory, by type, and how that grew since somebody last looked; garbage collection."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections import Counter
from typing import Any

from c2cotel import broadcast
from c2cotel.plugin import process_state
from c2cotel_views._formats import Texts
from c2cotel_views.console._figures import span

CHANNEL = "c2c_console_objects"
_PATIENCE = 10.0
_MOST_TYPES = 40
_GENERATIONS = 3
_LONGEST_AGO = 1e9


class Counts:
    """The objects of this process at the last count."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget it."""
        self._types: Counter[str] | None = None
        self._at = 0.0

    def take(self) -> dict[str, Any]:
        """Collect the garbage and count what is left.

        Returns:
            `collections`, of each generation how many there were, what they `collected` and what was `uncollectable`;
            number of `objects`; seconds since the last count, as `since`, None at the first one; `types`, of the most
            frequent ones and of those that grew most name, number, and growth since then.
        """
        gc.collect()
        types = Counter(map(_type_name, gc.get_objects()))
        now = time.monotonic()
        before, self._types = self._types, types
        since = None if before is None else now - self._at
        self._at = now
        grown = Counter[str]() if before is None else Counter({name: types[name] - before[name] for name in types})
        names = dict.fromkeys(name for name, _ in [*grown.most_common(_MOST_TYPES), *types.most_common(_MOST_TYPES)])
        return {
            "collections": [[each["collections"], each["collected"], each["uncollectable"]] for each in gc.get_stats()],
            "objects": types.total(),
            "since": since,
            "types": [[name, types[name], grown[name]] for name in names],
        }


def count_here() -> dict[str, Any]:
    """The objects of this process."""
    return process_state(Counts).take()


def count_everywhere(texts: Texts) -> dict[str, Any]:
    """The objects of all processes.

    Returns:
        of each of the `processes` what its row shows; `types` with number and growth over all processes, the most
        grown first; whether anything was counted `before`; the `silent` ones.
    """
    replies = broadcast.ask(CHANNEL, timeout=_PATIENCE)
    answers = [each for each in replies.answers if _is_answer(each)]
    answers = answers or [{**count_here(), "hostname": socket.gethostname(), "pid": os.getpid()}]
    numbers, growths = Counter[str](), Counter[str]()
    for answer in answers:
        for name, number, growth in answer["types"]:
            numbers[name] += number
            growths[name] += growth
    names = sorted(numbers, key=lambda name: (-growths[name], -numbers[name], name))[:_MOST_TYPES]
    return {
        "processes": [_row(answer, texts) for answer in answers],
        "types": [(texts.line(name, 120), numbers[name], growths[name]) for name in names],
        "before": any(answer["since"] is not None for answer in answers),
        "silent": list(replies.silent),
    }


def _row(answer: dict[str, Any], texts: Texts) -> dict[str, Any]:
    return {
        "name": texts.line(f"{answer['hostname']}/{answer['pid']}", 60),
        "objects": answer["objects"],
        "runs": [generation[0] for generation in answer["collections"]],
        "collected": sum(generation[1] for generation in answer["collections"]),
        "uncollectable": sum(generation[2] for generation in answer["collections"]),
        "since": None if answer["since"] is None else span(answer["since"]),
    }


def _is_answer(answer: Any) -> bool:
    """Whether an answer has the form of ours: over Redis anybody may send one."""
    if not isinstance(answer, dict) or not {"hostname", "pid"} <= answer.keys():
        return False
    collections, types, since = answer.get("collections"), answer.get("types"), answer.get("since")
    return (
        isinstance(answer.get("objects"), int)
        and (since is None or (isinstance(since, (int, float)) and 0 <= since < _LONGEST_AGO))
        and isinstance(collections, list)
        and len(collections) == _GENERATIONS
        and all(_is_row(each, int, int, int) for each in collections)
        and isinstance(types, list)
        and all(_is_row(each, str, int, int) for each in types)
    )


def _is_row(row: Any, *kinds: type) -> bool:
    return isinstance(row, list) and len(row) == len(kinds) and all(map(isinstance, row, kinds))


def _type_name(thing: object) -> str:
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"
