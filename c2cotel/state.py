"""What belongs to the process and to no object: the only room with state of its own.

Modules need it because their neighbours are process-wide as well: OpenTelemetry's providers, `logging`, Sentry, the
hooks of `fork`, and `c2cotel.stats`, which an application calls from anywhere without being handed anything. Each kind
of state is a class beside the code that uses it; its one object lives here. So `close()`, a fork and a test have one
place to go. The room lies below all others: the lowest modules need it.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar


class ProcessState(Protocol):
    """State of a process; a class without arguments."""

    def reset(self) -> None:
        """Go back to how the object was made."""


State = TypeVar("State", bound=ProcessState)

_objects: dict[type[Any], Any] = {}


def of(kind: type[State]) -> State:
    """The one object of a class in this process, made when it is first asked for."""
    existing: State | None = _objects.get(kind)
    return existing if existing is not None else _objects.setdefault(kind, kind())


def reset() -> None:
    """Take every object back to how it was made; for tests, after `Telemetry.close`."""
    for each in list(_objects.values()):
        each.reset()
