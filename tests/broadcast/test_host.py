"""Broadcasts between the processes of one host, without Redis (contract, sections 5 and 12)."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import c2cotel
from c2cotel import broadcast
from tests.servers.client import get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.process import Process

APPLICATION = "tests.apps.broadcasting:application()"


def answers(server: Gunicorn, path: str = "/ask") -> list[Any]:
    answer = get(server.url + path)
    assert answer is not None
    found: list[Any] = answer.json()["answers"]
    return found


def pids(replies: list[Any]) -> set[int]:
    return {reply["pid"] for reply in replies if reply is not None}


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_a_broadcast_reaches_all_workers(gunicorn: Callable[..., Gunicorn], preload: bool) -> None:
    server = gunicorn(APPLICATION, workers=3, preload=preload)
    wait_until(lambda: pids(answers(server)) == server.children(), "each worker answers, and nobody else")
    get(f"{server.url}/tell?value=x")
    wait_until(lambda: [reply["kept"] for reply in answers(server)] == [["x"]] * 3, "each worker was told")


def test_workers_of_a_warmed_up_master_answer(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn("tests.apps.broadcasting:warmed_up()", workers=3, preload=True)
    wait_until(lambda: pids(answers(server)) >= server.children(), "each worker answers")


def test_a_worker_that_was_killed_is_forgotten(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn(APPLICATION, workers=3)
    wait_until(lambda: len(pids(answers(server))) == 3, "each worker answers")
    killed = server.children().pop()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: pids(answers(server)) == server.children() != {killed}, "its successor answers")
    assert None not in answers(server)


def test_a_process_that_hangs_costs_its_timeout_once_and_is_named(
    gunicorn: Callable[..., Gunicorn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = gunicorn(APPLICATION, workers=3, env={"OTEL_SERVICE_NAME": "service"})
    wait_until(lambda: len(pids(answers(server))) == 3, "each worker answers")
    stopped = server.children().pop()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "service")
    c2cotel.setup()
    os.kill(stopped, signal.SIGSTOP)
    try:
        replies = broadcast.ask("who", timeout=1)
        assert replies.silent == [f"{socket.gethostname()}/{stopped}"]
        assert [reply is None for reply in replies.answers].count(True) == 1
        assert pids(replies.answers) == server.children() - {stopped}
        assert str(stopped) in caplog.text
        assert broadcast.ask("who", timeout=60).silent == replies.silent  # far from 60 seconds later
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: broadcast.ask("who", timeout=5).silent == [], "it answers again")


def test_services_in_one_parent_folder_never_meet(
    start_process: Callable[..., Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        start_process("tests.apps.broadcasting", env={"OTEL_SERVICE_NAME": name})
    monkeypatch.setenv("OTEL_SERVICE_NAME", "one")
    c2cotel.setup()
    wait_until(lambda: len(broadcast.ask("who", timeout=5).answers) == 1, "one process answers")


def test_the_folder_and_the_socket_are_for_the_user_alone(tmp_path: Path) -> None:
    broadcast.subscribe("x", lambda: 1)
    c2cotel.setup()
    (folder,) = (tmp_path / "state").iterdir()
    (path,) = (folder / "calls").iterdir()
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (folder, folder / "calls", path)]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("fault", ["mode", "file", "readonly"])
def test_without_a_folder_this_process_answers_and_one_line_says_why(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "one")
    c2cotel.setup().close()
    broadcast.subscribe("x", lambda: {"a": 1})
    parent = tmp_path / "state"
    if fault == "mode":
        telemetry = c2cotel.setup()
        telemetry.close()
        telemetry.folder.path.chmod(0o755)
    elif fault == "file":
        monkeypatch.setenv("C2C_STATE_DIR", str(tmp_path / "file"))
        (tmp_path / "file").write_text("")
    else:
        monkeypatch.setenv("C2C_STATE_DIR", "/proc/nowhere")
    caplog.clear()
    c2cotel.setup()
    for _ in range(3):
        answers_here = broadcast.broadcast("x", expect_answers=True) or []
        assert [answer["a"] for answer in answers_here] == [1]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "C2C_STATE_DIR" in warnings[0]
    assert parent.parent.is_dir()


@pytest.mark.parametrize(
    "message", [b"nonsense\n", b"[" * 200_000 + b"\n", b"{}\n", b'{"channel": 1, "params": 2, "answers": 3}\n', b""]
)
def test_a_stranger_on_the_socket_ends_nothing(message: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broadcast.subscribe("x", lambda: 1)
    c2cotel.setup()
    (path,) = (tmp_path / "state").glob("*/calls/*.sock")
    monkeypatch.chdir(path.parent)  # a socket's address has room for 108 bytes

    def send(content: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path.name)
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").read()

    send(message)
    assert json.loads(send(b'{"channel": "x", "params": {}, "answers": true}\n')) == [1]


def test_a_handler_that_exits_ends_no_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves() -> None:
        raise SystemExit

    broadcast.subscribe("x", leaves)
    c2cotel.setup()
    (path,) = (tmp_path / "state").glob("*/calls/*.sock")
    monkeypatch.chdir(path.parent)  # a socket's address has room for 108 bytes
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path.name)
            connection.sendall(b'{"channel": "x", "params": {}, "answers": true}\n')
            assert json.loads(connection.makefile("rb").read()) == [None]
