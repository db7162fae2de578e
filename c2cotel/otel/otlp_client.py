"""The client under the official OTLP/HTTP exporters: what counts as taken, and what is worth another try.

The official one takes a redirect for success, ignores what a collector rejects of a batch, reads answers without end
and measures its deadline by a clock that may be set back.
https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

import gzip
import http.client
import logging
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import orjson

_RETRYABLE = frozenset({408, 429, 502, 503, 504})
_LONGEST_PAUSE = 300.0
"""Seconds that a collector's `Retry-After` may hold back the next try."""
_MESSAGES = {"spans": ("trace", "Trace"), "metrics": ("metrics", "Metrics"), "logs": ("logs", "Logs")}
_REJECTED = {"spans": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}

_logger = logging.getLogger(__name__)


class Sender(Protocol):
    """Posts bodies; see `c2cotel.delivery.http.HttpSender`."""

    def post(self, body: bytes, timeout: float) -> Any:
        """Post a body within some seconds."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The outcome of one export, as the official exporters read it."""

    success: bool
    status_code: int | None
    reason: str | None
    error: Exception | None


class OtlpClient:
    """Sends encoded batches to one endpoint.

    Args:
        sender: Posts them.
        kind: ``spans``, ``metrics`` or ``logs``.
        timeout: Seconds for one batch.
        compression: ``gzip``, ``deflate`` or ``none``.
        logger: Hears of failures.
        clock: Monotonic seconds.

    Attributes:
        may_try_again: Whether the last failure may pass by itself, so that its batch is worth keeping.
        asked: Number of batches that it was given.
    """

    def __init__(
        self,
        sender: Sender,
        kind: str,
        timeout: float,
        compression: str,
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._kind = kind
        self._timeout = timeout
        self._compression = compression
        self._logger = logger
        self._clock = clock
        self._not_before = 0.0
        self._rejections: set[str] = set()
        self._ended = False
        self.may_try_again = False
        self.asked = 0

    def export(self, data: bytes) -> ExportResult:
        """Send a batch, once; the outcome says whether the collector took it."""
        self.asked += 1
        self.may_try_again = True
        if self._clock() < self._not_before:
            return self._failed(None, "the collector asked to wait", None)
        try:
            answer = self._sender.post(self._compressed(data), self._timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return self._failed(None, f"{type(error).__name__}: {error}", error)
        finally:
            if self._ended:  # while it was sending
                self._sender.close()
        if 200 <= answer.status < 300:  # noqa: PLR2004  # taken
            self.may_try_again = False
            self._look_at_rejections(answer.body)
            return ExportResult(True, answer.status, answer.reason, None)
        self.may_try_again = answer.status in _RETRYABLE
        reason = answer.reason
        if 300 <= answer.status < 400:  # noqa: PLR2004  # a redirect, which POST does not follow
            reason = f"redirects to {answer.headers.get('location', 'nowhere')}, where nothing is sent"
        if self.may_try_again:
            self._not_before = self._clock() + _pause(answer.headers.get("retry-after"))
        return self._failed(answer.status, reason, None)

    def shutdown(self) -> None:
        """Close the connection, or have the export that may be running close it."""
        self._ended = True
        self._sender.close()

    def _failed(self, status: int | None, reason: str, error: Exception | None) -> ExportResult:
        shown = f"{status} {reason}" if status is not None else reason
        self._logger.error("Failed to export %s: %s", self._kind, shown)
        return ExportResult(False, status, reason, error)

    def _compressed(self, data: bytes) -> bytes:
        if self._compression == "gzip":
            return gzip.compress(data, compresslevel=6, mtime=0)
        return zlib.compress(data) if self._compression == "deflate" else data

    def _look_at_rejections(self, body: bytes) -> None:
        """Log what a collector says about a part of a batch that it did not take, once a reason."""
        if not body:
            return
        try:
            rejected, reason = _json_rejections(body) if body[:1] == b"{" else self._rejections_in(body)
        except Exception:  # noqa: BLE001  # HTML or anything else: the status says that it was taken
            return
        if (rejected or reason) and reason not in self._rejections:
            if len(self._rejections) < 100:  # noqa: PLR2004  # each may have a number in it
                self._rejections.add(reason)
            _logger.warning(
                "The collector rejected %d %s of a batch: %s (logged once a reason)",
                rejected,
                self._kind,
                reason or "no reason given",
            )

    def _rejections_in(self, body: bytes) -> tuple[int, str]:
        package, name = _MESSAGES[self._kind]
        module = import_module(f"opentelemetry.proto.collector.{package}.v1.{package}_service_pb2")
        partial = getattr(module, f"Export{name}ServiceResponse").FromString(body).partial_success
        return getattr(partial, _REJECTED[self._kind]), partial.error_message


def _json_rejections(body: bytes) -> tuple[int, str]:
    partial = orjson.loads(body).get("partialSuccess") or {}
    rejected = [int(number) for name, number in partial.items() if name.startswith("rejected")]
    return sum(rejected), str(partial.get("errorMessage", ""))


def _pause(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 0), 0.0), _LONGEST_PAUSE)
    except ValueError:  # a date
        return 0.0
