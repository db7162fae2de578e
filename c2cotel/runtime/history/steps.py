"""What is added up during a step of time: requests by route, statements, and all requests together."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from c2cotel.metrics.totals import Totals

KINDS = ("sql", "redis", "http", "render")
"""Where the time of a request goes, beside the application's own code."""

OVERFLOW = "_overflow"
"""Name of the route, or of the statement, that stands for all beyond the cap."""

_OTHER = "_OTHER"
_MOST_ROUTES = 1000
_MOST_STATEMENTS = 1000
_MOST_ROUTES_OF_A_STATEMENT = 20
_LONGEST_NAME = 500


class RouteTotals:
    """The requests of one verb and route.

    Attributes:
        durations: How long they took.
        failed: How many of them failed.
        seconds: What they spent by kind, as `KINDS` has them.
    """

    __slots__ = ("durations", "failed", "seconds")

    def __init__(self) -> None:
        self.durations = Totals()
        self.failed = 0
        self.seconds = [0.0] * len(KINDS)


class StatementTotals:
    """The executions of one statement.

    Attributes:
        durations: How long they took.
        max_repeats: How often one request ran it at most.
        routes: The routes whose requests ran it, the first ones.
    """

    __slots__ = ("durations", "max_repeats", "routes")

    def __init__(self) -> None:
        self.durations = Totals()
        self.max_repeats = 0
        self.routes: dict[str, None] = {}

    def add_routes(self, routes: Iterable[str]) -> None:
        """Note routes, up to a limit."""
        for route in routes:
            if len(self.routes) < _MOST_ROUTES_OF_A_STATEMENT:
                self.routes[route] = None


class AllRequests:
    """All requests of a step together.

    Attributes:
        durations: How long they took.
        queue: How long they waited for the process, where the proxy tells.
        failed: How many of them failed.
    """

    __slots__ = ("durations", "failed", "queue")

    def __init__(self) -> None:
        self.durations = Totals()
        self.queue = Totals()
        self.failed = 0

    def as_list(self) -> list[Any]:
        """All of it, as `add` takes it."""
        return [self.failed, _share(self.durations), _share(self.queue)]

    def add(self, other: Sequence[Any]) -> None:
        """Take what `as_list` of another one gave."""
        failed, durations, queue = other
        self.failed += failed
        _add(self.durations, durations)
        _add(self.queue, queue)


class Details:
    """Requests by route, and statements."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], RouteTotals] = {}
        self.statements: dict[str, StatementTotals] = {}

    def route(self, method: str, name: str) -> RouteTotals:
        """The totals of a verb and route; beyond the cap those of all others."""
        key = (method, name[:_LONGEST_NAME])
        if key not in self.routes and len(self.routes) >= _MOST_ROUTES:
            key = (_OTHER, OVERFLOW)
        return self.routes.get(key) or self.routes.setdefault(key, RouteTotals())

    def statement(self, query: str) -> StatementTotals:
        """The totals of a statement; beyond the cap those of all others."""
        key = query[:_LONGEST_NAME]
        if key not in self.statements and len(self.statements) >= _MOST_STATEMENTS:
            key = OVERFLOW
        return self.statements.get(key) or self.statements.setdefault(key, StatementTotals())

    def routes_as_list(self) -> list[Any]:
        """The requests by route, as `add_routes` takes them."""
        return [
            [method, name, each.failed, [round(seconds, 6) for seconds in each.seconds], _share(each.durations)]
            for (method, name), each in self.routes.items()
        ]

    def add_routes(self, routes: Iterable[Sequence[Any]]) -> None:
        """Take what `routes_as_list` of another one gave."""
        for method, name, failed, seconds, durations in routes:
            totals = self.route(method, name)
            totals.failed += failed
            totals.seconds = [mine + theirs for mine, theirs in zip(totals.seconds, seconds, strict=True)]
            _add(totals.durations, durations)

    def statements_as_list(self) -> list[Any]:
        """The statements, as `add_statements` takes them."""
        return [
            [query, each.max_repeats, list(each.routes), _share(each.durations)]
            for query, each in self.statements.items()
        ]

    def add_statements(self, statements: Iterable[Sequence[Any]]) -> None:
        """Take what `statements_as_list` of another one gave."""
        for query, repeats, routes, durations in statements:
            totals = self.statement(query)
            totals.max_repeats = max(totals.max_repeats, repeats)
            totals.add_routes(routes)
            _add(totals.durations, durations)


def packed(value: Any) -> bytes:
    """A value as a row of the store holds it."""
    return zlib.compress(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), 1)


def unpacked(data: bytes) -> Any:
    """The value that `packed` got."""
    return orjson.loads(zlib.decompress(data))


def _share(totals: Totals) -> list[Any] | None:
    """Totals as `Totals.add` takes them; None where there are no values."""
    if not totals.nb:
        return None
    nb, total, low, high, buckets = totals.as_share()
    return [nb, round(total, 6), round(low, 6), round(high, 6), buckets]


def _add(totals: Totals, share: Sequence[Any] | None) -> None:
    if share is not None:
        totals.add(share)
