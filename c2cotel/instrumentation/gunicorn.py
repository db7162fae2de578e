"""gunicorn: no secret in its logs, workers that answer broadcasts from their start and tell what its timeout ends."""

from __future__ import annotations

import logging
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

from c2cotel import broadcast, redaction, state
from c2cotel.delivery.guard import Guard
from c2cotel.logs.record import stack_of
from c2cotel.metrics.observations import Observation
from c2cotel.runtime.telemetry import Telemetry

_logger = logging.getLogger(__name__)
_GUARD = Guard(_logger, "A record of gunicorn could not be cleaned")

_WITH_THREADS = ("ThreadWorker",)
_TCP_INFO = struct.Struct("<24xI")
_ACCESS = "gunicorn.access"
_ERROR = "gunicorn.error"
_WITH_ADDRESSES = {
    "r": lambda line: " ".join(map(redaction.url, line.split(" "))),
    "q": redaction.query,
    "f": redaction.url,
}
"""The request line, its query string and the referrer, as gunicorn's `access_log_format` names them."""


class _SecretsHidden(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        with _GUARD:
            if isinstance(atoms := record.args, dict):
                # In place: gunicorn made them for this line alone, in a dictionary that knows how to read its format.
                for name, redacted in _WITH_ADDRESSES.items():
                    if isinstance(atom := atoms.get(name), str):
                        atoms[name] = redacted(atom)
        return True


class _ErrorsHidden(logging.Filter):
    """For what an application raises and nobody answers: gunicorn tells its address, and the stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        with _GUARD:
            if isinstance(record.args, tuple):
                record.args = tuple(
                    redaction.anywhere(argument) if isinstance(argument, str) else argument for argument in record.args
                )
            record.exc_text = stack_of(record)
        return True


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Hide secrets in the logs, and see what becomes of workers; returns what ends that."""
    remove_serving = _serve_in_workers()
    remove_telling = _tell_of_aborted(telemetry)
    stop_observing = telemetry.observe(lambda: _saturation(telemetry))
    filters = {_ACCESS: _SecretsHidden(), _ERROR: _ErrorsHidden()}
    for name, hidden in filters.items():
        logging.getLogger(name).addFilter(hidden)

    def undo() -> None:
        stop_observing()
        remove_telling()
        remove_serving()
        for name, hidden in filters.items():
            logging.getLogger(name).removeFilter(hidden)

    return undo


def _saturation(telemetry: Telemetry) -> Iterator[Observation]:
    """Threads of this worker, busy and idle, and connections that wait for any worker; absent where nobody knows."""
    worker = state.of(_Worker).worker
    if worker is None:
        return
    active = len(telemetry.active)
    threads = getattr(worker.cfg, "threads", 1) if type(worker).__name__ in _WITH_THREADS else None
    if type(worker).__name__ == "SyncWorker":
        threads = 1
    if threads is not None:
        for name, number in (("busy", min(active, threads)), ("idle", max(0, threads - active))):
            yield Observation("c2c.server.threads", "{thread}", {"c2c.thread.state": name}, number)
    backlogs = [waiting for listener in worker.sockets if (waiting := _backlog(listener)) is not None]
    if backlogs:
        yield Observation("c2c.server.backlog", "{connection}", {}, sum(backlogs))


def _backlog(listener: Any) -> int | None:
    """Connections that a listening socket has and nobody has accepted; None where the system does not tell.

    https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h: of a listening socket, `tcpi_unacked`
    """
    try:
        sock = getattr(listener, "sock", listener)
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        return int(_TCP_INFO.unpack_from(info)[0])
    except (AttributeError, OSError, struct.error):
        return None


class _Worker:
    """The worker of gunicorn's that this process is; None in its master and elsewhere."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget it."""
        self.worker: Any = None


def _serve_in_workers() -> Callable[[], None]:
    """Let every worker answer broadcasts from its start, also where the application was warmed up before the fork."""
    from gunicorn.workers.base import Worker  # noqa: PLC0415  # it is there: this runs once gunicorn was imported

    original = Worker.init_process

    def init_process(self: Worker) -> None:
        state.of(_Worker).worker = self
        with _GUARD:
            broadcast.serve()
        original(self)

    Worker.init_process = init_process  # type: ignore[method-assign]  # its hooks belong to the application

    def undo() -> None:
        if Worker.init_process is init_process:
            Worker.init_process = original  # type: ignore[method-assign]

    return undo


def _tell_of_aborted(telemetry: Telemetry) -> Callable[[], None]:
    """Tell of the requests of a worker that is ended by gunicorn's timeout, in its last moment."""
    from gunicorn.workers.base import Worker  # noqa: PLC0415  # it is there: this runs once gunicorn was imported

    original = Worker.handle_abort
    guard = Guard(_logger, "The requests of a worker that gunicorn ends could not be told")

    def tell() -> None:
        if telemetry.flight is not None:
            with guard:
                telemetry.flight.aborted("gunicorn's timeout")

    def handle_abort(self: Worker, *arguments: Any) -> None:
        tell()
        original(self, *arguments)

    Worker.handle_abort = handle_abort  # type: ignore[method-assign, assignment]  # its hooks are the application's
    registered = signal.getsignal(signal.SIGABRT)
    # A worker that loads its application itself has registered the method as it was.
    late = (
        isinstance(getattr(registered, "__self__", None), Worker)
        and threading.current_thread() is threading.main_thread()
    )

    def on_abort(*arguments: Any) -> None:
        tell()
        registered(*arguments)  # type: ignore[operator, misc]  # a method of the worker

    if late:
        state.of(_Worker).worker = registered.__self__  # type: ignore[union-attr]  # as was looked at above
        signal.signal(signal.SIGABRT, on_abort)

    def undo() -> None:
        if Worker.handle_abort is handle_abort:
            Worker.handle_abort = original  # type: ignore[method-assign]
        if (
            late
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGABRT) is on_abort
        ):
            signal.signal(signal.SIGABRT, registered)

    return undo
