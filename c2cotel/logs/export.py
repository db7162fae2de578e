"""Log records on their way to OpenTelemetry: taken from the thread that speaks, made ready in the background.

Every name of OpenTelemetry's logs, which are still marked experimental in Python, is used in this file alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, NoOpLoggerProvider, SeverityNumber, get_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from c2cotel.delivery.batches import BatchChannel
from c2cotel.logs.record import extras_of, message_of, request_fields, stack_of
from c2cotel.otel.sdk_private import is_suppressed

EXPORTER = LogRecordExporter
# https://opentelemetry.io/docs/specs/otel/logs/data-model-appendix/#appendix-b-severitynumber-example-mappings
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
    (logging.DEBUG, SeverityNumber.DEBUG, "DEBUG"),
)
_REQUEST = {
    "client_addr": "client.address",
    "method": "http.request.method",
    "path": "url.path",
    "matched_route": "c2c.route.name",
    "request_id": "c2c.request_id",
}
_BITS = 63
"""Of an integer in OTLP."""
_NOT_PROPAGATING = ("gunicorn.error", "gunicorn.access")
"""Loggers that keep their records from the root."""


@dataclass(frozen=True)
class Said:
    """A record as its thread left it."""

    record: logging.LogRecord
    message: str
    stack: str | None
    extras: dict[str, Any]
    request: dict[str, Any]
    span: trace.SpanContext
    observed: int


class _NoLock:
    """What `logging` takes for a lock."""

    def acquire(self) -> None:
        """Wait for nobody."""

    release = acquire

    def __enter__(self) -> None:
        """Wait for nobody."""

    def __exit__(self, *_: object) -> None:
        """Wait for nobody."""


class OtelHandler(logging.Handler):
    """Queues every record that reaches it for export.

    Args:
        channel: takes them.
    """

    def __init__(self, channel: BatchChannel[Said]) -> None:
        super().__init__()
        self._channel = channel

    def createLock(self) -> None:  # noqa: N802  # the base class names it so
        """No lock: the queue needs none, and a signal handler may log."""
        self.lock: Any = _NoLock()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; what an export itself causes is not exported, or it would never end."""
        if is_suppressed():
            return
        try:
            self._channel.put(
                Said(
                    record,
                    message_of(record),
                    stack_of(record),
                    extras_of(record),
                    request_fields(),
                    trace.get_current_span().get_span_context(),
                    time.time_ns(),
                )
            )
        except Exception:  # noqa: BLE001  # as the standard library's handlers do
            self.handleError(record)
        # Without this handler there would be none, and Python would show warnings on the standard error.
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and logging.root.handlers == [self]:
            last.handle(record)


def is_provided() -> bool:
    """Whether somebody else sends log records to OpenTelemetry already, such as `opentelemetry-instrument`."""
    return not isinstance(get_logger_provider(), (ProxyLoggerProvider, NoOpLoggerProvider))


def attach(handler: logging.Handler) -> Callable[[], None]:
    """Have a handler get every record of the process; returns what ends that."""
    loggers = [logging.getLogger()]
    loggers_by_name = logging.root.manager.loggerDict
    for name in _NOT_PROPAGATING:
        logger = loggers_by_name.get(name)
        if isinstance(logger, logging.Logger) and not logger.propagate:
            loggers.append(logger)
    for logger in loggers:
        logger.addHandler(handler)

    def undo() -> None:
        for logger in loggers:
            logger.removeHandler(handler)

    return undo


def exporting(resource: Callable[[], Resource]) -> Callable[[LogRecordExporter, list[Said]], bool]:
    """What sends records with an exporter.

    Args:
        resource: gives the resource of the process, which is another one after a fork.
    """

    def export(exporter: LogRecordExporter, batch: list[Said]) -> bool:
        shared = resource()
        records = [_readable(noted, shared) for noted in batch]
        return exporter.export(records) is LogRecordExportResult.SUCCESS

    return export


def _readable(noted: Said, resource: Resource) -> ReadableLogRecord:
    record = noted.record
    attributes: dict[str, Any] = {
        **noted.extras,
        "code.file.path": record.pathname,
        "code.function.name": record.funcName,
        "code.line.number": record.lineno,
        "thread.name": record.threadName,
    }
    attributes.update((_REQUEST[name], value) for name, value in noted.request.items())
    if record.exc_info and record.exc_info[1] is not None:
        attributes["exception.type"] = type(record.exc_info[1]).__qualname__
        attributes["exception.message"] = (noted.stack or "").rpartition("\n")[2]
    if noted.stack:
        attributes["exception.stacktrace"] = noted.stack
    severity, name = next(
        ((number, name) for level, number, name in _SEVERITIES if record.levelno >= level),
        (SeverityNumber.TRACE, "TRACE"),
    )
    made = LogRecord(
        timestamp=int(record.created * 1e9),
        observed_timestamp=noted.observed,
        trace_id=noted.span.trace_id if noted.span.is_valid else None,
        span_id=noted.span.span_id if noted.span.is_valid else None,
        trace_flags=noted.span.trace_flags if noted.span.is_valid else None,
        severity_text=name,
        severity_number=severity,
        body=_encodable(noted.message),
        attributes={key: _encodable(value) for key, value in attributes.items() if value is not None},
    )
    return ReadableLogRecord(made, resource, InstrumentationScope(record.name))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and value.bit_length() > _BITS:
        return str(value)
    return value
