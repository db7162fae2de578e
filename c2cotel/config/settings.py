"""Every setting there is, each declared once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from c2cotel.config.declare import Settings, setting
from c2cotel.config.otel_sdk import OtelSdkSettings
from c2cotel.config.parsers import (
    Slow,
    addresses,
    boolean,
    choice,
    count,
    duration,
    header_name,
    level,
    logger_levels,
    loggers,
    milliseconds,
    packages,
    redis_url,
    seconds,
    share,
    size,
    slow,
    statsd_address,
    text,
    typed_options,
    url_path,
    whole,
    words,
)
from c2cotel.config.traces_keep import TracesKeep, traces_keep

PROMETHEUS = "prometheus"
"""The exporter of metrics that is a view of our own."""


@dataclass(frozen=True)
class ApplicationSettings:
    """What each Pyramid application decides for itself."""

    base_path: str = setting(
        "C2C_BASE_PATH", "c2c.base_path", parse=url_path, default="", doc="URL prefix of all views."
    )
    secret: str | None = setting(
        "C2C_SECRET",
        "c2c.secret",
        parse=text,
        doc="Opens the protected views, as the parameter `secret` or the header `X-API-Key`; unset: there are none.",
    )
    console: bool | None = setting(
        "C2C_CONSOLE",
        "c2c.console",
        parse=boolean,
        doc="Keep the history of requests and statements, and serve the console that shows it.",
        shown="on with `C2C_BASE_PATH` and `C2C_SECRET`",
    )
    stats_view: bool = setting(
        "STATS_VIEW",
        "c2c.stats_view",
        parse=boolean,
        default=False,
        doc="Keep totals in memory and serve them at `{base path}/stats.json`.",
    )
    metrics_view: bool = setting(
        "C2C_METRICS_VIEW_ENABLED",
        "c2c.metrics_view_enabled",
        parse=boolean,
        default=False,
        doc="Serve `{base path}/metrics` for Prometheus: the sum over all processes of the host.",
    )
    open_reset: bool = setting(
        "C2C_OPEN_RESET",
        "c2c.open_reset",
        parse=boolean,
        default=False,
        doc="Let anybody reset the totals by `stats.json?reset=1`, as in 2018; off: that needs the secret.",
    )
    show_errors: bool = setting(
        "C2C_SHOW_ERRORS",
        "c2c.show_errors",
        parse=boolean,
        default=False,
        doc="Tell clients the message of unexpected exceptions, as in 2018; off: those with the secret alone.",
    )
    ignore_unknown_checks: bool = setting(
        "C2C_IGNORE_UNKNOWN_CHECKS",
        "c2c.ignore_unknown_checks",
        parse=boolean,
        default=False,
        doc="Pass over unknown names in the parameter `checks` of the health checks, as in 2018; off: they are a 400.",
    )
    log_view: bool = setting(
        "C2C_LOG_VIEW_ENABLED",
        "c2c.log_view_enabled",
        parse=boolean,
        default=False,
        doc="Serve `{base path}/logging/level`, which shows and sets levels of loggers (needs the secret).",
    )
    sql_profiler: bool = setting(
        "C2C_SQL_PROFILER_ENABLED",
        "c2c.sql_profiler_enabled",
        parse=boolean,
        default=False,
        doc="Serve `{base path}/sql_profiler`, which switches the SQL profiler on and off (needs the secret).",
    )
    debug_view: bool = setting(
        "C2C_DEBUG_VIEW_ENABLED",
        "c2c.debug_view_enabled",
        parse=boolean,
        default=False,
        doc="Serve the debug views below `{base path}/debug/` (need the secret).",
    )
    log_view_secret: str | None = setting(
        "LOG_VIEW_SECRET",
        "c2c.log_view_secret",
        parse=text,
        doc="Deprecated: turns the logging view on, and opens it; use `C2C_LOG_VIEW_ENABLED` and `C2C_SECRET`.",
    )
    sql_profiler_secret: str | None = setting(
        "SQL_PROFILER_SECRET",
        "c2c.sql_profiler_secret",
        parse=text,
        doc="Deprecated: turns the SQL profiler on, and opens it; use `C2C_SQL_PROFILER_ENABLED` and `C2C_SECRET`.",
    )
    debug_view_secret: str | None = setting(
        "DEBUG_VIEW_SECRET",
        "c2c.debug_view_secret",
        parse=text,
        doc="Deprecated: turns the debug views on, and opens them; use `C2C_DEBUG_VIEW_ENABLED` and `C2C_SECRET`.",
    )
    profiler_path: str = setting(
        "C2C_PROFILER_PATH",
        "c2c.profiler_path",
        parse=url_path,
        default="",
        doc="Serve the CPU profiler's page at this path, from the root of the application (needs the secret).",
    )
    profiler_modules: tuple[str, ...] = setting(
        "C2C_PROFILER_MODULES",
        "c2c.profiler_modules",
        parse=packages,
        default=(),
        doc="Python packages, separated by blanks: the CPU profiler tells how much time each takes.",
        shown="none",
    )
    disable_exception_handling: bool = setting(
        "C2C_DISABLE_EXCEPTION_HANDLING",
        "c2c.disable_exception_handling",
        parse=boolean,
        default=False,
        doc="Leave errors to the application or to pyramid_debugtoolbar: no JSON error views.",
    )
    enable_exception_handling: bool = setting(
        "C2C_ENABLE_EXCEPTION_HANDLING",
        "c2c.enable_exception_handling",
        parse=boolean,
        default=True,
        doc="As the later versions of the library of 2018 call the opposite of `C2C_DISABLE_EXCEPTION_HANDLING`.",
    )
    health_timeout: float = setting(
        "C2C_HEALTH_TIMEOUT",
        "c2c.health_timeout",
        parse=seconds,
        default=10.0,
        doc="Seconds that one health check may take.",
        shown="`10`",
    )
    versions_path: str = setting(
        "C2C_VERSIONS_PATH",
        "c2c.versions_path",
        parse=text,
        default="/app/versions.json",
        doc="File with what the application is made of, served at `{base path}/versions.json`.",
    )
    development: bool = setting(
        "DEVELOPMENT", parse=boolean, default=False, doc="Errors tell the client everything: stack trace and SQL."
    )


@dataclass(frozen=True)
class RequestIdSettings:
    """Where a request's id comes from."""

    header: str | None = setting(
        "C2C_REQUEST_ID_HEADER",
        "c2c.request_id_header",
        parse=header_name,
        doc="An extra header that may hold the request id: looked at first, and used for outgoing requests.",
    )


