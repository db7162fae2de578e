"""One row of the table of views, and how it becomes a route and a guarded view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyramid.config import PHASE3_CONFIG
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPForbidden, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from c2cotel import broadcast
from c2cotel.plugin import ApplicationSettings, Settings, Telemetry, settings_of
from c2cotel_views._auth import OLD_SECRET, is_authorized, login_address, may_change
from c2cotel_views._json import answer, refusal
from c2cotel_views._parameters import Parameter

SERVED = "c2cotel.views"
"""Where an application's registry has the rows that it serves."""


def _none(_: ApplicationSettings) -> None:
    return None


@dataclass(frozen=True)
class View:
    """A view; its route, its guard, its entry in the index and its place in the documentation follow from this row.

    Attributes:
        path: below the base path; may hold a pattern, as ``/debug/memory_diff/{path:.*}``.
        route: its name, also on the statsd wire.
        enabled: whether the settings turn it on.
        view: gives what becomes the JSON of the answer, or a response of another kind.
        title: what the index calls it; without one, it is not listed there.
        doc: what it does, in one sentence of Markdown.
        parameters: what the view reads from the request.
        protected: whether it needs the secret or a session of the index; without `C2C_SECRET` it is not there.
        changes_state: whether a request would change something: it then needs the secret itself, or a POST with the
            session's token. None when no request does.
        old_secret: The deprecated setting that turns the view on and opens it, beside `C2C_SECRET`.
        at: the path from the application's root, for a view that is not below the base path; `path` is then what the
            documentation shows.
        page: whether a browser gets a page of its own, which the index links to instead of showing a form.
        navigation: What the navigation of our pages calls it; without that, it is not listed there.
        channels: Broadcast channels that the view needs served in every process, with their handlers.
        install: What the view needs beside that; returns what takes it out again.
    """

    path: str
    route: str
    enabled: Callable[[Settings], bool]
    view: Callable[[Request], Any]
    title: str = ""
    doc: str = ""
    parameters: tuple[Parameter[Any], ...] = ()
    protected: bool = False
    changes_state: Callable[[Request], bool] | None = None
    old_secret: Callable[[ApplicationSettings], str | None] = _none
    at: Callable[[Settings], str] | None = None
    page: bool = False
    navigation: str = ""
    channels: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    install: Callable[[Telemetry], Callable[[], None]] | None = None

    def add(self, config: Any, settings: Settings, base_path: str) -> None:
        """Register route and view, inside of the application's `route_prefix` unless the view is `at` its root."""
        pattern = base_path + self.path if self.at is None else self.at(settings)
        # GET brings HEAD along.
        methods = ("GET",) if self.changes_state is None else ("GET", "POST")
        prefix = config.route_prefix
        if self.at is not None:
            config.route_prefix = None
        try:
            config.add_route(self.route, pattern, request_method=methods)
        finally:
            config.route_prefix = prefix
        whole = f"/{prefix.strip('/')}{pattern}" if prefix and self.at is None else pattern
        config.action(None, lambda: self._refuse_namesake(config, whole), order=PHASE3_CONFIG + 90)
        config.add_view(
            self._answer,
            route_name=self.route,
            http_cache=0,
            # Not the application's default permission and not its CSRF token: what protects a view is in its row.
            permission=NO_PERMISSION_REQUIRED,
            require_csrf=False,
        )

    def _refuse_namesake(self, config: Any, pattern: str) -> None:
        """Refuse a route of the application that has taken the place of this one.

        Raises:
            ConfigurationError: there is one; names both.
        """
        route = config.get_routes_mapper().get_route(self.route)
        if route is not None and route.pattern.strip("/") != pattern.strip("/"):
            raise ConfigurationError(
                f"The route {self.route!r} of c2cotel, {pattern}, has the name of a route of the application, "
                f"{route.pattern}: give that one another name"
            )

    def served(self, settings: ApplicationSettings) -> bool:
        """Whether it is there, once it is turned on."""
        return not self.protected or bool(settings.secret or self.old_secret(settings))

    def serve_channels(self, _: Telemetry) -> Callable[[], None]:
        """Let this process serve the channels; returns what ends that."""
        for channel, handler in self.channels.items():
            broadcast.subscribe(channel, handler)

        def undo() -> None:
            for channel in self.channels:
                broadcast.unsubscribe(channel)

        return undo

    def _answer(self, context: Any, request: Request) -> Response:
        request.environ[OLD_SECRET] = self.old_secret(settings_of(request.registry).section(ApplicationSettings))
        if self.protected and not is_authorized(request):
            if (login := login_address(request)) is not None:
                return HTTPSeeOther(login)
            raise refusal(HTTPForbidden, "Missing or wrong secret, expected as X-API-Key or as the parameter secret")
        if self.changes_state is not None and self.changes_state(request) and not may_change(request):
            raise refusal(HTTPForbidden, "A change needs the secret itself, or a POST with the token of the session")
        result = self.view(request)
        return result if isinstance(result, Response) else answer(result, request)
