"""`stats.json`: the totals that this process keeps in memory, or those of all processes together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pyramid.request import Request

from c2cotel import broadcast
from c2cotel.plugin import ApplicationSettings, Telemetry, merge_totals, process_state, settings_of, telemetry_of
from c2cotel_views._auth import is_authorized
from c2cotel_views._parameters import choice, flag

RESET = flag("reset", "Return and clear.", default=False)
SCOPE = choice("scope", "`process` that answers, or `all` processes of the service.", "process", "process", "all")

_CHANNEL = "c2c_stats"
_PATIENCE, _PATIENCE_WITH_STRANGERS = 10.0, 1.0
"""Seconds to wait for the processes, with the secret and without."""


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Share the totals with the other processes; returns what ends that."""
    broadcast.subscribe(_CHANNEL, lambda reset: {"totals": telemetry.totals(reset=reset)})
    return lambda: broadcast.unsubscribe(_CHANNEL)


class Collection:
    """The totals of all processes, collected by one request at a time: the others share its answer."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing is collected."""
        self._lock = threading.Lock()
        self._number = 0
        self._latest: dict[str, Any] = {**merge_totals([]), "processes": {"answered": 0, "silent": 0}}

    def collect(self, timeout: float, *, reset: bool) -> dict[str, Any]:
        """The totals of all processes that answer within `timeout` seconds; the latest ones if others take longer.

        Args:
            timeout: Seconds.
            reset: Whether they are forgotten in the same step; then the answer is nobody else's.
        """
        before = self._number
        if not self._lock.acquire(timeout=timeout):
            return self._latest
        try:
            # Two since then: one began after this call, and has all that this one would have.
            if reset or self._number < before + 2:
                self._latest = _collect(timeout, reset=reset)
                self._number += 1
            return self._latest
        finally:
            self._lock.release()


def _collect(timeout: float, *, reset: bool) -> dict[str, Any]:
    replies = broadcast.ask(_CHANNEL, {"reset": reset}, timeout)
    shares = []
    for answer in replies.answers:
        try:
            merge_totals([answer["totals"]])
            shares.append(answer["totals"])
        except Exception:  # noqa: BLE001, S112  # a process that failed, or an answer that is none of ours
            continue
    silent = len(replies.answers) - len(shares)
    return {**merge_totals(shares), "processes": {"answered": len(shares), "silent": silent}}


def may_reset(request: Request) -> bool:
    """Whether a request wants the totals forgotten, and is not allowed to."""
    return RESET(request) and not settings_of(request.registry).section(ApplicationSettings).open_reset


def view(request: Request) -> dict[str, Any]:
    """Timers, gauges and counters; ``reset=1`` returns and clears them in one step."""
    reset = RESET(request)
    if SCOPE(request) == "process":
        return merge_totals([telemetry_of(request.registry).totals(reset=reset)])
    timeout = _PATIENCE if is_authorized(request) else _PATIENCE_WITH_STRANGERS
    return process_state(Collection).collect(timeout, reset=reset)