@dataclass(frozen=True)
class SqlSettings:
    """What SQL statements carry."""

    request_id: bool = setting(
        "C2C_SQL_REQUEST_ID",
        "c2c.sql_request_id",
        parse=boolean,
        default=False,
        doc="Make the request id the `application_name` of PostgreSQL transactions.",
    )
    repeats: int = setting(
        "C2C_SQL_REPEATS",
        "c2c.sql_repeats",
        parse=whole,
        default=10,
        doc="Number of times that a request may send the same statement without a warning; `0`: any.",
    )
    slow: float = setting(
        "C2C_SLOW_SQL",
        "c2c.slow_sql",
        parse=duration,
        default=1.0,
        doc="Time from which a statement is slow and warned about; `0`: never.",
        shown="`1s`",
    )
    own_packages: tuple[str, ...] = setting(
        "C2C_OWN_PACKAGES",
        "c2c.own_packages",
        parse=packages,
        default=(),
        doc="Python packages of the application, separated by blanks, whose lines are its own.",
        shown="what is not installed in `site-packages`",
    )


@dataclass(frozen=True)
class RequestsSettings:
    """How outgoing HTTP calls are made."""

    default_timeout: float | None = setting(
        "C2C_REQUESTS_DEFAULT_TIMEOUT",
        "c2c.requests_default_timeout",
        parse=seconds,
        doc="Seconds, for `requests` calls without a timeout; unset: such a call is a warning.",
    )


@dataclass(frozen=True)
class RedisSettings:
    """Whether Redis is measured."""

    track: bool = setting(
        "C2C_TRACK_REDIS", "c2c.track_redis", parse=boolean, default=True, doc="Metrics and spans of Redis."
    )


@dataclass(frozen=True)
class LogSettings:
    """What is logged of every request."""

    access_log: bool = setting(
        "C2C_ACCESS_LOG",
        "c2c.access_log",
        parse=boolean,
        default=False,
        doc="One INFO record a request on `c2cotel.access`: route, status, times.",
    )
    buffer: Mapping[str, int] | None = setting(
        "C2C_LOG_BUFFER",
        "c2c.log_buffer",
        parse=logger_levels,
        doc="Loggers with the level from which their records are kept for each request, and logged only if it fails or "
        "is slow: `app:DEBUG,sqlalchemy.engine:INFO`.",
        shown="none",
    )


