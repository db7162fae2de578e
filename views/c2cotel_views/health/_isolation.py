"""What a check sees around it: a request and a transaction of its own, in a thread of its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from pyramid.interfaces import IRequestExtensions, IRequestFactory
from pyramid.request import Request, apply_request_extensions
from pyramid.threadlocal import RequestContext

_logger = logging.getLogger("c2cotel.health")

_ROUTED = ("context", "matchdict", "matched_route", "request_iface", "root", "subpath", "traversed", "view_name")
_GIVEN = ("invoke_subrequest", "virtual_root", "virtual_root_path")

_opened: ContextVar[dict[int, Any] | None] = ContextVar("c2cotel.health.opened", default=None)
"""The SQLAlchemy sessions that began a transaction in the current check."""

_listening = False
_lock = Lock()


@contextmanager
def isolated(request: Request) -> Iterator[Request]:
    """Give the current thread a request like the given one, and leave no transaction and no session behind.

    The copy has nothing of what the application has computed for the original: a session that is kept on a request must
    not be used by two threads.
    """
    twin = _twin(request)
    token = _opened.set({})
    with ExitStack() as stack:
        stack.callback(_opened.reset, token)
        stack.callback(_close_sessions)
        stack.callback(_call_back, twin)
        manager = _manager()
        if manager is not None:
            # Where pyramid_tm looks, and where sessions of c2cotel.db do.
            twin.environ["tm.manager"] = twin.__dict__["tm"] = manager
            stack.callback(_safely, manager.abort)
            stack.callback(_safely, sys.modules["transaction"].abort)
            manager.begin()
        _listen()
        stack.enter_context(RequestContext(twin))
        yield twin


def _twin(request: Request) -> Request:
    registry = request.registry
    factory: Any = registry.queryUtility(IRequestFactory, default=Request)
    twin: Request = factory(dict(request.environ))
    twin.registry = registry
    for name in (*_ROUTED, *_GIVEN):
        if name in request.__dict__:
            twin.__dict__[name] = request.__dict__[name]
    if (extensions := registry.queryUtility(IRequestExtensions)) is not None:
        apply_request_extensions(twin, extensions)
    return twin


def _manager() -> Any:
    transaction = sys.modules.get("transaction")
    return None if transaction is None else transaction.TransactionManager()


def _listen() -> None:
    """Note which sessions are used, from the first check on that runs when the application has imported SQLAlchemy."""
    global _listening  # noqa: PLW0603  # the listener is the process's
    if _listening or "sqlalchemy.orm" not in sys.modules:
        return
    from sqlalchemy import event  # noqa: PLC0415  # only if the application uses it
    from sqlalchemy.orm import Session  # noqa: PLC0415

    with _lock:
        if not _listening:
            event.listen(Session, "after_begin", _note)
            _listening = True


def _note(session: Any, *_: Any) -> None:
    opened = _opened.get()
    if opened is not None:
        opened[id(session)] = session


def _close_sessions() -> None:
    """Whoever made them, also if the check has failed or forgotten to."""
    for session in list((_opened.get() or {}).values()):
        _safely(session.close)


def _call_back(twin: Request) -> None:
    while twin.finished_callbacks:
        callback = twin.finished_callbacks.popleft()
        _safely(lambda: callback(twin))  # noqa: B023  # called at once


def _safely(end: Callable[[], Any]) -> None:
    try:
        end()
    except Exception:
        _logger.exception("A health check could not be ended cleanly; going on")
