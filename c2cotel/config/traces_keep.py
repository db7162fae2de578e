"""Which traces leave the process: `C2C_TRACES_KEEP` as a value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from c2cotel.config.parsers import words

_EXPECTED = "any of error, slow, parent and a percentage, separated by commas, such as error,slow,5%,parent"
_ALL = 100.0


@dataclass(frozen=True)
class TracesKeep:
    """Reasons for which a trace is exported.

    Args:
        error: Whether because it failed.
        slow: Whether because it was slow.
        parent: Whether because the caller sampled it.
        share: Share of all traces that is exported whatever happens in them, from 0 to 1.
    """

    error: bool = False
    slow: bool = False
    parent: bool = False
    share: float = 0.0


def traces_keep(value: str) -> TracesKeep:
    """Reasons such as ``error,slow,5%,parent``, in any order."""
    names: set[str] = set()
    share: float | None = None
    for word in words(value.lower()):
        if word in ("error", "slow", "parent"):
            names.add(word)
        elif word.endswith("%") and share is None:
            share = _share(word[:-1])
        else:
            raise ValueError(_EXPECTED)
    if not names and share is None:
        raise ValueError(_EXPECTED)
    return TracesKeep("error" in names, "slow" in names, "parent" in names, share or 0.0)


def _share(text: str) -> float:
    try:
        percentage = float(text)
    except ValueError:
        percentage = math.nan
    if not 0 <= percentage <= _ALL:
        raise ValueError(f"{_EXPECTED}; the percentage from 0% to 100%")
    return percentage / _ALL