@dataclass(frozen=True)
class BroadcastSettings:
    """How the processes of a service talk to each other, and where they keep what all of them must know."""

    redis_url: str | None = setting(
        "C2C_REDIS_URL",
        "c2c.redis_url",
        parse=redis_url,
        doc="Redis for broadcast and log-level overrides, such as `redis://host:6379/0`.",
    )
    sentinels: tuple[tuple[str, int], ...] | None = setting(
        "C2C_REDIS_SENTINELS",
        "c2c.redis_sentinels",
        parse=addresses,
        doc="Sentinels that know the master, `host:port,host:port`; then the URL is not used.",
    )
    service_name: str | None = setting(
        "C2C_REDIS_SERVICENAME",
        "c2c.redis_servicename",
        parse=text,
        doc="What the sentinels call the master.",
    )
    db: int | None = setting(
        "C2C_REDIS_DB",
        "c2c.redis_db",
        parse=whole,
        doc="Number of the database, where the URL does not say it.",
        shown="`0`",
    )
    options: Mapping[str, str | float | bool] | None = setting(
        "C2C_REDIS_OPTIONS",
        "c2c.redis_options",
        parse=typed_options,
        doc="Further arguments of the `redis.Redis` client, `name=value,name=value`; numbers, `true` and `false` are "
        "taken as such.",
    )
    prefix: str = setting(
        "C2C_BROADCAST_PREFIX",
        "c2c.broadcast_prefix",
        parse=text,
        default="broadcast_api_",
        doc="Prefix of every Redis channel and key: all processes with the same one hear each other.",
    )


@dataclass(frozen=True)
class HostSettings:
    """What the processes of this service on one host share."""

    state_dir: str | None = setting(
        "C2C_STATE_DIR",
        "c2c.state_dir",
        parse=text,
        doc="Folder in which the processes of each service share a folder of their own.",
        shown="`$RUNTIME_DIRECTORY`, else `$XDG_RUNTIME_DIR/c2cotel`, else `c2cotel-{uid}` in the temporary folder",
    )


@dataclass(frozen=True)
class FlightRecorderSettings:
    """Which requests are kept with all that happened in them."""

    enabled: bool = setting(
        "C2C_FLIGHT_RECORDER",
        "c2c.flight_recorder",
        parse=boolean,
        default=False,
        doc="Keep requests that failed or were slow, and the last of each route, with their spans and log records.",
    )
    size: int = setting(
        "C2C_FLIGHT_RECORDER_SIZE",
        "c2c.flight_recorder_size",
        parse=size,
        default=64 * 1024 * 1024,
        doc="Most bytes of what is kept on a host, such as `64 MiB`.",
        shown="`64 MiB`",
    )
    slow: Slow = setting(  # noqa: RUF009  # frozen, as its class says
        "C2C_SLOW",
        "c2c.slow",
        parse=slow,
        default=Slow(1.0),
        doc="Time from which a request counts as slow, and others for some routes: `1s,report:30s`.",
        shown="`1s`",
    )


_STALLED = 10.0


@dataclass(frozen=True)
class StallSettings:
    """When a request counts as stalled."""

    timeout: float | None = setting(
        "C2C_STALL_TIMEOUT",
        "c2c.stall_timeout",
        parse=duration,
        doc="Time from which a running request is told with its stack, such as `10s`; `0`: never.",
        shown="`10s` with the flight recorder, else `0`",
    )

    def seconds(self, *, recorder: bool) -> float:
        """The time, 0 for never, depending on whether the flight recorder is on."""
        return self.timeout if self.timeout is not None else _STALLED if recorder else 0.0


