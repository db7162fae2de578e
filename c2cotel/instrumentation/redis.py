"""Redis: a timer for each command and each pipeline, and spans. Names of commands only, never keys or values.

Every way to send counts: commands, pipelines, what a watching pipeline sends at once, the clients of `redis.asyncio`
and of clusters.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import redis
from opentelemetry.metrics import NoOpMeterProvider

from c2cotel.config.settings import RedisSettings
from c2cotel.delivery.guard import Guard
from c2cotel.metrics.instruments import REDIS
from c2cotel.metrics.recorder import Series
from c2cotel.otel.contrib import free_instrumentor
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.runtime.telemetry import Telemetry

_logger = logging.getLogger(__name__)

_PIPELINE = "PIPELINE"
_CONTAINERS = frozenset(
    {"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT"}
    | {"PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO"}
)
"""Commands whose second word is part of the name (https://redis.io/docs/latest/commands/)."""

_COMMANDS = (
    ("client", "Redis", "execute_command"),
    ("client", "Pipeline", "immediate_execute_command"),
    ("cluster", "RedisCluster", "execute_command"),
    ("asyncio.client", "Redis", "execute_command"),
    ("asyncio.client", "Pipeline", "immediate_execute_command"),
    ("asyncio.cluster", "RedisCluster", "execute_command"),
)
"""Methods that send one command: its module below `redis`, its class, its name."""

_PIPELINES = (
    ("client", "Pipeline", "execute"),
    ("cluster", "ClusterPipeline", "execute"),
    ("asyncio.client", "Pipeline", "execute"),
    ("asyncio.cluster", "ClusterPipeline", "execute"),
)
"""Methods that send the commands of a pipeline."""


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Measure every Redis client of this process; returns what takes it out again."""
    if not telemetry.settings.section(RedisSettings).track:
        return lambda: None
    timed = _Timed(telemetry)
    undo_each = [
        _replace(owner, method, functools.partial(timed.around, name))
        for methods, name in ((_COMMANDS, _command_of), (_PIPELINES, _pipeline_of))
        for owner, method in _existing(methods)
    ]
    remove_spans = _spans(telemetry)  # around ours: a timer is the command's own time

    def undo() -> None:
        remove_spans()
        for undo_one in undo_each:
            undo_one()

    return undo


def _existing(methods: tuple[tuple[str, str, str], ...]) -> Iterator[tuple[type, str]]:
    """The methods that the installed version of redis-py has itself, and does not inherit."""
    for path, class_name, method in methods:
        module: Any = redis
        for part in path.split("."):
            module = getattr(module, part, None)
        owner = getattr(module, class_name, None)
        if isinstance(owner, type) and method in vars(owner):
            yield owner, method


def _replace(owner: Any, method: str, wrap: Callable[[Any], Any]) -> Callable[[], None]:
    original = vars(owner)[method]
    replacement = wrap(original)
    setattr(owner, method, replacement)

    def undo() -> None:
        # If somebody has wrapped ours in the meantime it stays, and lets everything through from now on.
        if vars(owner).get(method) is replacement:
            setattr(owner, method, original)

    return undo


def _command_of(_: Any, args: tuple[Any, ...]) -> str:
    """The command; redis-py takes it as text or bytes, two words as one text."""
    first = args[0] if args else ""
    text = first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)
    words = text.upper().split(maxsplit=2)
    # redis-py takes a whole command line as one text, too: no key may follow into the name.
    return " ".join(words[: 2 if words and words[0] in _CONTAINERS else 1])


def _pipeline_of(pipeline: Any, _: tuple[Any, ...]) -> str:
    """What a pipeline with commands is called; nothing for an empty one, which sends nothing."""
    commands = getattr(pipeline, "command_stack", None)
    if commands is None:  # asynchronous clusters
        commands = getattr(pipeline, "_command_stack", True)
    return _PIPELINE if commands else ""


class _Timed:
    """Puts a timer around the methods of a client."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._recorder = telemetry.recorder
        self._series: dict[tuple[str, str | None], Series] = {}
        self._guard = Guard(_logger, "A Redis command could not be measured")

    def around(self, name_of: Callable[[Any, tuple[Any, ...]], str], original: Any) -> Any:
        """The method, timed; `name_of` gives the name of a call, or nothing for one that is not timed."""
        telemetry, guard = self._telemetry, self._guard
        clock, record = telemetry.clock, self._record

        def name(client: Any, args: tuple[Any, ...]) -> str:
            if telemetry.closed or not telemetry.measures or is_suppressed():
                return ""
            with guard:
                return name_of(client, args)
            return ""

        @functools.wraps(original)
        def timed(client: Any, *args: Any, **options: Any) -> Any:
            command = name(client, args)
            if not command:
                return original(client, *args, **options)
            start = clock()
            try:
                result = original(client, *args, **options)
            except Exception as error:
                record(command, error, clock() - start)
                raise
            record(command, None, clock() - start)
            return result

        @functools.wraps(original)
        async def timed_async(client: Any, *args: Any, **options: Any) -> Any:
            command = name(client, args)
            if not command:
                return await original(client, *args, **options)
            start = clock()
            try:
                result = await original(client, *args, **options)
            except Exception as error:
                record(command, error, clock() - start)
                raise
            record(command, None, clock() - start)
            return result

        return timed_async if inspect.iscoroutinefunction(original) else timed

    def _record(self, command: str, error: Exception | None, seconds: float) -> None:
        try:
            failure = None if error is None else type(error).__qualname__
            series = self._series.get((command, failure))
            (series or self._find(command, failure)).record(seconds)
        except Exception as trouble:  # noqa: BLE001  # measuring must not cost the command
            self._guard.about(trouble)

    def _find(self, command: str, failure: str | None) -> Series:
        attributes = {"db.system.name": "redis", "db.operation.name": command}
        if failure is not None:
            attributes["error.type"] = failure
        series = self._recorder.series(REDIS, attributes)
        if not series.overflow:
            self._series[command, failure] = series
        return series


def _spans(telemetry: Telemetry) -> Callable[[], None]:
    contrib = None if telemetry.tracer is None else free_instrumentor("redis", "RedisInstrumentor")
    if contrib is None:
        return lambda: None
    contrib.instrument(meter_provider=NoOpMeterProvider(), skip_dep_check=True)
    undo: Callable[[], None] = contrib.uninstrument
    return undo
