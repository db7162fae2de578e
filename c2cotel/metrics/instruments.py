"""The table of everything that is measured: the OpenTelemetry name, and the name on the statsd wire.

A statsd name is written as on the wire, dots between its parts, attributes in braces as
`opentelemetry.exporter.statsd.NameRule` has them; a dot inside braces belongs to the attribute's name.
OpenTelemetry names, units and bucket bounds follow the stable semantic conventions:
https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from opentelemetry.exporter.statsd import NameRule

KEY = "c2c.key"
"""Attribute that holds the parts of a user's key; it names the series and is not exported as an attribute."""

ROUTE_NAME = "pyramid.route.name"

URL_PORT = "c2c.url.port"
"""Attribute with the port that a URL names itself; the 2018 code sent ``None`` for those that name none."""

PRIVATE = frozenset({KEY, URL_PORT})
"""Attributes that only the statsd names need."""

HTTP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bucket bounds in seconds that the semantic conventions advise for HTTP durations."""

FINE_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, *HTTP_BOUNDS)
"""The same, with room below 5 ms: rendering and user timers are often that short."""


class Kind(Enum):
    """What a value of an instrument means."""

    TIMER = "timer"
    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, eq=False)
class Instrument:
    """One row of the table.

    Attributes:
        name: the OpenTelemetry name; the exporter's rules find their row by it.
        statsd: the name on the wire without tags; empty for what statsd does not get.
        tagged: the name on the wire with tags; None when both are equal.
        tags: tag to attribute, with tags on.
        when: attributes by which the exporter tells this row from others of the same OpenTelemetry name.
        statsd_2018: the name on the wire that the 2018 code really sent, where it differs.
        tags_2018: tags that the 2018 code sent, where they differ.
        users: named by its user: the attribute `KEY` holds the name's parts, all other attributes are the user's tags.
        bounds: bucket bounds in the instrument's unit.
    """

    name: str
    kind: Kind
    statsd: str
    description: str
    unit: str = "s"
    tagged: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    when: Mapping[str, str] = field(default_factory=dict)
    statsd_2018: str | None = None
    tags_2018: Mapping[str, str] | None = None
    users: bool = False
    bounds: tuple[float, ...] = FINE_BOUNDS

    @property
    def first_part(self) -> str:
        """The part of the name that every series of it shares."""
        return self.statsd.partition(".")[0]

    def as_in_2018(self) -> Instrument:
        """The same row under the names that the 2018 code really sent."""
        tags = self.tags if self.tags_2018 is None else self.tags_2018
        return replace(self, statsd=self.statsd_2018 or self.statsd, tags=tags)

    def rule(self) -> NameRule:
        """The row in the exporter's language."""
        return NameRule(
            self.name,
            name=_parts(self.statsd),
            tagged=None if self.tagged is None else _parts(self.tagged),
            tags=self.tags,
            when=self.when,
            extra_tags=self.users,
        )


_HTTP_TAGS_2018 = {
    "route": f"{{{ROUTE_NAME}}}",
    "status": "{http.response.status_code}",
    "group": "{http.response.status_code//100}",
}
_HTTP_TAGS = {"method": "{http.request.method}", **_HTTP_TAGS_2018}
_HTTP_NAME = f"{{http.request.method}}.{{{ROUTE_NAME}}}.{{http.response.status_code}}"

ROUTE = Instrument(
    "http.server.request.duration",
    Kind.TIMER,
    statsd=f"route.{_HTTP_NAME}",
    tagged="route",
    tags=_HTTP_TAGS,
    tags_2018=_HTTP_TAGS_2018,
    description="Duration of HTTP server requests.",
    bounds=HTTP_BOUNDS,
)
RENDER = Instrument(
    "c2c.render.duration",
    Kind.TIMER,
    statsd=f"render.{_HTTP_NAME}",
    tagged="render",
    tags=_HTTP_TAGS,
    tags_2018=_HTTP_TAGS_2018,
    description="Duration of a renderer's own work.",
)
_DB = "db.client.operation.duration"
_DB_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)