@dataclass(frozen=True)
class StatsdSettings:
    """Where and how statsd lines are sent."""

    address: str | None = setting(
        "STATSD_ADDRESS",
        "c2c.statsd_address",
        parse=statsd_address,
        doc="Send every measurement to this statsd server: `host:port`, `[::1]:8125`, `udp://host:port`, "
        "`tcp://host:port`, `unix:///path`; port 8125 if left out.",
    )
    prefix: str = setting(
        "STATSD_PREFIX",
        "c2c.statsd_prefix",
        parse=text,
        default="",
        doc="Prefix of every metric name; exactly one dot follows it.",
    )
    use_tags: bool = setting(
        "STATSD_USE_TAGS",
        "c2c.statsd_use_tags",
        parse=boolean,
        default=False,
        doc="Automatic metrics use tags instead of longer names.",
    )
    tags: Mapping[str, str] = setting(
        "STATSD_TAG_{NAME}", parse=text, doc="A tag on every metric, with tags on; its name in lower case.", shown="-"
    )
    flavor: str | None = setting(
        "STATSD_FLAVOR",
        "c2c.statsd_flavor",
        parse=choice("datadog", "influx", "graphite", "signalfx", "etsy", "collectd"),
        doc="How tags are written; `etsy` and `collectd` know none: tag values join the name.",
        shown="`datadog`",
    )
    names_2018: bool = setting(
        "STATSD_2018_NAMES",
        "c2c.statsd_2018_names",
        parse=boolean,
        default=False,
        doc="The names that the 2018 code really sent.",
    )
    flush_interval: float = setting(
        "STATSD_FLUSH_INTERVAL",
        "c2c.statsd_flush_interval",
        parse=seconds,
        default=1.0,
        doc="Seconds between two sendings.",
    )
    max_series: int = setting(
        "STATSD_MAX_SERIES",
        "c2c.statsd_max_series",
        parse=count,
        default=2000,
        doc="How many series one metric may have before the rest goes to its overflow series.",
    )


_ENDPOINT = "of an OTLP collector, such as `http://localhost:4318`"


@dataclass(frozen=True)
class OtelSettings:
    """The standard variables that c2cotel itself looks at; the SDK and its exporters read all others themselves."""

    disabled: bool = setting("OTEL_SDK_DISABLED", parse=boolean, default=False, doc="No traces and no OTLP at all.")
    endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", parse=text, doc=f"Base URL {_ENDPOINT}; turns OTLP on for every signal."
    )
    traces_endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", parse=text, doc=f"URL for traces {_ENDPOINT}/v1/traces."
    )
    metrics_endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", parse=text, doc=f"URL for metrics {_ENDPOINT}/v1/metrics."
    )
    logs_endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", parse=text, doc=f"URL for logs {_ENDPOINT}/v1/logs."
    )
    traces_exporter: tuple[str, ...] | None = setting(
        "OTEL_TRACES_EXPORTER", parse=words, doc="Exporters of traces, separated by commas; `none` for none."
    )
    metrics_exporter: tuple[str, ...] | None = setting(
        "OTEL_METRICS_EXPORTER", parse=words, doc="Exporters of metrics, separated by commas: `otlp,statsd`."
    )
    logs_exporter: tuple[str, ...] | None = setting(
        "OTEL_LOGS_EXPORTER", parse=words, doc="Exporters of log records, separated by commas; `none` for none."
    )
    protocol: str | None = setting(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        parse=text,
        doc="OTLP protocol: `http/protobuf`, or `http/json` or `grpc` with its package.",
        shown="`http/protobuf`",
    )
    traces_protocol: str | None = setting(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", parse=text, doc="OTLP protocol of traces."
    )
    metrics_protocol: str | None = setting(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", parse=text, doc="OTLP protocol of metrics."
    )
    logs_protocol: str | None = setting("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", parse=text, doc="OTLP protocol of logs.")
    tracer: str = setting(
        "C2C_TRACER",
        "c2c.tracer",
        parse=choice("c2c", "sdk"),
        default="c2c",
        doc="Who makes spans: `c2c`, which is quicker, or `sdk`, OpenTelemetry's own.",
    )
    traces_keep: TracesKeep | None = setting(  # noqa: RUF009  # frozen, as its class says
        "C2C_TRACES_KEEP",
        "c2c.traces_keep",
        parse=traces_keep,
        doc="Which traces are exported, decided at their end: `error,slow,5%,parent`, any of them.",
    )
    statsd_endpoint: str | None = setting(
        "OTEL_EXPORTER_STATSD_ENDPOINT",
        parse=statsd_address,
        doc="Where `OTEL_METRICS_EXPORTER=statsd` sends when `STATSD_ADDRESS` is unset.",
        shown="`localhost:8125`",
    )
    metric_interval: float = setting(
        "OTEL_METRIC_EXPORT_INTERVAL",
        parse=milliseconds,
        default=60.0,
        doc="Milliseconds between two exports of metrics.",
        shown="`60000`",
    )
    metric_timeout: float = setting(
        "OTEL_METRIC_EXPORT_TIMEOUT",
        parse=milliseconds,
        default=30.0,
        doc="Milliseconds that one export of metrics may take.",
        shown="`30000`",
    )
    span_delay: float = setting(
        "OTEL_BSP_SCHEDULE_DELAY",
        parse=milliseconds,
        default=5.0,
        doc="Milliseconds between two exports of spans.",
        shown="`5000`",
    )
    span_queue: int = setting(
        "OTEL_BSP_MAX_QUEUE_SIZE", parse=count, default=2048, doc="Spans kept for export; more are dropped, counted."
    )
    span_batch: int = setting(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", parse=count, default=512, doc="Spans sent in one export."
    )
    log_delay: float = setting(
        "OTEL_BLRP_SCHEDULE_DELAY",
        parse=milliseconds,
        default=1.0,
        doc="Milliseconds between two exports of log records.",
        shown="`1000`",
    )
    log_queue: int = setting(
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        parse=count,
        default=2048,
        doc="Log records kept for export; more are dropped, counted.",
    )
    log_batch: int = setting(
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", parse=count, default=512, doc="Log records sent in one export."
    )


