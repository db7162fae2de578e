"""Requests that a token asks everything of: traced, exported and kept, with quiet log records, plans and a profile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from pyramid.request import Request

from c2cotel import broadcast
from c2cotel.config.settings import ApplicationSettings
from c2cotel.delivery.guard import Guard
from c2cotel.host.directory import StateFolder
from c2cotel.runtime.flight import tokens
from c2cotel.runtime.flight.entry import Entry, local_now
from c2cotel.runtime.flight.stalls import Samples

_logger = logging.getLogger(__name__)

REASON = "asked for by a token"
_FOLDER = "tokens"


class Verbose:
    """Takes tokens.

    Args:
        folder: The folder of the service, where uses are counted.

    Attributes:
        when: Called before each request that a token asks everything of.
    """

    def __init__(self, folder: StateFolder) -> None:
        self.when: list[Callable[[], object]] = []
        self._folder = folder
        self._guard = Guard(_logger, "A token could not be looked at")

    def is_asked_for(self, environ: Mapping[str, Any], router: Any) -> bool:
        """Whether a request brings a token that is good for it; that is a use of it.

        Args:
            environ: The WSGI environ.
            router: Pyramid's, which knows the routes and the settings of its application.
        """
        with self._guard:
            secret = _secret(router)
            token = tokens.read(secret, environ[tokens.ENVIRON_KEY]) if secret else None
            if token is None or (token.route and token.route != _route(environ, router)):
                return False
            if tokens.use(token, self._folder.below(_FOLDER), broadcast.store()):
                for act in self.when:
                    act()
                return True
        return False

    def mark(self, entry: Entry, router: Any) -> None:
        """Note that everything is wanted of a request."""
        entry.is_verbose = True
        entry.reason = REASON
        entry.samples = Samples()
        if (secret := _secret(router)) is not None:
            entry.onward = tokens.onward(secret)


def verbose_request() -> Entry | None:
    """The current request, if everything is wanted of it."""
    local = local_now()
    owner = None if local is None else local.owner
    return owner if isinstance(owner, Entry) and owner.is_verbose else None


def _secret(router: Any) -> str | None:
    secret: str | None = router.registry["c2cotel.settings"].section(ApplicationSettings).secret
    return secret


def _route(environ: Mapping[str, Any], router: Any) -> str | None:
    """Name of the route that a request will have; None if it matches none."""
    request = Request(dict(environ))
    request.registry = router.registry
    route = router.routes_mapper(request)["route"]
    return None if route is None else str(route.name)
