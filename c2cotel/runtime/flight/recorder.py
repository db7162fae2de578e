"""Keeps requests: notes them while they run, decides at their end, writes what is kept in the background."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from threading import get_ident
from time import time_ns
from typing import Any

from opentelemetry import trace

from c2cotel.config.settings import FlightRecorderSettings
from c2cotel.delivery.guard import Guard
from c2cotel.delivery.worker import Worker
from c2cotel.host.directory import StateFolder
from c2cotel.host.records import Record
from c2cotel.host.running import Running
from c2cotel.host.store import Store
from c2cotel.runtime.flight.entry import ENTRY, Entry, local_now
from c2cotel.runtime.flight.keeping import Keeper
from c2cotel.runtime.flight.logs import error_noted, note_log
from c2cotel.runtime.flight.making import RecordMaker, shown_path
from c2cotel.tracing import LocalTrace, Span
from c2cotel.tracing.local_sdk import LocalSpans

_logger = logging.getLogger(__name__)

_INTERVAL = 0.5
"""Seconds between two looks at the requests that ended; a process that is killed loses about as much."""

_MANY = 1000
"""Requests that wait for a decision, from which on the recorder does not wait for its next tick."""

_TOO_MANY = 5000
"""Requests that may wait; further ones are counted alone."""

_MUCH_TEXT = 3 * 1024 * 1024
"""Characters of waiting log records, from which on those of further requests are counted alone."""

_MOST_PATHS = 5000
_LONGEST_PATH = 200
_FAILED = 500


class FlightRecorder:
    """The flight recorder of one process; see `c2cotel.delivery.outlet.Outlet`.

    Args:
        settings: What counts as slow, and how much is kept.
        folder: The folder of the service.
        host: Name of the host.
        versions: Versions of the application and of what it runs on.

    Attributes:
        name: Name of the thread and of what is logged about it.
        host: Name of the host.
        worker: The thread that decides and writes.
        sdk_spans: Collects the spans of requests where the SDK makes them; None where our own tracer does.
        lost: Number of requests that were not kept because too many waited.
    """

    name = "flight recorder"
    failing = False

    def __init__(
        self, settings: FlightRecorderSettings, folder: StateFolder, host: str, versions: Mapping[str, str]
    ) -> None:
        self.host = host
        self.lost = 0
        self.sdk_spans: LocalSpans | None = None
        self._settings = settings
        self._folder = folder
        self._maker = RecordMaker(host, versions)
        self._keeper = Keeper(settings.slow, self._maker)
        self._ended: deque[Entry] = deque()
        self._text = 0
        self._active: set[Entry] = set()
        self._paths: dict[str, str] = {}
        self._store: Store | None = None
        self._running: Running | None = None
        self._opening = threading.Lock()
        self._unusable = False
        self._guard = Guard(_logger, "A request could not be kept, others are")
        self.worker = Worker(self.name, self._tick, _INTERVAL)

    @property
    def store(self) -> Store | None:
        """The store of the host; None if its folder cannot be had."""
        self.open()
        return self._store

    def running_folder(self) -> Path | None:
        """The folder with the running requests of all processes; None if it cannot be had."""
        return self._folder.below("running")

    def open(self) -> bool:
        """Open the store and the running requests, once a process; returns whether they can be had."""
        with self._opening:
            if self._running is None and not self._unusable:
                folder = self._folder.below("running")
                if folder is None:
                    self._unusable = True
                else:
                    self._store = Store(self._folder.path / "store.sqlite", self._settings.size)
                    self._running = Running(folder)
        return not self._unusable

    def begin(
        self, environ: dict[str, Any], request_id: str, span: trace.Span | None, traceparent: str, scope: Any
    ) -> Entry | None:
        """Note a request that starts; None where it is a part of one that is noted already, or nothing can be kept.

        Args:
            environ: Its WSGI environ.
            request_id: Its id.
            span: Its span; None without traces.
            traceparent: Identity of the span; empty without one.
            scope: Has Pyramid's request as `request`, once there is one.
        """
        if self._running is None:
            return None
        local: LocalTrace | None
        if isinstance(span, Span):
            local = span.local
            if local is not None and local.owner is not None:
                return None
            start = span._start_time  # noqa: SLF001
            if local is None:
                local = span.local = LocalTrace(span)
        else:
            local = None if self.sdk_spans is None else self.sdk_spans.local_of(span)
            if local is None:
                local = LocalTrace()
            elif local.owner is not None:
                return None
            start = time_ns()
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        method = environ["REQUEST_METHOD"]
        thread = get_ident()
        trace_id = traceparent[3:35]
        entry = Entry(request_id, trace_id, local, (method, path, environ.get("QUERY_STRING", "")), start, thread)
        entry.scope = scope
        local.owner = entry
        environ[ENTRY] = entry
        shown = self._paths.get(path) or self._shown_path(path)
        entry.slot = self._running.begin(thread, start / 1e9, request_id, trace_id, method, shown)
        self._active.add(entry)
        return entry

    def end(self, entry: Entry, status: str, seconds: float, error: BaseException | None, *, failed: bool) -> None:
        """Note that a request has ended.

        Args:
            entry: What `begin` gave.
            status: Status line of its answer.
            seconds: How long it took.
            error: What was raised, also where an exception view answered.
            failed: Whether an exception reached the server.
        """
        scope, entry.scope = entry.scope, None
        request = scope.request
        if request is not None and (route := request.matched_route) is not None:
            entry.route = route.name
        entry.seconds = seconds
        entry.status = code = int(status[:3])
        if scope.queue is not None:
            entry.queue = scope.queue
        if scope.calls is not None:
            entry.calls = scope.calls
        if scope.render_seconds:
            entry.render = scope.render_seconds
        self._active.discard(entry)
        if self._running is not None:
            self._running.end(entry.slot)
        if failed or code >= _FAILED:
            entry.failed = True
            if error is not None and entry.local.root is None:
                entry.error = error_noted(error)
        elif not self._keeper.reasons(entry):
            self._keeper.add_recent(entry)
            return
        self._wait(entry)

    def _wait(self, entry: Entry) -> None:
        """Let a request that is kept wait for the worker."""
        entry.thread = threading.current_thread().name
        waiting = len(self._ended)
        local = entry.local
        if local.text:
            self._text += local.text
            if self._text > _MUCH_TEXT:
                local.drop_logs()
        if waiting >= _MANY or self._text > _MUCH_TEXT // 4:
            self.worker.wake()
            if waiting >= _TOO_MANY:
                self.lost += 1
                local.close()
                return
        self._ended.append(entry)

    def note_log(self, record: logging.LogRecord) -> None:
        """Note a log record for the request in which it is made."""
        local = local_now()
        if local is not None:
            note_log(local, record)

    def live(self, id: str) -> list[Record]:  # noqa: A002
        """The running requests of this process with a request id or a trace id."""
        entries = [entry for entry in list(self._active) if id in {entry.id, entry.trace_id}]
        return [self._maker.make(entry, entry.kept, running=True) for entry in entries]

    def active(self) -> list[Entry]:
        """The requests that run in this process."""
        return list(self._active)

    def start(self) -> None:
        """Begin to decide and write."""
        self.worker.start()

    def before_fork(self) -> None:
        """Nothing to do: what waits stays the parent's."""

    def after_fork(self) -> None:
        """Forget what is the parent's to keep."""
        self._opening = threading.Lock()
        self._ended = deque()
        self._active = set()
        self._text = 0
        self._keeper.reset()
        self.worker.start()

    def shutdown(self, timeout: float) -> None:
        """Close the store; a request that still runs is not kept."""
        del timeout
        if self._running is not None:
            self._running.close()
        if self._store is not None:
            self._store.close()

    def _shown_path(self, path: str) -> str:
        shown = shown_path(path)
        if len(self._paths) >= _MOST_PATHS:
            self._paths.clear()
        if len(path) <= _LONGEST_PATH:
            self._paths[path] = shown
        return shown

    def _tick(self) -> None:
        ended = self._ended
        entries = [ended.popleft() for _ in range(len(ended))]
        self._text = 0
        if self._store is None:
            return
        for batch in self._keeper.decide(entries, last=self.worker.stopping):
            self._store.write(batch)
