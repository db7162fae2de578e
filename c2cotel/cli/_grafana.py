"""A Grafana dashboard and Prometheus alert rules, made of the routes of an application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_REQUESTS = "http_server_request_duration_seconds"
_SQL = "db_client_operation_duration_seconds"
_OUTGOING = "http_client_request_duration_seconds"
_RENDER = "c2c_render_duration_seconds"
_QUEUE = "c2c_request_queue_duration_seconds"
_FAILED = 'http_response_status_code=~"5.."'
_RATE = "[$__rate_interval]"
_WIDE, _HALF, _TALL = 24, 12, 8

Targets = Sequence[tuple[str, str]]
"""Queries, each with its legend."""


def prometheus_panels(routes: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Panels for the names of `/metrics`.

    Args:
        routes: Name and pattern of each route.
    """
    ours = 'http_route!=""'
    panels = [
        _row("Requests"),
        _panel("Rate", [(f"sum(rate({_REQUESTS}_count{{{ours}}}{_RATE}))", "requests")], "reqps"),
        _panel(
            "Errors",
            [
                (
                    f"sum(rate({_REQUESTS}_count{{{_FAILED}}}{_RATE})) / sum(rate({_REQUESTS}_count{_RATE}))",
                    "share of 5xx",
                )
            ],
            "percentunit",
        ),
        _panel("Duration", _quantiles(_REQUESTS, ours), "s"),
        _panel("Time in the queue", _quantiles(_QUEUE, ""), "s"),
        _row("Where the time goes"),
        _panel(
            "Seconds of work a second",
            [
                (f'sum(rate({_SQL}_sum{{db_system_name!="redis"}}{_RATE}))', "SQL"),
                (f'sum(rate({_SQL}_sum{{db_system_name="redis"}}{_RATE}))', "Redis"),
                (f"sum(rate({_OUTGOING}_sum{_RATE}))", "outgoing HTTP"),
                (f"sum(rate({_RENDER}_sum{_RATE}))", "rendering"),
                (f"sum(rate({_REQUESTS}_sum{_RATE}))", "requests"),
            ],
            "s",
        ),
        _panel(
            "Statements by total time",
            [(f"topk(10, sum by (db_query_summary) (rate({_SQL}_sum{_RATE})))", "{{db_query_summary}}")],
            "s",
        ),
        _row("Saturation"),
        _panel("Requests in progress", [("sum(http_server_active_requests)", "requests")], "short"),
        _panel(
            "Threads",
            [
                ("sum by (c2c_thread_state) (c2c_server_threads)", "{{c2c_thread_state}}"),
                ("c2c_server_backlog", "backlog"),
            ],
            "short",
        ),
        _panel(
            "Connections",
            [
                ("sum by (db_client_connection_state) (db_client_connection_count)", "{{db_client_connection_state}}"),
                ("sum(db_client_connection_max)", "most"),
            ],
            "short",
        ),
        _panel("Memory", [("process_memory_usage_bytes", "all processes")], "bytes"),
        _panel(
            "CPU", [(f"sum by (cpu_mode) (rate(process_cpu_time_seconds_total{_RATE}))", "{{cpu_mode}}")], "percentunit"
        ),
        _panel(
            "Stalls and deaths",
            [("increase(c2c_stalls_total[$__range])", "stalls"), ("increase(c2c_deaths_total[$__range])", "deaths")],
            "short",
        ),
    ]
    for name, pattern in routes:
        match = f'http_route="{_escaped(pattern)}"'
        panels += [
            _row(name, collapsed=True),
            _panel(
                "Rate by status",
                [
                    (
                        f"sum by (http_response_status_code) (rate({_REQUESTS}_count{{{match}}}{_RATE}))",
                        "{{http_response_status_code}}",
                    )
                ],
                "reqps",
            ),
            _panel("Duration", _quantiles(_REQUESTS, match), "s"),
        ]
    return panels


def graphite_panels(routes: Iterable[tuple[str, str]], prefix: str) -> list[dict[str, Any]]:
    """Panels for the names that statsd's graphite backend writes.

    Args:
        routes: Name and pattern of each route.
        prefix: What stands before each name, with its dot: statsd's own, and `STATSD_PREFIX`.
    """
    panels = [
        _row("Requests"),
        _panel("Rate", [(f"alias(sumSeries({prefix}route.*.*.*.count_ps), 'requests')", "")], "reqps"),
        _panel("Errors", [(f"alias(sumSeries({prefix}route.*.*.5*.count_ps), '5xx')", "")], "reqps"),
        _panel("Duration", [(f"alias(maxSeries({prefix}route.*.*.*.upper_90), 'upper 90 %')", "")], "ms"),
        _panel("Time in the queue", [(f"alias({prefix}queue.upper_90, 'upper 90 %')", "")], "ms"),
        _row("Where the time goes"),
        _panel(
            "Milliseconds of work a second",
            [
                (f"alias(scaleToSeconds(sumSeries({prefix}{part}.sum), 1), '{title}')", "")
                for part, title in (("sql.*", "SQL"), ("redis.*", "Redis"), ("requests.*.*.*.*.*", "outgoing HTTP"))
            ],
            "ms",
        ),
        _panel("Statements", [(f"aliasByNode(highestMax({prefix}sql.*.upper, 10), -2)", "")], "ms"),
    ]
    for name, _ in routes:
        panels += [
            _row(name, collapsed=True),
            _panel("Rate by status", [(f"aliasByNode({prefix}route.*.{name}.*.count_ps, -4, -2)", "")], "reqps"),
            _panel("Duration", [(f"aliasByNode({prefix}route.*.{name}.*.upper_90, -4, -2)", "")], "ms"),
        ]
    return panels


