"""A session for each request, joined to its transaction: `request.dbsession`."""

from __future__ import annotations

from typing import Any, TypeVar

import pyramid_tm
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy.orm import Session, sessionmaker
from zope.sqlalchemy import register

from c2cotel.db._sessions import RoutedSession, Router, keep_to_one_engine

S = TypeVar("S", bound=Session)

_OF_TESTS = "app.dbsession"
_MANAGER_HOOK = "tm.manager_hook"


class RoutedSessions(sessionmaker[RoutedSession]):
    """Makes sessions that choose between two engines.

    Args:
        router: chooses.

    Attributes:
        c2c_rw_bind: the master's engine.
        c2c_ro_bind: the slave's engine, or the master's.
    """

    def __init__(self, router: Router) -> None:
        super().__init__(class_=RoutedSession, router=router)
        keep_to_one_engine(self)
        self.c2c_rw_bind = router.rw
        self.c2c_ro_bind = router.ro


def add_dbsession(config: Configurator, factory: RoutedSessions) -> None:
    """Add `request.dbsession`, in a transaction that belongs to the request alone."""
    config.registry.settings.setdefault(_MANAGER_HOOK, "pyramid_tm.explicit_manager")
    config.include(pyramid_tm)
    config.registry["dbsession_factory"] = factory

    def dbsession(request: Request) -> Any:
        given = request.environ.get(_OF_TESTS)
        if given is not None:
            return given
        session = factory()
        request.add_finished_callback(lambda _: session.close())
        return join(session, request.tm)  # type: ignore[attr-defined]  # of pyramid_tm

    config.add_request_method(dbsession, reify=True)


def join(session: S, transaction_manager: Any) -> S:
    """The session, which from now on ends with the transactions of a manager."""
    register(session, transaction_manager=transaction_manager)
    return session
