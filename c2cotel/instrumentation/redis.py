"""Redis: a timer for each command and each pipeline, and spans. Names of commands only, never keys or values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.metrics import NoOpMeterProvider
from redis import Redis
from redis.client import Pipeline

from c2cotel.config.settings import RedisSettings
from c2cotel.metrics.instruments import REDIS
from c2cotel.metrics.recorder import Series
from c2cotel.otel.contrib import free_instrumentor
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.runtime.telemetry import Telemetry

_PIPELINE = "PIPELINE"
_CONTAINERS = frozenset(
    {"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT"}
    | {"PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO"}
)
"""Commands whose second word is part of the name (https://redis.io/docs/latest/commands/)."""


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Measure every Redis client of this process; returns what takes it out again."""
    if not telemetry.settings.section(RedisSettings).track:
        return lambda: None
    timed = _timer(telemetry)
    command, pipeline = Redis.execute_command, Pipeline.execute

    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        return timed(_name(args), command, self, args, options)

    def execute(self: Any, *args: Any, **options: Any) -> Any:
        if not self.command_stack:
            return pipeline(self, *args, **options)
        return timed(_PIPELINE, pipeline, self, args, options)

    Redis.execute_command = execute_command  # type: ignore[method-assign]  # the client has no hooks
    Pipeline.execute = execute  # type: ignore[method-assign]
    remove_spans = _spans(telemetry)  # around ours: a timer is the command's own time

    def undo() -> None:
        remove_spans()
        # If somebody has wrapped ours in the meantime it stays, and lets everything through from now on.
        if Redis.execute_command is execute_command:
            Redis.execute_command = command  # type: ignore[method-assign]
        if Pipeline.execute is execute:
            Pipeline.execute = pipeline  # type: ignore[method-assign]

    return undo


def _name(args: tuple[Any, ...]) -> str:
    """The command; redis-py takes it as text or bytes, two words as one text."""
    first = args[0] if args else ""
    text = first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)
    words = text.upper().split(maxsplit=2)
    # redis-py takes a whole command line as one text, too: no key may follow into the name.
    return " ".join(words[: 2 if words and words[0] in _CONTAINERS else 1])


def _timer(telemetry: Telemetry) -> Callable[..., Any]:
    clock = telemetry.clock
    recorder = telemetry.recorder
    series_by_outcome: dict[tuple[str, str | None], Series] = {}

    def find(name: str, failure: str | None) -> Series:
        series = series_by_outcome.get((name, failure))
        if series is None:
            attributes = {"db.system.name": "redis", "db.operation.name": name}
            if failure is not None:
                attributes["error.type"] = failure
            series = recorder.series(REDIS, attributes)
            if not series.overflow:
                series_by_outcome[name, failure] = series
        return series

    def timed(
        name: str, original: Callable[..., Any], client: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        if telemetry.closed or not telemetry.measures or is_suppressed():
            return original(client, *args, **options)
        start = clock()
        try:
            result = original(client, *args, **options)
        except Exception as error:
            find(name, type(error).__qualname__).record(clock() - start)
            raise
        find(name, None).record(clock() - start)
        return result

    return timed


def _spans(telemetry: Telemetry) -> Callable[[], None]:
    contrib = None if telemetry.tracer is None else free_instrumentor("redis", "RedisInstrumentor")
    if contrib is None:
        return lambda: None
    contrib.instrument(meter_provider=NoOpMeterProvider(), skip_dep_check=True)
    undo: Callable[[], None] = contrib.uninstrument
    return undo