@dataclass(frozen=True)
class SentrySettings:
    """Errors sent to Sentry."""

    url: str | None = setting(
        "SENTRY_URL", "c2c.sentry_url", "c2c.sentry.url", parse=text, doc="DSN of the project; turns it on."
    )
    excludes: tuple[str, ...] = setting(
        "SENTRY_EXCLUDES",
        "c2c.sentry.excludes",
        parse=loggers,
        default=(),
        doc="Loggers whose records are not sent, separated by colons or commas.",
        shown="none",
    )
    git_hash: str | None = setting("GIT_HASH", "c2c.git_hash", parse=text, doc="The release.")
    client_release: str | None = setting(
        "SENTRY_CLIENT_RELEASE", parse=text, doc="The release in the place of `GIT_HASH`, unless it is `latest`."
    )
    environment: str | None = setting("SENTRY_CLIENT_ENVIRONMENT", parse=text, doc="The environment, such as `prod`.")
    ignore_exceptions: tuple[str, ...] = setting(
        "SENTRY_CLIENT_IGNORE_EXCEPTIONS",
        parse=words,
        default=("SystemExit",),
        doc="Names of exceptions that are not sent, separated by commas.",
        shown="`SystemExit`",
    )
    tags: Mapping[str, str] = setting(
        "SENTRY_TAG_{NAME}", parse=text, doc="A tag of every event; its name in lower case.", shown="-"
    )
    level: int = setting(
        "SENTRY_LEVEL",
        "c2c.sentry_level",
        parse=level,
        default=logging.ERROR,
        doc="The lowest level of log records that are sent.",
        shown="`ERROR`",
    )
    traces_sample_rate: float | None = setting(
        "SENTRY_TRACES_SAMPLE_RATE", parse=share, doc="Share of Sentry's own traces that is sent, from 0 to 1."
    )


@dataclass(frozen=True)
class RunnerSettings:
    """What `c2cotel run` serves, and how."""

    config: str | None = setting(
        "C2COTEL_CONFIG", parse=text, doc="The ini file of the application.", shown="`/app/production.ini`"
    )
    config_2018: str | None = setting(
        "C2CWSGIUTILS_CONFIG", parse=text, doc="The same, under its name of 2018.", shown="unset"
    )
    gunicorn: str = setting(
        "GUNICORN_PARAMS",
        parse=text,
        default="-b :8080 --worker-class gthread --threads 10 --workers 5",
        doc="Options of gunicorn, quoted as in a shell.",
    )


APPLICATION = (ApplicationSettings,)
PROCESS = (
    RequestIdSettings,
    SqlSettings,
    RequestsSettings,
    RedisSettings,
    LogSettings,
    BroadcastSettings,
    HostSettings,
    FlightRecorderSettings,
    StallSettings,
    StatsdSettings,
    OtelSettings,
    OtelSdkSettings,
    SentrySettings,
)
"""Sections that the first `setup` of a process fixes for all of it."""


def start_level(settings: Settings) -> int:
    """The level of lines that tell of a start: INFO under the names of 2018, whose users look for them."""
    return logging.INFO if settings.section(StatsdSettings).names_2018 else logging.DEBUG


def serves_prometheus(settings: Settings) -> bool:
    """Whether the metrics of all processes are shared, for the view `/metrics`."""
    exporters = settings.section(OtelSettings).metrics_exporter or ()
    return settings.section(ApplicationSettings).metrics_view or PROMETHEUS in map(str.lower, exporters)
