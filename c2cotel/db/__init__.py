"""Database sessions that write to a master and read from its replica, joined to the transaction of `pyramid_tm`.

::

    DBSession, rw_engine, ro_engine = setup_session(config, "sqlalchemy", "sqlalchemy_slave")

or, for a session of each request, `request.dbsession`::

    init(config, "sqlalchemy", "sqlalchemy_slave")

A session chooses its engine itself, once for each transaction, by the request of its thread: nothing that two threads
share is ever changed. A request counts while `pyramid_tm` works for it; everything else (scripts, also those that
`pyramid.paster.bootstrap` gives a request to, and what runs after the response is made) uses the master.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator

from c2cotel.errors import SettingsError

try:
    from sqlalchemy import URL, Engine
    from sqlalchemy.orm import Session, sessionmaker

    from c2cotel.db._engines import URL_FORM, make_engine, parse_url, prefixed
    from c2cotel.db._requests import RoutedSessions, add_dbsession, join
    from c2cotel.db._sessions import Regexes, Router, ScopedSession, compiled, scoped
except ImportError as error:
    raise ImportError(
        f"c2cotel.db needs SQLAlchemy, pyramid_tm and zope.sqlalchemy: pip install 'c2cotel[sqlalchemy]' ({error})",
        name=error.name,
    ) from error

__all__ = [
    "ScopedSession",
    "create_session",
    "get_engine",
    "get_session_factory",
    "get_tm_session",
    "init",
    "setup_session",
]

_logger = logging.getLogger(__name__)


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
    rw, ro = _engines(config.registry.settings, master_prefix, slave_prefix)
    return scoped(config, _router(rw, ro, force_master, force_slave)), rw, ro


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
    split = config is not None and bool(slave_url) and parse_url("slave_url", slave_url) != parse_url("url", url)
    rw = ro = make_engine(f"{name}_master" if split else name, "", {**engine_config, "url": url})
    if split:
        ro = make_engine(f"{name}_slave", "slave_", {**engine_config, "url": slave_url})
    return scoped(config, _router(rw, ro, force_master, force_slave))


def init(
    config: Configurator,
    master_prefix: str,
    slave_prefix: str | None = None,
    force_master: Regexes = None,
    force_slave: Regexes = None,
) -> RoutedSessions:
    """Give every request a session, `request.dbsession`, which ends with the transaction of the request.

    In a test, a session in the environ, as `app.dbsession`, takes its place.

    Args:
        config: of the application; `pyramid_tm` is included in it.
        master_prefix: see `setup_session`.
        slave_prefix: see `setup_session`.
        force_master: see `create_session`.
        force_slave: see `create_session`.

    Returns:
        What makes the sessions, also for `HealthCheck.add_db_session_check` and `get_tm_session`; the registry has it
        as `dbsession_factory`.

    Raises:
        SettingsError: a setting is missing or cannot be used; names it.
    """
    rw, ro = _engines(config.registry.settings, master_prefix, slave_prefix)
    factory = RoutedSessions(_router(rw, ro, force_master, force_slave))
    add_dbsession(config, factory)
    return factory


def get_engine(settings: Mapping[str, Any], prefix: str = "sqlalchemy.") -> Engine:
    """The engine that the settings with a prefix describe.

    Args:
        settings: of the application.
        prefix: of the settings, with its dot.

    Raises:
        SettingsError: a setting is missing or cannot be used; names it.
    """
    return _engine_of(settings, prefix.rstrip("."))


def get_session_factory(engine: Engine) -> sessionmaker[Session]:
    """What makes sessions of one engine.

    Args:
        engine: that all of them use.
    """
    return sessionmaker(bind=engine)


def get_tm_session(session_factory: sessionmaker[Any], transaction_manager: Any) -> Any:
    """A session that ends with the transactions of a manager.

    Args:
        session_factory: of `init` or `get_session_factory`.
        transaction_manager: such as `transaction.manager`, in a script: ``with transaction.manager: ...``.
    """
    return join(session_factory(), transaction_manager)


def _engines(settings: Mapping[str, Any], master_prefix: str, slave_prefix: str | None) -> tuple[Engine, Engine]:
    rw = ro = _engine_of(settings, master_prefix)
    if slave_prefix is not None:
        slave = prefixed(settings, slave_prefix)
        if not slave.get("url"):
            _logger.info("%s.url is not set: %s is used for reading too", slave_prefix, master_prefix)
        elif parse_url(f"{slave_prefix}.url", slave["url"]) != rw.url:
            ro = make_engine(slave_prefix, f"{slave_prefix}.", slave)
    return rw, ro


def _engine_of(settings: Mapping[str, Any], prefix: str) -> Engine:
    options = prefixed(settings, prefix)
    if not options.get("url"):
        raise SettingsError(f"{prefix}.url is not set: expected {URL_FORM}")
    return make_engine(prefix, f"{prefix}.", options)


def _router(rw: Engine, ro: Engine, force_master: Regexes, force_slave: Regexes) -> Router:
    return Router(rw, ro, compiled("force_master", force_master), compiled("force_slave", force_slave))
