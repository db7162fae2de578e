"""The run itself: starts everything, follows what happens, and ends everything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory

from c2cotel.config.declare import Settings
from c2cotel.config.settings import APPLICATION, PROCESS
from c2cotel.demo.events import Answered, Datagram, Ended, Event, Metrics, Output, Spans, Stop
from c2cotel.demo.evidence import Evidence
from c2cotel.demo.receivers import OtlpReceiver, StatsdReceiver
from c2cotel.demo.screen import Screen
from c2cotel.demo.server import Server, environment
from c2cotel.demo.traffic import Probe, Traffic

_START_UP = 30.0
# Statsd lines are printed for this long, or for this share of a short run, before the log line and the spans are.
_LIVE = 3.0
_LIVE_SHARE = 0.6
_LIVE_LINES = 40
# Whatever has not arrived by now is told; a run without an end goes on.
_LATE = 10.0
_BETWEEN_SUMMARIES = 5.0
_LONGEST_WAIT = 0.2


def run(seconds: float | None) -> int:
    """Run the demo in the main thread of a process.

    Args:
        seconds: from the application's first answer until the end; None: until SIGINT, SIGTERM or SIGHUP.

    Returns:
        The exit code: 0, or 1 when something did not arrive or the application did not run.

    Raises:
        SettingsError: a variable of the environment cannot be used.
    """
    # A simple queue: its `put` may be called from a signal handler.
    events: SimpleQueue[Event] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup a hang-up is to be ignored; an interrupt is obeyed also in the background of a script.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: events.put(Stop()))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="c2cotel-demo-")))
        statsd = stack.enter_context(StatsdReceiver(events.put))
        otlp = stack.enter_context(OtlpReceiver(events.put))
        environ = environment(os.environ, statsd=statsd.address, otlp=otlp.endpoint, folder=folder)
        _check(environ)
        probe = Probe()
        # What is entered last ends first: the application still finds its receivers when it sends what is left.
        server = stack.enter_context(Server(environ, folder, events.put))
        stack.enter_context(Traffic(server.port, probe, events.put))
        return _Run(events, Evidence(probe), Screen(server.url, environ), seconds).follow()


def _check(environ: Mapping[str, str]) -> None:
    settings = Settings(environ)
    for section in (*APPLICATION, *PROCESS):
        settings.section(section)


class _Run:
    """From the first event to the exit code."""

    def __init__(self, events: SimpleQueue[Event], evidence: Evidence, screen: Screen, seconds: float | None) -> None:
        self._events = events
        self._evidence = evidence
        self._screen = screen
        self._seconds = seconds
        self._live = _LIVE if seconds is None else min(_LIVE, seconds * _LIVE_SHARE)
        self._created = time.monotonic()
        self._started: float | None = None
        self._next_summary = 0.0
        self._live_lines = 0
        self._reported = False
        self._staying = False

    def follow(self) -> int:
        """Take events until the end."""
        self._screen.greeting()
        while True:
            code = self._take(self._next())
            if code is None:
                code = self._look_at_clock()
            if code is not None:
                return code

    def _next(self) -> Event | None:
        try:
            return self._events.get(timeout=_LONGEST_WAIT)
        except Empty:
            return None

    def _take(self, event: Event | None) -> int | None:
        """The exit code, if this event is the end."""
        match event:
            case Stop():
                self._screen.stopping()
                return 0
            case Ended():
                self._screen.failure("the application has ended", self._evidence)
                return 1
            case Datagram():
                self._show_lines(event)
            case Spans(spans):
                self._evidence.add_spans(spans)
            case Metrics(names):
                self._evidence.metrics.update(names)
            case Output():
                self._evidence.add_output(event)
            case Answered():
                self._evidence.add_answer(event)
                if self._started is None and event.status is not None:
                    self._started = time.monotonic()
        return None

    def _show_lines(self, datagram: Datagram) -> None:
        for line in self._evidence.add_datagram(datagram):
            if self._staying or self._live_lines > _LIVE_LINES:
                continue
            if self._live_lines == 0:
                self._screen.lines_heading()
            self._live_lines += 1
            if self._live_lines > _LIVE_LINES:
                self._screen.lines_cut()
            else:
                self._screen.line(line)

    def _look_at_clock(self) -> int | None:
        now = time.monotonic()
        if self._started is None:
            if now - self._created < _START_UP:
                return None
            self._screen.failure(f"the application did not answer within {_START_UP:g} s", self._evidence)
            return 1
        passed = now - self._started
        if self._seconds is not None and passed >= self._seconds:
            self._tell_if_complete()
            self._screen.summary(self._evidence, passed)
            return 0 if self._screen.verdict(self._evidence) else 1
        if passed >= self._live:
            self._tell_if_complete()
        if not self._reported and passed >= _LATE and not self._staying:
            self._screen.verdict(self._evidence)
            self._stay()
        if self._staying and passed >= self._next_summary:
            self._screen.summary(self._evidence, passed)
            self._next_summary = passed + _BETWEEN_SUMMARIES
        return None

    def _tell_if_complete(self) -> None:
        if not self._reported and self._evidence.complete:
            self._reported = True
            self._screen.metrics(self._evidence.metrics)
            self._screen.one_request(self._evidence)
            self._screen.others(self._evidence)
            self._stay()

    def _stay(self) -> None:
        """From now on one line every few seconds is all that is printed."""
        if not self._staying:
            self._staying = True
            self._screen.staying(self._seconds, self._evidence)
