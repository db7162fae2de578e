"""What pages say of a request in a few words: why it is kept, what failed, where its time went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from c2cotel_views._formats import Texts

_CALLS = (("sql", "SQL"), ("redis", "Redis"), ("http", "HTTP"))
_BECAUSE = {
    "failed": "it failed",
    "slow": "it was slow",
    "stalled": "it stalled",
    "died": "its process died",
    "debug": "it was asked for",
    "recent": "it is among the last of its route",
}


def because(record: Mapping[str, Any]) -> list[str]:
    """Why a request is kept, in words."""
    return [_BECAUSE.get(word, word) for word in record["kept"]]


def in_a_list(entry: Mapping[str, Any]) -> str:
    """What is worth saying of a request in a list: its error, else the calls that took longest."""
    if entry["state"] == "running":
        return f"{entry['doing']} in progress" if entry.get("doing") else ""
    reasons = ", ".join(word for word in entry["kept"] if word not in {"failed", "recent"})
    if error := entry["error"]:
        shown = ": ".join(filter(None, [error["type"].rpartition(".")[2], error["message"]]))
    else:
        kinds = [(entry[name]["ms"], entry[name]["n"], title) for name, title in _CALLS if entry[name]["n"]]
        ms, count, title = max(kinds, default=(0, 0, ""))
        shown = f"{count:,} \u00d7 {title}, {ms:,.0f} ms" if kinds else ""
    return ": ".join(filter(None, [reasons, shown]))


def error_of(record: Mapping[str, Any], texts: Texts) -> dict[str, str] | None:
    """Type, message and traceback of a request's error; None if it has none."""
    error = record["error"]
    if not error:
        return None
    return {
        "type": texts.line(error.get("type", ""), 200),
        "message": texts.cut(error.get("message", ""), 10_000),
        "stack": texts.cut(error.get("stack", ""), 60_000),
    }


def stack_of(stack: Any) -> Any:
    """A stack, whose lines may be a list."""
    return "\n".join(map(str, stack)) if isinstance(stack, list) and stack and isinstance(stack[0], str) else stack
