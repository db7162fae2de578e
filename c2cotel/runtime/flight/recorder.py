"""Keeps requests: notes them while they run, decides at their end, writes what is kept in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import get_ident
from time import monotonic, time_ns
from typing import Any

from opentelemetry import trace

from c2cotel.config.settings import FlightRecorderSettings, StallSettings
from c2cotel.delivery.worker import Worker
from c2cotel.host.directory import StateFolder
from c2cotel.host.records import Record
from c2cotel.host.store import Store
from c2cotel.metrics.instruments import DEATHS, STALLS, Instrument
from c2cotel.runtime.flight.buffering import RequestLogs
from c2cotel.runtime.flight.deaths import tell_own_death
from c2cotel.runtime.flight.entry import ENTRY, Entry, local_now
from c2cotel.runtime.flight.files import Files
from c2cotel.runtime.flight.keeping import Keeper
from c2cotel.runtime.flight.logs import error_noted, note_log
from c2cotel.runtime.flight.making import RecordMaker, ShownPaths, merged
from c2cotel.runtime.flight.verbose import Verbose
from c2cotel.runtime.flight.waiting import Waiting
from c2cotel.runtime.flight.watching import LOOK, Watcher
from c2cotel.tracing import LocalTrace, Span
from c2cotel.tracing.local_sdk import LocalSpans

_logger = logging.getLogger(__name__)

_FAILED = 500
_TROUBLE = {"stalled", "died"}
"""Reasons for which a request has a record before it ends."""


class FlightRecorder:
    """The flight recorder of one process; see `c2cotel.delivery.outlet.Outlet`.

    Args:
        settings: What counts as slow, and how much is kept.
        stalls: From when on a request counts as stalled.
        folder: The folder of the service.
        host: Name of the host.
        versions: Versions of the application and of what it runs on.

    Attributes:
        name: Name of the thread and of what is logged about it.
        host: Name of the host.
        worker: The thread that decides and writes.
        sdk_spans: Collects the spans of requests where the SDK makes them; None where our own tracer does.
        logs: Keeps log records below their level; None where nobody asked for that.
        verbose: Takes tokens that ask for everything about a request.
        count: Counts a stall that is told, or a death.
    """

    name = "flight recorder"
    failing = False

    def __init__(
        self,
        settings: FlightRecorderSettings,
        stalls: StallSettings,
        folder: StateFolder,
        host: str,
        versions: Mapping[str, str],
    ) -> None:
        self.host = host
        self.sdk_spans: LocalSpans | None = None
        self.logs: RequestLogs | None = None
        self.verbose = Verbose(folder)
        self.count: Callable[[Instrument], object] = lambda _: None
        self._settings = settings
        self._stall_timeout = stalls.seconds(recorder=settings.enabled)
        self._files = Files(folder, settings.size if settings.enabled else 0)
        self._maker = RecordMaker(host, versions)
        self._keeper = Keeper(settings.slow, self._maker)
        self._watcher = Watcher(
            self._files.existing_folder,
            host,
            timeout=self._stall_timeout,
            slow=settings.slow,
            samples=settings.enabled,
            stalled=self._stalled,
            write=self._write,
            count_death=lambda: self.count(DEATHS),
        )
        self._active: set[Entry] = set()
        self._paths = ShownPaths()
        self._is_on = False
        self._next_decision = 0.0
        self.worker = Worker(self.name, self._tick, LOOK)
        self._waiting = Waiting(self.worker.wake)

    @property
    def lost(self) -> int:
        """Number of requests that were not kept because too many waited."""
        return self._waiting.lost

    @property
    def keeps(self) -> bool:
        """Whether requests are kept; else they are only watched."""
        return self._settings.enabled

    @property
    def store(self) -> Store | None:
        """The store of the host; None if its folder cannot be had, or nothing is kept."""
        self._files.open()
        return self._files.store

    def running_folder(self) -> Path | None:
        """The folder with the running requests of all processes; None if it cannot be had."""
        return self._files.running_folder()

    def open(self) -> bool:
        """Open the store and the running requests, once a process; returns whether they can be had."""
        usable = self._files.open()
        if usable:
            self._watcher.begin()
        self._is_on = usable or self.logs is not None
        return usable

    def begin(
        self,
        environ: dict[str, Any],
        request_id: str,
        span: trace.Span | None,
        traceparent: str,
        scope: Any,
        verbose_router: Any = None,
    ) -> Entry | None:
        """Note a request that starts; None where it is a part of one that is noted already, or nothing can be kept.

        Args:
            environ: Its WSGI environ.
            request_id: Its id.
            span: Its span; None without traces.
            traceparent: Identity of the span; empty without one.
            scope: Has Pyramid's request as `request`, once there is one.
            verbose_router: Pyramid's router, if a token asks for everything about the request.
        """
        if not self._is_on:
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
        query = environ.get("QUERY_STRING", "")
        entry = Entry(request_id, trace_id, local, (method, path, query), start, monotonic(), thread)
        entry.scope = scope
        local.owner = entry
        environ[ENTRY] = entry
        running = self._files.running
        if running is not None:
            entry.slot = running.begin(thread, start / 1e9, request_id, trace_id, method, self._paths[path])
        self._active.add(entry)
        if verbose_router is not None:
            self.verbose.mark(entry, verbose_router)
            if self.logs is not None:
                self.logs.install()
                self.logs.verbose.add(entry)
            self.worker.wake()
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
        scope = entry.scope
        self.drop(entry)
        local = entry.local
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
        if failed or code >= _FAILED:
            entry.failed = True
            if error is not None and local.root is None:
                entry.error = error_noted(error)
        is_kept = entry.failed or bool(self._keeper.reasons(entry))
        if is_kept and entry.buffered is not None and self.logs is not None:
            self.logs.emit(entry)
        if not self.keeps:
            local.close()
        elif is_kept:
            self._waiting.put(entry)
        else:
            self._keeper.add_recent(entry)

    def drop(self, entry: Entry) -> None:
        """Let go of a request that runs no more, whether or not it is kept: it must not count as running for ever."""
        entry.scope = None
        self._active.discard(entry)
        if entry.is_verbose and self.logs is not None:
            self.logs.verbose.discard(entry)
        if self._files.running is not None:
            self._files.running.end(entry.slot)

    def note_log(self, record: logging.LogRecord) -> None:
        """Note a log record for the request in which it is made."""
        local = local_now()
        if local is not None and (self.logs is None or not self.logs.is_kept(record)):
            note_log(local, record)

    def live(self, id: str) -> list[Record]:  # noqa: A002
        """The running requests of this process with a request id or a trace id."""
        entries = [entry for entry in list(self._active) if id in {entry.id, entry.trace_id}]
        return [self._maker.make(entry, entry.kept, running=True) for entry in entries]

    def aborted(self, reason: str) -> None:
        """Tell that this process ends, with the requests that run in it.

        Args:
            reason: Why it ends.
        """
        tell_own_death(list(self._active), reason)

    def start(self) -> None:
        """Begin to decide and write."""
        self.worker.start()

    def before_fork(self) -> None:
        """Nothing to do: what waits stays the parent's."""

    def after_fork(self) -> None:
        """Forget what is the parent's to keep."""
        self._files.after_fork()
        self._active = set()
        self._waiting.reset()
        self._keeper.reset()
        self._watcher.reset()
        if self.logs is not None:
            self.logs.reset()
        self.worker.start()

    def shutdown(self, timeout: float) -> None:
        """Close the store; a request that still runs is not kept."""
        del timeout
        self._watcher.close()
        self._files.close()

    def _tick(self) -> None:
        self.worker.interval = self._watcher.look(list(self._active), self._files.running)
        now = monotonic()
        if not self.worker.asked and now < self._next_decision:
            return
        self._next_decision = now + LOOK * 0.9
        for batch in self._keeper.decide(self._waiting.take(), last=self.worker.stopping):
            self._write(batch)

    def _stalled(self, entry: Entry, is_told: bool) -> None:
        """Keep a request that stalls now: its process may never end it."""
        if is_told:
            self.count(STALLS)
            if self.logs is not None:
                self.logs.emit(entry)
        self._write([self._maker.make(entry, entry.kept, running=True)])

    def _write(self, records: Sequence[Record]) -> None:
        store = self._files.store
        if store is not None:
            store.write([merged(record, store) if self._may_be_known(record) else record for record in records])

    def _may_be_known(self, record: Record) -> bool:
        """Whether a request may have a record from before its end: it stalled, or its process died."""
        return bool(_TROUBLE & set(record.kept)) or 0 < self._stall_timeout * 1000 <= record.duration_ms
