"""How checks are run: each in a thread of its own, with a deadline, and never twice at once."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from pyramid.request import Request

from c2cotel import redaction
from c2cotel.plugin import Observation, child_span
from c2cotel_views._error_kinds import stack_trace
from c2cotel_views.health._isolation import isolated
from c2cotel_views.health._results import JsonCheckException, as_json, message_of

_logger = logging.getLogger("c2cotel.health")

_GAUGE = "c2c.health_check.status"
_NAME = "c2c.health_check.name"

Function = Callable[[Request], Any]


class Run:
    """One run of a check; whoever asks while it goes on gets its outcome.

    Attributes:
        started: monotonic seconds.
        done: set when the outcome is there.
        seconds: how long it took.
        result: what it returned, as JSON has it.
        error: what it raised.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.done = threading.Event()
        self.seconds = 0.0
        self.result: Any = None
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None

    def goes_on(self) -> bool:
        """Whether it has not ended; one that a parent process has begun does not go on here."""
        return self.thread is not None and self.thread.is_alive() and not self.done.is_set()


@dataclass(eq=False)
class Check:
    """One check.

    Attributes:
        name: in the report; holds no password.
        level: it is run when at least this one is asked for.
        function: takes a request; what it returns is the result, what it raises is a failure.
        alone: whether no other such check may run at the same time.
        private: members of the result that are for those with the secret alone.
    """

    name: str
    level: int
    function: Function
    alone: bool = False
    private: frozenset[str] = frozenset()
    failing: bool | None = None
    _run: Run | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, request: Request, tracer: trace.Tracer | None) -> Run:
        """Run in a thread, unless the last run still goes on: then that one is the answer."""
        with self._lock:
            if self._run is not None and self._run.goes_on():
                return self._run
            run = self._run = Run()
            context = contextvars.copy_context()
            name = f"c2cotel health check {self.name}"
            run.thread = threading.Thread(
                target=context.run, args=(self._work, run, request, tracer), name=name, daemon=True
            )
            try:
                run.thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter ends
                run.error = error
                run.done.set()
        return run

    def _work(self, run: Run, request: Request, tracer: trace.Tracer | None) -> None:
        try:
            with isolated(request) as twin:
                if tracer is not None and trace.get_current_span().is_recording():
                    with child_span(tracer, f"health_check {self.name}", {_NAME: self.name}):
                        run.result = as_json(self.function(twin))
                else:
                    run.result = as_json(self.function(twin))
        except BaseException as error:  # noqa: BLE001  # a check may raise anything, also SystemExit
            run.error = error
        finally:
            run.seconds = time.monotonic() - run.started
            run.done.set()


class Checks:
    """The checks of an application.

    Args:
        timeout: seconds that one may take.
        tracer: makes spans; None without traces.
    """

    def __init__(self, timeout: float, tracer: trace.Tracer | None) -> None:
        self.timeout = timeout
        self._tracer = tracer
        self._checks: dict[str, Check] = {}

    @property
    def names(self) -> list[str]:
        """Of all checks, in their order."""
        return list(self._checks)

    def add(
        self,
        name: str,
        level: int,
        function: Function,
        *,
        alone: bool = False,
        private: frozenset[str] = frozenset(),
    ) -> None:
        """Add a check; of equal names the later ones get a number.

        Raises:
            ValueError: the level is none.
        """
        if level.__class__ is not int or level < 1:
            raise ValueError(f"level={level!r}: expected a whole number of at least 1; max_level=0 is a simple ping")
        shown = unique = redaction.url(redaction.anywhere(name))
        number = 1
        while unique in self._checks:
            number += 1
            unique = f"{shown}_{number}"
        self._checks[unique] = Check(unique, level, function, alone, private)

    def run(self, request: Request, max_level: int, names: Sequence[str], *, details: bool) -> dict[str, Any]:
        """Run the checks up to a level and tell what came of them.

        Args:
            request: that asks.
            max_level: the highest level to run.
            names: of the checks to run; empty: all.
            details: whether failures carry their stack trace.
        """
        deadline = time.monotonic() + self.timeout
        chosen = [c for c in self._checks.values() if c.level <= max_level and (not names or c.name in names)]
        runs = {check.name: check.start(request, self._tracer) for check in chosen if not check.alone}
        for check in chosen:
            if check.alone and time.monotonic() < deadline:
                runs[check.name] = run = check.start(request, self._tracer)
                self._wait(run, deadline)
        report: dict[str, dict[str, Any]] = {"successes": {}, "failures": {}}
        for check in chosen:
            reached = runs.get(check.name)
            if reached is None:
                entry: dict[str, Any] = {
                    "message": f"Not reached: the checks before took all of {self.timeout:g} s",
                    "timing": 0.0,
                }
            elif self._wait(reached, deadline) and reached.error is None:
                entry = _success(reached, frozenset() if details else check.private)
            else:
                entry = _failure(reached, self.timeout, details=details)
            failing = "message" in entry
            report["failures" if failing else "successes"][check.name] = entry
            _tell(check, entry, failing=failing)
        return {"status": 500 if report["failures"] else 200, **report}

    def observe(self) -> Iterable[Observation]:
        """1 for each check whose last run succeeded, 0 for each whose last run failed."""
        for check in list(self._checks.values()):
            if check.failing is not None:
                yield Observation(_GAUGE, "1", {_NAME: check.name}, int(not check.failing))

    def _wait(self, run: Run, deadline: float) -> bool:
        """Wait until a run or its time ends, or that of the report; returns whether the run ended."""
        return run.done.wait(max(0.0, min(deadline, run.started + self.timeout) - time.monotonic()))


def _success(run: Run, hidden: frozenset[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"timing": run.seconds}
    if run.result is not None:
        result = run.result
        if hidden and isinstance(result, dict):
            result = {name: value for name, value in result.items() if name not in hidden}
        entry["result"] = result
    return entry


def _failure(run: Run, timeout: float, *, details: bool) -> dict[str, Any]:
    error = run.error
    if error is None:
        seconds = time.monotonic() - run.started
        entry: dict[str, Any] = {"message": f"No answer within {timeout:g} s", "timing": seconds}
        if seconds > timeout + 1:
            entry["message"] = f"No answer since {seconds:.0f} s, and not asked again before there is one"
        if details:
            entry["stacktrace"] = _stack_now(run)
        return entry
    entry = {"message": message_of(error), "timing": run.seconds}
    if isinstance(error, JsonCheckException) and error.shown is not None:
        entry["result"] = error.shown
    if details:
        entry["stacktrace"] = stack_trace(error, values=True)
    return entry


def _stack_now(run: Run) -> str:
    """Where a run hangs."""
    ident = None if run.thread is None else run.thread.ident
    frame = None if ident is None else sys._current_frames().get(ident)  # noqa: SLF001  # documented, in spite of it
    return "" if frame is None else redaction.anywhere("".join(traceback.format_stack(frame)))


def _tell(check: Check, entry: dict[str, Any], *, failing: bool) -> None:
    """Log when a check begins to fail and when it succeeds again: it is asked every few seconds."""
    was, check.failing = check.failing, failing
    if failing and not was:
        _logger.warning("The health check %s fails: %s (logged once)", check.name, entry["message"])
    elif was and not failing:
        _logger.info("The health check %s succeeds again", check.name)
