"""What is logged when Redis goes and comes back (contract, section 5)."""

from __future__ import annotations

import threading

import pytest

from c2cotel.broadcast import _listener
from c2cotel.broadcast._listener import Outage

PATIENCE = 0.2
"""Seconds in which a thread that may not go on would have gone on."""


class SlowLogger:
    """Takes its time over the line that says that Redis is back."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.busy = threading.Event()
        self.go_on = threading.Event()

    def warning(self, line: str, *_arguments: object) -> None:
        self.lines.append(line.partition(",")[0])

    def info(self, line: str) -> None:
        self.busy.set()
        self.go_on.wait(5)
        self.lines.append(line.partition(",")[0])


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowLogger:
    logger = SlowLogger()
    monkeypatch.setattr(_listener, "_logger", logger)
    return logger


def test_lines_of_two_threads_come_in_the_order_of_what_happened(slow: SlowLogger) -> None:
    outage = Outage()
    outage.begins(ConnectionError("refused"))
    back = threading.Thread(target=outage.ends)
    back.start()
    assert slow.busy.wait(5)
    away = threading.Thread(target=outage.begins, args=(ConnectionError("refused again"),))
    away.start()
    away.join(PATIENCE)
    slow.go_on.set()
    back.join(5)
    away.join(5)
    assert slow.lines == ["Redis is away", "Redis is back", "Redis is away"]


def test_long_error_is_cut_and_holds_no_password(caplog: pytest.LogCaptureFixture) -> None:
    Outage().begins(ConnectionError(f"No master for <redis.Redis(redis://user:hush@host:6379/0 {'x' * 400_000})>"))
    (line,) = caplog.messages
    assert "No master for" in line
    assert "hush" not in line
    assert len(line) < 500


def test_nothing_is_told_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    outage.close()
    outage.begins(ConnectionError("refused"))
    outage.ends()
    assert caplog.messages == []
