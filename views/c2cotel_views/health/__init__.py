"""Whether an application and all it needs works: what load balancers, probes and operators ask.

::

    health_check = HealthCheck(config)
    health_check.add_db_session_check(models.DBSession, at_least_one_model=models.Hello)
    health_check.add_url_check("http://localhost:8080/api/hello")
    health_check.add_custom_check("custom", custom_check, 2)
    health_check.add_alembic_check(models.DBSession, "/app/alembic.ini", 3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel import broadcast
from c2cotel.plugin import ApplicationSettings, StatsdSettings, settings_of, telemetry_of
from c2cotel_views import _versions
from c2cotel_views._auth import is_authorized
from c2cotel_views._json import answer, refusal
from c2cotel_views._parameters import number, words
from c2cotel_views._view import SERVED, View
from c2cotel_views.health._checks import Checks
from c2cotel_views.health._database import Alembic, default_query, engine_check, engine_name, engines
from c2cotel_views.health._results import JsonCheckException
from c2cotel_views.health._services import redis_check, redis_client, url_check, url_name, version_check

__all__ = ["VIEWS", "HealthCheck", "JsonCheckException"]

MAX_LEVEL = number("max_level", "The highest level that is run; 0 runs nothing.", default=1)
CHECKS = words("checks", "Names of the checks to run, separated by commas; all if it is empty.")

_KEY = "c2cotel.health"
_BY_LOAD_BALANCERS = 1
_REDIS_PRIVATE = frozenset({"info"})
"""What a Redis server tells of itself is for those with the secret."""


def _health_check(request: Request) -> Response:
    checks: Checks = request.registry[_KEY]
    max_level, names = MAX_LEVEL(request), CHECKS(request)
    unknown = sorted(set(names) - set(checks.names))
    if unknown and settings_of(request.registry).section(ApplicationSettings).ignore_unknown_checks:
        names = tuple(name for name in names if name in checks.names)
        if not names:  # nothing, and not everything
            max_level = 0
    elif unknown:
        raise refusal(HTTPBadRequest, f"checks={','.join(unknown)!r}: expected some of {', '.join(checks.names)}")
    return _report(request, max_level, names)


def _ready(request: Request) -> Response:
    return _report(request, _BY_LOAD_BALANCERS, ())


def _report(request: Request, max_level: int, names: tuple[str, ...]) -> Response:
    settings = settings_of(request.registry).section(ApplicationSettings)
    details = settings.development or is_authorized(request)
    report = request.registry[_KEY].run(request, max_level, names, details=details)
    response = answer(report, request)
    response.status_int = report["status"]
    return response


VIEWS = (
    View(
        path="/health_check",
        route="c2c_health_check",
        enabled=lambda _: False,
        view=_health_check,
        title="Health checks",
        doc="Whether all that the application needs works; present if the application creates a `HealthCheck`.",
        parameters=(MAX_LEVEL, CHECKS),
    ),
    View(
        path="/live",
        route="c2c_live",
        enabled=lambda _: False,
        view=lambda _: {"status": 200},
        title="Liveness",
        doc="200 while the process answers; present if the application creates a `HealthCheck`.",
    ),
    View(
        path="/ready",
        route="c2c_ready",
        enabled=lambda _: False,
        view=_ready,
        title="Readiness",
        doc="The health checks of level 1; present if the application creates a `HealthCheck`.",
    ),
)
"""The views that the first `HealthCheck` of an application registers; no setting does."""


class HealthCheck:
    """The health checks of an application, at `{base path}/health_check`, and `/live` and `/ready` beside it.

    Levels: 1 is for what the service cannot do without, and what load balancers ask; 2 and above as you like. Each
    check has `C2C_HEALTH_TIMEOUT` seconds. If Redis is configured, it is checked (level 2) and, where there is a
    versions file, that all instances run the same version.

    A second one for the same configurator adds to the first.

    Args:
        config: of the application; `c2cotel.setup` is called with it if it was not yet.
    """

    def __init__(self, config: Any) -> None:
        registry = config.registry
        if "c2cotel.settings" not in registry:
            c2cotel.setup(config)
        settings = settings_of(registry)
        self._settings: ApplicationSettings = settings.section(ApplicationSettings)
        telemetry = telemetry_of(registry)
        self._tagged: bool = telemetry.settings.section(StatsdSettings).use_tags
        if _KEY in registry:
            self._checks: Checks = registry[_KEY]
            return
        self._checks = registry[_KEY] = Checks(self._settings.health_timeout, telemetry.tracer)
        telemetry.observe(self._checks.observe)
        for row in VIEWS:
            row.add(config, settings, self._settings.base_path)
        registry.setdefault(SERVED, []).extend(VIEWS)
        if (store := broadcast.store()) is not None:
            self._checks.add(store.name, 2, redis_check(store.client), private=_REDIS_PRIVATE)
            if _versions.read(self._settings.versions_path) is not None:
                self.add_version_check()

    def add_db_session_check(
        self,
        session: Any,
        query_cb: Callable[[Any], Any] | None = None,
        at_least_one_model: Any = None,
        level: int = 1,
    ) -> None:
        """Check that each engine of a session answers; one check for each, `db_engine_{name}`.

        Args:
            session: a `Session`, `sessionmaker` or `scoped_session` of SQLAlchemy, or what `c2cotel.db` makes.
            query_cb: takes a session that uses the engine to check, and raises if something is wrong.
            at_least_one_model: without `query_cb`: a model of which there must be a record; without both, the database
                only has to answer.
            level: from which on it is run.

        Raises:
            TypeError: the session is none, or not bound.
        """
        query = query_cb or default_query(at_least_one_model)
        for engine in engines(session, at_least_one_model):
            check = engine_check(session, engine, query, tagged=self._tagged)
            self._checks.add(f"db_engine_{engine_name(engine)}", level, check)

    def add_url_check(
        self,
        url: Any,
        params: Any = None,
        headers: Any = None,
        name: str | None = None,
        check_cb: Callable[[Any, Any], Any] = lambda _request, _response: None,
        timeout: float = 3,
        level: int = 1,
    ) -> None:
        """Check that a URL answers with success to a GET.

        Args:
            url: of the service, or a function that takes the request and returns it.
            params: of the query, or such a function.
            headers: to send, or such a function; the request's id is sent in any case.
            name: of the check; the URL without passwords, or the function's name, if None.
            check_cb: takes request and response; raises if something is wrong, else returns the result to show.
            timeout: seconds.
            level: from which on it is run.
        """
        check = url_check(url, params, headers, check_cb, timeout)
        self._checks.add(url_name(url) if name is None else name, level, check)

    def add_redis_check(self, url: str, name: str | None = None, level: int = 1) -> None:
        """Check that a Redis server answers; the result is `{"info", "dbsize"}`.

        Args:
            url: of the server.
            name: of the check; the URL without password, if None.
            level: from which on it is run.

        Raises:
            SettingsError: the URL cannot be used.
        """
        check = redis_check(redis_client(url))
        self._checks.add(url_name(url) if name is None else name, level, check, private=_REDIS_PRIVATE)

    def add_version_check(self, name: str = "version", level: int = 2) -> None:
        """Check that all instances of this service run the same version; the result is the git hash.

        Args:
            name: of the check.
            level: from which on it is run.

        Raises:
            SettingsError: there is no versions file, or it has no git hash.
        """
        git_hash = _versions.git_hash(self._settings.versions_path)
        # The others have to answer before this check itself is late.
        self._checks.add(name, level, version_check(git_hash, self._settings.health_timeout / 2))

    def add_custom_check(self, name: str, check_cb: Callable[[Any], Any], level: int = 1) -> None:
        """Check whatever a function checks; such checks run one after another.

        Args:
            name: of the check.
            check_cb: takes a request; raises if something is wrong, else returns the result to show. The request is a
                copy of the one that asks, with a transaction of its own that is always aborted.
            level: from which on it is run.
        """
        self._checks.add(name, level, check_cb, alone=True)

    def add_alembic_check(
        self,
        session: Any,
        alembic_ini_path: str,
        level: int = 2,
        name: str = "alembic",
        version_schema: str | None = None,
        version_table: str | None = None,
    ) -> None:
        """Check that the database has the schema of the code, as alembic tells; the result is the revision.

        Args:
            session: as of `add_db_session_check`; each of its engines is looked at.
            alembic_ini_path: of the ini file.
            level: from which on it is run.
            name: the section of the ini, and the end of the check's name; without such a section, ``alembic`` is read.
            version_schema: of the table with the revision; the ini's, if None.
            version_table: with the revision; the ini's, if None.

        Raises:
            SettingsError: the ini cannot be used.
        """
        path = str(alembic_ini_path)
        check = Alembic(path, name, version_schema, version_table).check(session, path, tagged=self._tagged)
        self._checks.add(f"alembic_{path.replace('/', '_').strip('_')}_{name}", level, check)
