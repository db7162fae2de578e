"""The series of a request, found by one dictionary look-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.request import Request

from c2cotel.instrumentation.pyramid.server_timing import description
from c2cotel.metrics.instruments import RENDER, ROUTE, ROUTE_NAME
from c2cotel.metrics.recorder import Recorder
from c2cotel.otel.http import OTHER_VERB, VERBS

NO_ROUTE = "_not_found"
"""The name of the route where none matched."""


class Row:
    """What all requests with one outcome share."""

    __slots__ = ("desc", "render", "route")

    def __init__(self, recorder: Recorder, attributes: dict[str, Any]) -> None:
        self.route = recorder.series(ROUTE, attributes)
        self.render = recorder.series(RENDER, attributes)
        self.desc = description(attributes[ROUTE_NAME])


class Rows:
    """Finds the row of a request by one dictionary look-up.

    Attributes:
        by_outcome: Rows by verb, route, status and scheme; those of the server's failures are only had by `find`.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.by_outcome: dict[tuple[Any, ...], Row] = {}
        self._recorder = recorder
        self._failures: dict[tuple[Any, ...], Row] = {}

    def find(
        self, environ: Mapping[str, Any], request: Request | None, status: str, error: BaseException | None
    ) -> Row:
        """The row of any request, made when new; failures of the server have one for each type of error.

        Args:
            environ: The WSGI environ of the request.
            request: Pyramid's request; None if an execution policy answered without one.
            status: Status line of the answer.
            error: What was raised.
        """
        route = None if request is None else request.matched_route
        verb = environ["REQUEST_METHOD"]
        key = (verb if verb in VERBS else OTHER_VERB, route, status, environ["wsgi.url_scheme"])
        if status < "5":
            return self.by_outcome.get(key) or self._make(self.by_outcome, key, *key, None)
        failure = status[:3] if error is None else type(error).__qualname__
        return self._failures.get((*key, failure)) or self._make(self._failures, (*key, failure), *key, failure)

    def _make(
        self,
        rows: dict[tuple[Any, ...], Row],
        key: tuple[Any, ...],
        verb: str,
        route: Any,
        status: str,
        scheme: str,
        failure: str | None,
    ) -> Row:
        attributes = {
            "http.request.method": verb,
            "http.response.status_code": int(status.split(" ", 1)[0]),
            "url.scheme": scheme,
            ROUTE_NAME: NO_ROUTE if route is None else route.name or NO_ROUTE,
        }
        if route is not None:
            attributes["http.route"] = route.pattern
        if failure is not None:
            attributes["error.type"] = failure
        row = Row(self._recorder, attributes)
        if len(rows) < self._recorder.max_series:
            rows[key] = row
        return row
