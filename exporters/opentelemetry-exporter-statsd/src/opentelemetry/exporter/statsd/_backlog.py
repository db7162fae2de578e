"""Lines that wait for a server that is away, in bounded memory. No socket here."""

from collections import deque
from collections.abc import Iterable

from opentelemetry.exporter.statsd._lines import TOGETHER, number

LIMIT = 50_000
"""Lines that may wait: some 5 MB. Each counter and each gauge counts as one, however often it was written."""


class Backlog:
    """A store of lines that merges those that mean the same: counters are added up, the last gauge stays.

    Everything else, such as times, stays line by line; the oldest lines go when there are too many.

    Args:
        limit: Lines that may wait, 50,000 by default.

    Attributes:
        dropped: Lines that were given up.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.dropped = 0
        self._limit = limit
        self._counters: dict[tuple[str, str], int | float] = {}
        self._gauges: dict[tuple[str, str], str] = {}
        self._others: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._counters) + len(self._gauges) + len(self._others)

    def keep(self, datagrams: Iterable[bytes]) -> None:
        """Store the lines of datagrams that were not sent."""
        for datagram in datagrams:
            for line in datagram.decode("utf-8", "replace").split("\n"):
                self._keep(line)

    def take(self) -> list[str]:
        """Return all lines, counters and gauges first, and empty the store."""
        counters = [f"{name}:{number(value)}|{kind}" for (name, kind), value in self._counters.items()]
        lines = [*counters, *self._gauges.values(), *self._others]
        self.forget()
        return lines

    def forget(self) -> None:
        """Empty the store: in a forked child the parent sends these lines."""
        self._counters.clear()
        self._gauges.clear()
        self._others.clear()

    def _keep(self, line: str) -> None:
        name, _, rest = line.partition(":")
        value, _, kind = rest.partition("|")
        key = name, kind
        added = self._sum(key, value) if kind[:1] == "c" and "@" not in kind else None
        if added is not None and number(added) is not None:
            if key in self._counters or self._has_room():
                self._counters[key] = added
        elif kind[:1] == "g":
            before = self._gauges.get(key)
            if value.startswith("-") and before == f"{name}:0|{kind}":
                # The zero is what makes the server take the sign for a sign.
                line = f"{before}{TOGETHER}{line}"
            if before is not None or self._has_room():
                self._gauges[key] = line
        else:
            self._others.append(line)
            if len(self) > self._limit:
                self._others.popleft()
                self.dropped += 1

    def _sum(self, key: tuple[str, str], value: str) -> int | float | None:
        try:
            added = float(value) if any(mark in value for mark in ".en") else int(value)
        except ValueError:
            return None
        return self._counters.get(key, 0) + added

    def _has_room(self) -> bool:
        if len(self) < self._limit:
            return True
        self.dropped += 1
        if not self._others:
            return False
        self._others.popleft()
        return True
