"""A fork in the middle of something: neither the child nor the parent waits for what only the other one could give."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import metrics

import c2cotel
from c2cotel.delivery.forks import forks
from c2cotel.host.running import Running
from c2cotel.host.shared_totals import SharedTotals
from c2cotel.host.sockets import reply
from c2cotel.logs import PyramidCeeSysLogHandler
from tests.servers.local import HOST, free_tcp_port
from tests.servers.udp import UdpListener

PATIENCE = 15
"""Seconds after which a child that hangs is ended."""


def fork(act: Callable[[], object]) -> int:
    """Do something in a child; returns its process id."""
    pid = os.fork()
    if not pid:
        signal.alarm(PATIENCE)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def succeeds(pid: int) -> bool:
    """Whether a child has done it."""
    return os.waitpid(pid, 0)[1] == 0


def test_a_slow_callback_of_the_application_holds_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK holds a lock while it calls it, and the fork is held off for two seconds only."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{HOST}:{free_tcp_port()}")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    called, go_on = threading.Event(), threading.Event()

    def slow(_: metrics.CallbackOptions) -> list[metrics.Observation]:
        called.set()
        go_on.wait(PATIENCE)
        return []

    telemetry = c2cotel.setup()
    metrics.get_meter("slow").create_observable_gauge("rows", callbacks=[slow])
    assert called.wait(10)
    child = fork(lambda: None)
    assert succeeds(child)
    go_on.set()
    telemetry.close()


def test_many_forks_leave_no_collections_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{HOST}:{free_tcp_port()}")
    collections: list[int] = []

    def count(_: metrics.CallbackOptions) -> list[metrics.Observation]:
        collections.append(os.getpid())
        return []

    telemetry = c2cotel.setup()
    metrics.get_meter("many").create_observable_gauge("rows", callbacks=[count])
    for _ in range(5):
        assert succeeds(fork(lambda: None))
    assert collections == [], "a child that begins anew asks for nothing before"
    telemetry.close(timeout=0.5)


def test_a_child_keeps_no_scrape_waiting(tmp_path: Path) -> None:
    merging, forked = threading.Event(), threading.Event()

    def merge(_: list[bytes]) -> bytes:
        merging.set()
        forked.wait(PATIENCE)
        return b"sum"

    (tmp_path / "99999999-1.totals").write_bytes(b"of a process that has ended")
    first = threading.Thread(target=SharedTotals(tmp_path, merge).gather)
    first.start()
    assert merging.wait(10)
    child = fork(lambda: time.sleep(PATIENCE))
    try:
        forked.set()
        first.join(10)
        second = threading.Thread(target=SharedTotals(tmp_path, merge).gather, daemon=True)
        second.start()
        second.join(10)
        assert not second.is_alive()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_an_answer_ends_although_somebody_else_has_the_connection_open() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.dup():
        reply(theirs, [{"ok": True}])
        ours.settimeout(10)
        assert ours.recv(100) == b'[{"ok": true}]'
        assert ours.recv(100) == b""


def test_the_first_request_of_a_child_waits_for_none_of_the_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making, go_on = threading.Event(), threading.Event()
    reserve = os.posix_fallocate
    parent = os.getpid()

    def slowly(*arguments: int) -> None:
        if os.getpid() == parent:
            making.set()
            go_on.wait(PATIENCE)
        reserve(*arguments)

    monkeypatch.setattr(os, "posix_fallocate", slowly)
    running = Running(tmp_path)
    request = (1, 0.0, "id", "", "GET", "/")
    thread = threading.Thread(target=running.begin, args=request)
    thread.start()
    assert making.wait(10)
    child = fork(lambda: running.begin(*request))
    try:
        assert succeeds(child)
    finally:
        go_on.set()
        thread.join()
        running.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_signal_handler_raises_after_a_fork_holds_off_no_other() -> None:
    class Interrupted:
        def before_fork(self) -> None:
            """Nothing."""

        def after_fork(self) -> None:
            """Nothing."""

        def after_fork_in_parent(self) -> None:
            raise SystemExit

    interrupted = Interrupted()
    forks.watch(interrupted)
    assert succeeds(fork(lambda: None))
    forks.ignore(interrupted)
    assert forks.held_off.acquire(blocking=False)
    forks.held_off.release()


def test_a_child_leaves_the_syslog_records_of_its_parent_to_it(
    udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the parent's thread still looks the server up."""
    parent, resolve, go_on = os.getpid(), socket.getaddrinfo, threading.Event()

    def slowly(*arguments: object, **options: object) -> object:
        if os.getpid() == parent and not options.get("flags"):
            go_on.wait(PATIENCE)
        return resolve(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    handler = PyramidCeeSysLogHandler(("localhost", int(udp_listener.address.rpartition(":")[2])))

    def log(text: str) -> None:
        handler.emit(logging.LogRecord("x", logging.INFO, "x.py", 1, text, (), None))

    def in_child() -> None:
        log("of the child")
        time.sleep(0.5)  # its thread looks the server up
        log("of the child, later")

    log("of the parent")
    assert succeeds(fork(in_child))
    go_on.set()
    udp_listener.settle(0.5)
    log("of the parent, later")
    udp_listener.settle()
    handler.close()
    texts = [datagram.partition(b'"msg":"')[2].partition(b'"')[0].decode() for datagram in udp_listener.datagrams]
    assert sorted(texts) == ["of the child", "of the child, later", "of the parent", "of the parent, later"]


def test_a_syslog_server_that_hangs_holds_no_thread_that_logs(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    waiting = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(0)
        for _ in range(4):  # nobody accepts
            waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(path)
        handler = PyramidCeeSysLogHandler(path, socktype=socket.SOCK_STREAM)
        record = logging.LogRecord("x", logging.INFO, "x.py", 1, "text", (), None)
        thread = threading.Thread(target=handler.handle, args=(record,), daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        for each in waiting:
            each.close()
