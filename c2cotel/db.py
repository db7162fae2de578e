"""Database sessions that write to a master and read from its replica, joined to the transaction of `pyramid_tm`.

::

    DBSession, rw_engine, ro_engine = setup_session(config, "sqlalchemy", "sqlalchemy_slave")

A session chooses its engine itself, once for each transaction, by the request of its thread: nothing that two threads
share is ever changed. A request counts while `pyramid_tm` works for it; everything else (scripts, also those that
`pyramid.paster.bootstrap` gives a request to, and what runs after the response is made) uses the master.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.threadlocal import manager as threadlocals

from c2cotel import redaction
from c2cotel.errors import SettingsError

try:
    import pyramid_tm
    import transaction
    from sqlalchemy import URL, Connection, Engine, engine_from_config, event, make_url
    from sqlalchemy.exc import ArgumentError
    from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker
    from zope.sqlalchemy import register
except ImportError as error:
    raise ImportError(
        f"c2cotel.db needs SQLAlchemy, pyramid_tm and zope.sqlalchemy: pip install 'c2cotel[sqlalchemy]' ({error})",
        name=error.name,
    ) from error

_logger = logging.getLogger(__name__)

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MANAGED = ("tm.active", "repoze.tm.active")
_ENGINE = "c2cotel.engine"
_REFUSED = (ArgumentError, ImportError, TypeError, ValueError)
_URL_FORM = "a URL such as postgresql+psycopg2://user:password@host:5432/database"

Regexes = Iterable[str | re.Pattern[str]] | None


def setup_session(
    config: Configurator,
    master_prefix: str,
    slave_prefix: str | None = None,
    force_master: Regexes = None,
    force_slave: Regexes = None,
) -> tuple[ScopedSession, Engine, Engine]:
    """A session whose engines are described by the ini settings of the application.

    `{prefix}.url` and the other `{prefix}.*` are the arguments of `sqlalchemy.create_engine`, as text. The slave is the
    master when there is no `slave_prefix`, or when its URL is unset, empty or the master's.

    Args:
        config: of the application; `pyramid_tm` is included in it.
        master_prefix: of the settings of the engine that writes, and that engine's `c2c_name`.
        slave_prefix: of the settings of the engine that reads, and that engine's `c2c_name`.
        force_master: see `create_session`.
        force_slave: see `create_session`.

    Returns:
        The scoped session, the master's engine, the slave's engine.

    Raises:
        SettingsError: a setting is missing or cannot be used; names it.
    """
    settings = config.registry.settings
    master = _prefixed(settings, master_prefix)
    if not master.get("url"):
        raise SettingsError(f"{master_prefix}.url is not set: expected {_URL_FORM}")
    rw = ro = _engine(master_prefix, f"{master_prefix}.", master)
    if slave_prefix is not None:
        slave = _prefixed(settings, slave_prefix)
        if not slave.get("url"):
            _logger.info("%s.url is not set: %s is used for reading too", slave_prefix, master_prefix)
        elif _url(f"{slave_prefix}.url", slave["url"]) != rw.url:
            ro = _engine(slave_prefix, f"{slave_prefix}.", slave)
    return _session(config, rw, ro, force_master, force_slave), rw, ro


def create_session(
    config: Configurator | None,
    name: str,
    url: str | URL,
    slave_url: str | URL | None = None,
    force_master: Regexes = None,
    force_slave: Regexes = None,
    **engine_config: Any,
) -> ScopedSession:
    """A session for one or two database URLs.

    Args:
        config: of the application; `pyramid_tm` is included in it. Without one, only the master is used.
        name: of the engine; with a slave, the two are `{name}_master` and `{name}_slave`.
        url: of the database that takes writes.
        slave_url: of its replica; the master's or none: the master is used for reading too.
        force_master: regular expressions; a request uses the master if the start of its ``"{VERB} {PATH}"`` matches one
            of them. PATH is the URL's as the client sees it, percent-encoded: with `route_prefix` and the path
            that the application is mounted at, without query.
        force_slave: the same for the slave; `force_master` wins.
        engine_config: further arguments of `sqlalchemy.create_engine`, for both engines.

    Raises:
        SettingsError: an argument cannot be used; names it.
    """
    split = config is not None and bool(slave_url) and _url("slave_url", slave_url) != _url("url", url)
    rw = ro = _engine(f"{name}_master" if split else name, "", {**engine_config, "url": url})
    if split:
        ro = _engine(f"{name}_slave", "slave_", {**engine_config, "url": slave_url})
    return _session(config, rw, ro, force_master, force_slave)


@dataclass(frozen=True, slots=True)
class Router:
    """Which of two engines a request uses.

    Attributes:
        rw: the master's engine.
        ro: the slave's engine, or the master's.
        force_master: where the master is used even for reading.
        force_slave: where the slave is used whatever the verb.
    """

    rw: Engine
    ro: Engine
    force_master: tuple[re.Pattern[str], ...]
    force_slave: tuple[re.Pattern[str], ...]

    def engine(self) -> Engine:
        """The engine for a transaction that begins now.

        A sub-request may share the transaction of the request around it: the slave serves only where all may use it.
        """
        if self.rw is self.ro:
            return self.rw
        managed = False
        for frame in threadlocals.stack:
            request: Request | None = frame.get("request")
            if request is not None:
                if not self._may_use_slave(request):
                    return self.rw
                managed = managed or any(mark in request.environ for mark in _MANAGED)
        return self.ro if managed else self.rw

    def _may_use_slave(self, request: Request) -> bool:
        reads = request.method in _READS
        if not self.force_master and not self.force_slave:
            return reads
        try:
            asked = f"{request.method} {request.path}"
        except UnicodeDecodeError:  # Pyramid answers such a path with an error; its view may still use the session
            return False
        if any(regex.match(asked) for regex in self.force_master):
            return False
        return reads or any(regex.match(asked) for regex in self.force_slave)


class RoutedSession(Session):
    """A session that chooses its engine for each transaction.

    An engine given to a statement (`bind_arguments`) or to the session (`session.bind`) comes first.

    Args:
        router: chooses.
        options: of SQLAlchemy's `Session`.

    Attributes:
        c2c_rw_bind: the master's engine.
        c2c_ro_bind: the slave's engine, or the master's.
    """

    def __init__(self, *, router: Router, **options: Any) -> None:
        super().__init__(**options)
        self._router = router
        self.c2c_rw_bind = router.rw
        self.c2c_ro_bind = router.ro

    def get_bind(self, mapper: Any = None, *, bind: Any = None, **rest: Any) -> Engine | Connection:
        """The engine of the transaction, or the one that a transaction would get now."""
        if bind is None and self.bind is None:
            bind = self.info.get(_ENGINE) or self._router.engine()
        return super().get_bind(mapper, bind=bind, **rest)


class ScopedSession(scoped_session[RoutedSession]):
    """A session for each thread, used as if it were one.

    Args:
        router: chooses between the engines.

    Attributes:
        c2c_rw_bind: the master's engine.
        c2c_ro_bind: the slave's engine, or the master's.
    """

    def __init__(self, router: Router) -> None:
        super().__init__(sessionmaker(class_=RoutedSession, router=router))
        self.c2c_rw_bind = router.rw
        self.c2c_ro_bind = router.ro


class _Transactions:
    """Stands for the transaction manager that is in charge where a session joins.

    That is the thread's, unless `tm.manager_hook` gives each request its own. `pyramid_tm` keeps it as `request.tm`,
    and still does while it commits, when the environ does not name it any more.
    """

    def get(self) -> Any:
        for frame in reversed(threadlocals.stack):
            used = getattr(frame.get("request"), "__dict__", {}).get("tm")
            if used is not None:
                return used.get()
        return transaction.manager.get()


def _session(
    config: Configurator | None, rw: Engine, ro: Engine, force_master: Regexes, force_slave: Regexes
) -> ScopedSession:
    router = Router(rw, ro, _compiled("force_master", force_master), _compiled("force_slave", force_slave))
    if config is not None:
        config.include(pyramid_tm)  # Pyramid includes the same thing once
    session = ScopedSession(router)
    event.listen(session, "after_begin", _keep_engine)
    event.listen(session, "after_transaction_end", _forget_engine)
    register(session, transaction_manager=_Transactions())
    return session


def _keep_engine(session: RoutedSession, _: SessionTransaction, connection: Connection) -> None:
    """Let the rest of the transaction use the engine of its first connection."""
    if connection.engine in (session.c2c_rw_bind, session.c2c_ro_bind):
        session.info.setdefault(_ENGINE, connection.engine)


def _forget_engine(session: RoutedSession, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(_ENGINE, None)


def _prefixed(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The settings below a prefix, not those of a longer prefix that begins alike."""
    options = {
        name.removeprefix(f"{prefix}."): value for name, value in settings.items() if name.startswith(f"{prefix}.")
    }
    return {name: value for name, value in options.items() if "." not in name}


