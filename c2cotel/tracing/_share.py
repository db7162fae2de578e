"""A share of all traces that every service of a trace chooses alike, and how `tracestate` says it.

https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

from __future__ import annotations

from opentelemetry.trace import TraceState

_BITS = 56
_MOST = 1 << _BITS
_DIGITS = 14
_LONGEST = 256
_HEXADECIMAL = frozenset("0123456789abcdef")
_NO_STATE = TraceState()
_NOT_CHOSEN = False, _NO_STATE
_RANDOM_PART = _MOST - 1


class TraceShare:
    """Chooses traces by the randomness of their ids.

    Args:
        share: The share that is chosen, from 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._threshold = _MOST - round(share * _MOST)
        self._state = TraceState([("ot", f"th:{_encoded(self._threshold)}")]) if share else _NO_STATE
        self._chosen = True, self._state

    def alone(self, trace_id: int) -> tuple[bool, TraceState]:
        """The same as `decide` where there is no caller."""
        return self._chosen if trace_id & _RANDOM_PART >= self._threshold else _NOT_CHOSEN

    def decide(self, trace_id: int, state: TraceState, *, caller: bool) -> tuple[bool, TraceState]:
        """Whether a trace is sampled, and the `tracestate` that says with which probability.

        Args:
            trace_id: Its id.
            state: The caller's `tracestate`.
            caller: Whether the caller has sampled it, and that counts.
        """
        if not state:
            chosen = trace_id & _RANDOM_PART >= self._threshold
            return chosen or caller, self._state if chosen and not caller else _NO_STATE
        threshold, randomness, rest = _parsed(state.get("ot", ""))
        chosen = (trace_id & _RANDOM_PART if randomness is None else int(randomness, 16)) >= self._threshold
        if caller and (threshold is None or int(threshold.ljust(_DIGITS, "0"), 16) <= self._threshold):
            return True, state  # the caller chooses more than we do, or does not say how many
        members = [f"th:{_encoded(self._threshold)}"] if chosen else []
        if randomness is not None:
            members.append(f"rv:{randomness}")
        changed = ";".join(members + rest)
        if changed == state.get("ot", ""):
            return chosen, state
        if not changed:
            return chosen or caller, state.delete("ot") if "ot" in state else state
        return chosen or caller, state.update("ot", changed)


def _encoded(threshold: int) -> str:
    return f"{threshold:014x}".rstrip("0") or "0"


def _parsed(text: str) -> tuple[str | None, str | None, list[str]]:
    """Threshold and randomness of an ``ot`` entry, and what else it has."""
    threshold = randomness = None
    rest: list[str] = []
    for member in text.split(";") if 0 < len(text) <= _LONGEST else ():
        value = member[3:]
        if member.startswith("th:"):
            if 0 < len(value) <= _DIGITS and _HEXADECIMAL.issuperset(value):
                threshold = value
        elif member.startswith("rv:"):
            if len(value) == _DIGITS and _HEXADECIMAL.issuperset(value):
                randomness = value
        elif member:
            rest.append(member)
    return threshold, randomness, rest