SQL = Instrument(
    _DB,
    Kind.TIMER,
    statsd="sql.{db.query.summary}",
    tagged="sql",
    tags={"query": "{db.query.summary}"},
    description="Duration of database client operations.",
    bounds=_DB_BOUNDS,
)
COMMIT = Instrument(
    _DB,
    Kind.TIMER,
    statsd="sql.commit",
    when={"db.operation.name": "COMMIT"},
    description="Duration of database client operations.",
    bounds=_DB_BOUNDS,
)
REDIS = Instrument(
    _DB,
    Kind.TIMER,
    statsd="redis.{db.operation.name}",
    tagged="redis",
    tags={"cmd": "{db.operation.name}"},
    when={"db.system.name": "redis"},
    statsd_2018="redis.{db.operation.name}.{error.type?failure:success}",
    tags_2018={"cmd": "{db.operation.name}", "success": "{error.type?0:1}"},
    description="Duration of database client operations.",
    bounds=_DB_BOUNDS,
)
HTTP_CLIENT = Instrument(
    "http.client.request.duration",
    Kind.TIMER,
    statsd="requests.{url.scheme}.{server.address}.{server.port}.{http.request.method}.{http.response.status_code:999}",
    tagged="requests",
    tags={
        "scheme": "{url.scheme}",
        "host": "{server.address}",
        "port": "{server.port}",
        "method": "{http.request.method}",
        "status": "{http.response.status_code:999}",
    },
    statsd_2018=(
        "requests.{url.scheme}.{server.address}.{c2c.url.port:None}.{http.request.method}"
        ".{http.response.status_code:999}"
    ),
    tags_2018={
        "scheme": "{url.scheme}",
        "host": "{server.address}",
        "port": "{c2c.url.port:None}",
        "method": "{http.request.method}",
        "status": "{http.response.status_code:999}",
    },
    description="Duration of HTTP client requests.",
    bounds=HTTP_BOUNDS,
)
USER_TIMER = Instrument("c2c.timer", Kind.TIMER, f"{{{KEY}*}}", "A timer of the application.", users=True)
USER_GAUGE = Instrument("c2c.gauge", Kind.GAUGE, f"{{{KEY}*}}", "A gauge of the application.", unit="", users=True)
USER_COUNTER = Instrument(
    "c2c.counter", Kind.COUNTER, f"{{{KEY}*}}", "A counter of the application.", unit="", users=True
)

QUEUE = Instrument(
    "c2c.request.queue.duration",
    Kind.TIMER,
    statsd="queue",
    description="Time between the proxy's mark in a request's head and the first instruction of its application.",
    bounds=HTTP_BOUNDS,
)

STALLS = Instrument(
    "c2c.stalls",
    Kind.COUNTER,
    statsd="",
    description="Requests that ran longer than C2C_STALL_TIMEOUT.",
    unit="{request}",
)

POOL_WAIT = Instrument(
    "db.client.connection.wait_time",
    Kind.TIMER,
    statsd="",
    description="Time until a connection was got from the pool, one that had to be made included.",
    bounds=_DB_BOUNDS,
)
GC_PAUSE = Instrument(
    "c2c.gc.duration",
    Kind.TIMER,
    statsd="",
    description="Pauses of the process while the garbage collector ran.",
)

DEATHS = Instrument(
    "c2c.deaths",
    Kind.COUNTER,
    statsd="",
    description="Processes that ended with requests in progress.",
    unit="{process}",
)
SQL_REPEATS = Instrument(
    "c2c.sql.repeats",
    Kind.COUNTER,
    statsd="",
    description="Statements that requests sent C2C_SQL_REPEATS times or more.",
    unit="{statement}",
)

OTEL_ONLY = (STALLS, DEATHS, SQL_REPEATS, POOL_WAIT, GC_PAUSE)
"""Instruments that statsd does not get."""

TABLE = (ROUTE, RENDER, QUEUE, SQL, COMMIT, REDIS, HTTP_CLIENT, USER_TIMER, USER_GAUGE, USER_COUNTER)

OVERFLOW = "otel.metric.overflow"
"""Attribute of the series that takes what a full instrument no longer tells apart (OpenTelemetry's own name)."""


def rules(*, names_2018: bool = False) -> tuple[NameRule, ...]:
    """The whole table for the exporter: the overflow rule of each row before the row itself."""
    compiled: list[NameRule] = []
    for row in TABLE:
        compiled.append(NameRule(row.name, name=[f"{{{KEY}*}}"], when={OVERFLOW: "true"}))
        compiled.append((row.as_in_2018() if names_2018 else row).rule())
    return tuple(compiled)


def _parts(template: str) -> list[str]:
    return re.findall(r"(?:\{[^}]*\}|[^.{])+", template)
