"""The id of a request as Pyramid's requests have it: `request.c2c_request_id`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.request import Request
from pyramid.threadlocal import manager

from c2cotel.config.settings import LogSettings
from c2cotel.instrumentation.pyramid.access_log import count_calls
from c2cotel.logs.record import as_plain
from c2cotel.runtime import request_id
from c2cotel.runtime.flight.entry import ENTRY
from c2cotel.runtime.request_scope import SCOPE, outer_scope
from c2cotel.runtime.telemetry import Telemetry

_ID = "c2c.request_id"
"""Where the environ of a sub-request that was not invoked yet has the id that it was given when it was asked for."""


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Give every request its `c2c_request_id`; returns what takes it away again.

    It is a property of Pyramid's own class, so that sub-requests made by `Request.blank` have it too; a request method
    of Pyramid's would cost each request more than all measuring does.
    """

    def c2c_request_id(self: Request) -> str:
        environ = self.environ
        if SCOPE in environ:
            return str(environ[SCOPE].request_id)
        own_id: str | None = environ.get(_ID)
        if own_id is None:
            own_id = request_id.read(environ, telemetry.request_id_keys) or outer_id()
        if own_id is None:
            own_id = environ[_ID] = telemetry.new_request_id()
        return own_id

    def c2c_keep(self: Request, reason: object = "") -> None:
        """Keep this request in the flight recorder, with the reason; does nothing if that is off."""
        entry = self.environ.get(ENTRY)
        if entry is not None:
            entry.reason = as_plain(reason)

    if telemetry.settings.section(LogSettings).access_log or telemetry.flight is not None:
        telemetry.keep_totals()  # so that calls are measured also where nothing else reads them
        count_calls(telemetry.recorder)
    Request.c2c_request_id = property(c2c_request_id)  # type: ignore[assignment]
    Request.c2c_keep = c2c_keep  # type: ignore[method-assign]

    def undo() -> None:
        del Request.c2c_request_id
        del Request.c2c_keep

    return undo


def outer_id() -> str | None:
    """The id of the request that a sub-request belongs to."""
    if (scope := outer_scope()) is not None:
        return scope.request_id
    outer: Any = manager.stack[0]["request"] if manager.stack else None
    return getattr(outer, "environ", {}).get(_ID)