def dashboard(title: str, panels: Sequence[Mapping[str, Any]], source: str) -> dict[str, Any]:
    """The dashboard, as Grafana imports it.

    Args:
        title: Its title.
        panels: Panels and rows, in their order.
        source: Kind of the data source, `prometheus` or `graphite`.
    """
    placed: list[dict[str, Any]] = []
    collapsed: dict[str, Any] | None = None
    x = y = 0
    datasource = {"type": source, "uid": "${datasource}"}
    for number, panel in enumerate(panels, 1):
        entry: dict[str, Any] = {**panel, "id": number}
        if entry["type"] == "row":
            y += _TALL if x else 0
            x = 0
            entry["gridPos"] = {"h": 1, "w": _WIDE, "x": 0, "y": y}
            y += 1
            collapsed = entry if entry["collapsed"] else None
            placed.append(entry)
            continue
        entry |= {"datasource": datasource, "gridPos": {"h": _TALL, "w": _HALF, "x": x, "y": y}}
        y += _TALL if x else 0
        x = 0 if x else _HALF
        (placed if collapsed is None else collapsed["panels"]).append(entry)
    return {
        "title": title,
        "tags": ["c2cotel"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": source}]},
        "panels": placed,
    }


def alert_rules(service: str) -> dict[str, Any]:
    """Prometheus' alert rules: an error budget of 99.9 % that burns, waiting requests, stalls, busy threads."""
    share = f"sum(rate({_REQUESTS}_count{{{{{_FAILED}}}}}[{{}}])) / sum(rate({_REQUESTS}_count[{{}}])) > {{}} * 0.001"
    return {
        "groups": [
            {
                "name": f"{service} (c2cotel)",
                "rules": [
                    _alert(
                        "ErrorBudgetBurnsFast",
                        f"{share.format('1h', '1h', 14.4)} and {share.format('5m', '5m', 14.4)}",
                        "2m",
                        "page",
                        "Of the errors that 99.9 % allow in a month, 2 % were made in an hour.",
                    ),
                    _alert(
                        "ErrorBudgetBurns",
                        f"{share.format('6h', '6h', 6)} and {share.format('30m', '30m', 6)}",
                        "15m",
                        "ticket",
                        "Of the errors that 99.9 % allow in a month, 5 % were made in six hours.",
                    ),
                    _alert(
                        "RequestsWait",
                        f"histogram_quantile(0.95, sum by (le) (rate({_QUEUE}_bucket[5m]))) > 0.5",
                        "5m",
                        "page",
                        "One request in twenty waits longer than half a second for a worker.",
                    ),
                    _alert(
                        "NoThreadIsFree",
                        'sum(c2c_server_threads{c2c_thread_state="idle"}) == 0',
                        "5m",
                        "page",
                        "All threads are busy: further requests wait.",
                    ),
                    _alert(
                        "ProcessesDie",
                        "increase(c2c_deaths_total[10m]) > 0",
                        "0m",
                        "page",
                        "A process ended with requests in progress: the log of c2cotel.deaths names them.",
                    ),
                    _alert(
                        "RequestsStall",
                        "increase(c2c_stalls_total[10m]) > 0",
                        "0m",
                        "ticket",
                        "A request ran longer than C2C_STALL_TIMEOUT: its stack is in the log and in its record.",
                    ),
                ],
            }
        ]
    }


def _alert(name: str, expression: str, after: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }


def _quantiles(name: str, match: str) -> list[tuple[str, str]]:
    return [
        (f"histogram_quantile({q}, sum by (le) (rate({name}_bucket{{{match}}}{_RATE})))", f"p{q * 100:g}")
        for q in (0.5, 0.95, 0.99)
    ]


def _row(title: str, *, collapsed: bool = False) -> dict[str, Any]:
    return {"type": "row", "title": title, "collapsed": collapsed, "panels": []}


def _panel(title: str, targets: Targets, unit: str) -> dict[str, Any]:
    def target(number: int, query: str, legend: str) -> dict[str, Any]:
        letter = chr(ord("A") + number)
        if legend:
            return {"refId": letter, "expr": query, "legendFormat": legend, "exemplar": True}
        return {"refId": letter, "target": query}

    return {
        "type": "timeseries",
        "title": title,
        "targets": [target(number, *each) for number, each in enumerate(targets)],
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
    }


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
