"""Log records on their way to OpenTelemetry: taken from the thread that speaks, made ready in the background.

Every name of OpenTelemetry's logs, which are still marked experimental in Python, is used in this file alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry._logs import LogRecord, NoOpLoggerProvider, SeverityNumber, get_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from c2cotel import redaction
from c2cotel.delivery.batches import BatchChannel
from c2cotel.logs.record import error_of, extras_of, message_of, origin_of, stack_of
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.tracing.child import qualified_name

_logger = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class NotedRecord:
    """A record as its thread left it: texts and numbers, and no object of the application.

    A `LogRecord` holds its arguments and, by its traceback, the variables of every frame of a failed request.
    """

    logger: str
    level: int
    created: float
    message: str
    place: tuple[str, int, str | None, str | None]
    error: tuple[str, str] | None
    stack: str | None
    extras: dict[str, Any]
    request: dict[str, Any]
    span: SpanContext
    observed: int


def note(record: logging.LogRecord) -> NotedRecord:
    """What is exported of a record, secrets hidden."""
    request, span = origin_of(record)
    error = error_of(record)
    return NotedRecord(
        str(record.name),
        record.levelno,
        record.created,
        message_of(record),
        (record.pathname, record.lineno, record.funcName, record.threadName),
        None if error is None else (qualified_name(error), redaction.error_text(error)),
        stack_of(record),
        extras_of(record),
        request,
        span,
        time.time_ns(),
    )


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

    def __init__(self, channel: BatchChannel[NotedRecord]) -> None:
        super().__init__()
        self._channel = channel

    def createLock(self) -> None:  # noqa: N802  # the base class names it so
        """No lock: the queue needs none, and a signal handler may log."""
        self.lock: Any = _NoLock()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; what an export itself causes is not exported, or it would never end."""
        if not is_suppressed():
            try:
                self._channel.put(note(record))
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


def exporting(
    resource: Callable[[], Resource], *, is_otlp: bool
) -> Callable[[LogRecordExporter, list[NotedRecord]], bool]:
    """What sends records with an exporter.

    Args:
        resource: gives the resource of the process, which is another one after a fork.
        is_otlp: Whether the exporter encodes for OTLP.
    """
    # Now, and not in a thread: an import that a fork cuts in two never ends in the child.
    encode = _otlp_encoder() if is_otlp else None

    def export(exporter: LogRecordExporter, batch: list[NotedRecord]) -> bool:
        shared = resource()
        records = [_readable(noted, shared) for noted in batch]
        if exporter.export(records) is LogRecordExportResult.SUCCESS:
            return True
        # A record that the exporter cannot encode must cost itself alone.
        encodable = [record for record in records if encode is None or _is_encodable(record, encode)]
        if len(encodable) == len(records):
            return False
        _logger.error("%d log records cannot be encoded and are left out", len(records) - len(encodable))
        return not encodable or exporter.export(encodable) is LogRecordExportResult.SUCCESS

    return export


def _otlp_encoder() -> Callable[[list[ReadableLogRecord]], Any] | None:
    try:
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs  # noqa: PLC0415  # an extra
    except ImportError:  # another encoding is in use
        return None
    encoder: Callable[[list[ReadableLogRecord]], Any] = encode_logs
    return encoder


def _is_encodable(record: ReadableLogRecord, encode: Callable[[list[ReadableLogRecord]], Any]) -> bool:
    try:
        encode([record]).SerializeToString()
    except Exception:  # noqa: BLE001  # whatever it is, this record cannot be sent
        return False
    return True


def _readable(noted: NotedRecord, resource: Resource) -> ReadableLogRecord:
    file, line, function, thread = noted.place
    attributes: dict[str, Any] = {
        **noted.extras,
        "code.file.path": file,
        "code.function.name": function,
        "code.line.number": line,
        "thread.name": thread,
    }
    attributes.update((_REQUEST[name], value) for name, value in noted.request.items())
    if noted.error is not None:
        attributes["exception.type"], attributes["exception.message"] = noted.error
    if noted.stack:
        attributes["exception.stacktrace"] = noted.stack
    severity, name = next(
        ((number, name) for level, number, name in _SEVERITIES if noted.level >= level),
        (SeverityNumber.TRACE, "TRACE"),
    )
    made = LogRecord(
        timestamp=max(0, int(noted.created * 1e9)),
        observed_timestamp=noted.observed,
        trace_id=noted.span.trace_id if noted.span.is_valid else None,
        span_id=noted.span.span_id if noted.span.is_valid else None,
        trace_flags=noted.span.trace_flags if noted.span.is_valid else None,
        severity_text=name,
        severity_number=severity,
        body=_encodable(noted.message),
        attributes={_encodable(key): _encodable(value) for key, value in attributes.items() if value is not None},
    )
    return ReadableLogRecord(made, resource, InstrumentationScope(_encodable(noted.logger)))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and value.bit_length() > _BITS:
        return str(value)
    return value