def _engine(name: str, place: str, arguments: Mapping[str, Any]) -> Engine:
    url = _url(f"{place}url", arguments["url"])
    options = {key: value for key, value in arguments.items() if key != "url"}
    try:
        engine = engine_from_config({**options, "url": url}, prefix="")
    except _REFUSED as error:
        raise SettingsError(f"{_culprit(place, url, options)}: {redaction.anywhere(str(error))}") from error
    engine.c2c_name = name  # type: ignore[attr-defined]  # read by the health checks and the metrics
    return engine


def _culprit(place: str, url: URL, options: Mapping[str, Any]) -> str:
    """What SQLAlchemy, which does not say it, refuses: engines are cheap until they connect."""
    for tried in ({}, *({key: value} for key, value in options.items())):
        try:
            engine_from_config({**tried, "url": url}, prefix="")
        except _REFUSED:
            key, value = next(iter(tried.items()), ("url", url.render_as_string(hide_password=True)))
            # These may hold a password in any form.
            value = redaction.HIDDEN if key == "connect_args" else value
            return redaction.anywhere(f"{place}{key}={value}")
    return f"{place}*"


def _url(setting: str, text: Any) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # Not a URL, so nobody knows where in it the password ends.
        shown = redaction.anywhere(re.sub(r":.*@", f":{redaction.HIDDEN}@", str(text), flags=re.DOTALL))
        raise SettingsError(f"{setting}={shown!r}: expected {_URL_FORM}") from None


def _compiled(argument: str, regexes: Regexes) -> tuple[re.Pattern[str], ...]:
    if isinstance(regexes, str):
        raise SettingsError(f"{argument}={regexes!r}: expected a list of regular expressions")
    compiled = []
    for regex in regexes or ():
        try:
            compiled.append(re.compile(regex))
        except re.error as error:
            raise SettingsError(f"{argument}={regex!r}: expected a regular expression: {error}") from None
    return tuple(compiled)
