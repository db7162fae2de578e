"""What pages say of a request in a few words: why it is kept, what failed, where its time went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from c2cotel_views._formats import Texts, duration

_CALLS = (("sql", "SQL"), ("redis", "Redis"), ("http", "HTTP"))
_LONGEST_STACK = 30_000
_MOST_LINES = 500
_SMALLEST_SHARE = 0.01
"""Part of the samples from which on a function has a line."""

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


def stacks_of(record: Mapping[str, Any], texts: Texts) -> list[tuple[str, str]]:
    """When each stack of a stall was taken, and the stack."""
    shown = []
    for stack in record["stacks"]:
        if isinstance(stack, Mapping) and isinstance(stack.get("frames"), list):
            lines = [line for frame in stack["frames"] for line in _frame(frame)]
            shown.append((f"after {duration(stack.get('ms') or 0)}", texts.cut("\n".join(lines), _LONGEST_STACK)))
        else:
            shown.append(("at some time", texts.cut(stack, _LONGEST_STACK)))
    return shown


def profile_of(record: Mapping[str, Any], texts: Texts) -> str:
    """The call tree of the stacks that were sampled, a line a function; empty if there is none."""
    profile = record.get("profile")
    if not profile or not profile["samples"]:
        return ""
    lines: list[str] = []
    nodes = [(node, 0) for node in reversed(profile["tree"])]
    while nodes and len(lines) < _MOST_LINES:
        node, depth = nodes.pop()
        share = node["n"] / profile["samples"]
        if share >= _SMALLEST_SHARE:
            lines.append(f"{share:4.0%} {' ' * min(depth, 60)}{node['name']}  {node['file']}:{node['line']}")
            nodes += [(child, depth + 1) for child in reversed(node["children"])]
    return texts.cut("\n".join(lines), _LONGEST_STACK)


def _frame(frame: Any) -> list[str]:
    if not isinstance(frame, Mapping):
        return [str(frame)]
    code = [f"    {frame['code']}"] if frame.get("code") else []
    return [f'File "{frame.get("file")}", line {frame.get("line")}, in {frame.get("function")}', *code]
