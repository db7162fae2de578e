"""What has to be done when the process is forked, in the parent and in the child."""

from __future__ import annotations

# Looking up any host imports this. A thread that does so while another one forks leaves a child in which that import
# never ends.
import encodings.idna  # noqa: F401
import logging
import os
import threading
import weakref
from typing import Protocol, runtime_checkable

from c2cotel import state

_logger = logging.getLogger(__name__)

_LONGEST_WAIT = 2.0
"""Seconds for which a fork may be held off."""


class ForkAware(Protocol):
    """What must know when its process is forked."""

    def before_fork(self) -> None:
        """Called in the parent, before: take what a child would otherwise inherit and send a second time."""

    def after_fork(self) -> None:
        """Called in the child: renew locks and threads, forget what is the parent's to send."""


@runtime_checkable
class ForksInOrder(Protocol):
    """What also must know when its process has forked."""

    def after_fork_in_parent(self) -> None:
        """Called in the parent, after; only if `before_fork` was called."""


class Forks:
    """The registry of everything that is fork-aware.

    One hook of `os.register_at_fork` serves all, as a hook cannot be taken out again.

    Attributes:
        held_off: A lock for what a fork must not cut in two, such as anything that takes a lock of the SDK's: a child
            would inherit that lock in its locked state.
    """

    def __init__(self) -> None:
        self._hooked = False
        self.reset()

    def reset(self) -> None:
        """Forget everything that is watched."""
        self._watched: weakref.WeakSet[ForkAware] = weakref.WeakSet()
        self.held_off = threading.Lock()
        self._forking: int | None = None
        self._prepared: list[ForkAware] = []

    def watch(self, aware: ForkAware) -> None:
        """Call an object at each fork, for as long as it lives."""
        self._watched.add(aware)
        if not self._hooked and hasattr(os, "register_at_fork"):
            self._hooked = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._after_in_parent, after_in_child=self._after_in_child
            )

    def ignore(self, aware: ForkAware) -> None:
        """Call an object no more."""
        self._watched.discard(aware)

    def _before(self) -> None:
        if self.held_off.acquire(timeout=_LONGEST_WAIT):
            self._forking = threading.get_ident()
            self._prepared = list(self._watched)
            for aware in self._prepared:
                _guarded(aware, "before_fork")

    def _after_in_parent(self) -> None:
        if self._forking == threading.get_ident():
            prepared, self._prepared = self._prepared, []
            try:
                for aware in prepared:
                    if isinstance(aware, ForksInOrder):
                        _guarded(aware, "after_fork_in_parent")
            finally:
                self._forking = None
                self.held_off.release()

    def _after_in_child(self) -> None:
        self.held_off = threading.Lock()
        self._forking = None
        self._prepared = []
        for aware in list(self._watched):
            _guarded(aware, "after_fork")


def _guarded(aware: object, step: str) -> None:
    """Call one object; whatever it raises, the others are called and the application's fork goes on."""
    try:
        getattr(aware, step)()
    except Exception:
        _logger.exception("%s of %s failed; the fork goes on without it", step, type(aware).__name__)


forks = state.of(Forks)
