"""Sessions that choose their engine by the request of their thread, once for each transaction."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyramid_tm
import transaction
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.threadlocal import manager as threadlocals
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker
from zope.sqlalchemy import register

from c2cotel import redaction
from c2cotel.errors import SettingsError

_logger = logging.getLogger(__package__)

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MANAGED = ("tm.active", "repoze.tm.active")
_ENGINE = "c2cotel.engine"

Regexes = Iterable[str | re.Pattern[str]] | None


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


def scoped(config: Configurator | None, router: Router) -> ScopedSession:
    """A session for each thread, joined to its transaction."""
    if config is not None:
        config.include(pyramid_tm)  # Pyramid includes the same thing once
    session = ScopedSession(router)
    keep_to_one_engine(session)
    register(session, transaction_manager=_Transactions())
    return session


def keep_to_one_engine(session: Any) -> None:
    """Let each transaction of a session, or of a factory's sessions, use the engine of its first connection."""
    event.listen(session, "after_begin", _keep_engine)
    event.listen(session, "after_transaction_end", _forget_engine)


def _keep_engine(session: RoutedSession, _: SessionTransaction, connection: Connection) -> None:
    """Let the rest of the transaction use the engine of its first connection."""
    if connection.engine not in (session.c2c_rw_bind, session.c2c_ro_bind) or _ENGINE in session.info:
        return
    session.info[_ENGINE] = connection.engine
    if session.c2c_rw_bind is not session.c2c_ro_bind and _logger.isEnabledFor(logging.DEBUG):
        stack = threadlocals.stack
        request = stack[-1].get("request") if stack else None
        asked = "a script" if request is None else f"{request.method} {redaction.path(request.environ)}"
        role = "slave" if connection.engine is session.c2c_ro_bind else "master"
        _logger.debug("Using %s for %s", role, asked)


def _forget_engine(session: RoutedSession, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(_ENGINE, None)


def compiled(argument: str, regexes: Regexes) -> tuple[re.Pattern[str], ...]:
    if isinstance(regexes, str):
        raise SettingsError(f"{argument}={regexes!r}: expected a list of regular expressions")
    patterns = []
    for regex in regexes or ():
        try:
            patterns.append(re.compile(regex))
        except re.error as error:
            raise SettingsError(f"{argument}={regex!r}: expected a regular expression: {error}") from None
    return tuple(patterns)
