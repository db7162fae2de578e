"""One row of the table of views, and how it becomes a route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from c2cotel.settings import Settings


@dataclass(frozen=True)
class View:
    """A view under the base path.

    Attributes:
        path: below the base path.
        route: its name, also on the statsd wire.
        enabled: whether the settings turn it on.
        view: gives what becomes the JSON of the answer.
    """

    path: str
    route: str
    enabled: Callable[[Settings], bool]
    view: Callable[[Request], Any]

    def add(self, config: Any, base_path: str) -> None:
        """Register route and view, outside of any `route_prefix` of the application."""
        prefix, config.route_prefix = config.route_prefix, None
        try:
            config.add_route(self.route, base_path + self.path, request_method="GET")
        finally:
            config.route_prefix = prefix
        # Not the application's default permission: what a view protects is said in its row.
        config.add_view(self._answer, route_name=self.route, http_cache=0, permission=NO_PERMISSION_REQUIRED)

    def _answer(self, context: Any, request: Request) -> Response:
        return Response(
            orjson.dumps(self.view(request), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS),
            content_type="application/json",
            charset="UTF-8",
        )


def flag(request: Request, name: str) -> bool:
    """A query parameter that is ``1`` or ``0``; 0 when missing.

    Raises:
        HTTPBadRequest: anything else.
    """
    try:
        text = request.params.get(name, "0")
    except UnicodeDecodeError as error:
        raise HTTPBadRequest(f"The query string is not UTF-8: {error}") from None
    if text not in ("0", "1"):
        raise HTTPBadRequest(f"{name}={text!r}: expected 1 or 0")
    return bool(int(text))
