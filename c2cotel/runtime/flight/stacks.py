"""Stacks of running threads, and those that are written while the interpreter stands still."""

from __future__ import annotations

import faulthandler
import linecache
import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any

from c2cotel import redaction, state
from c2cotel.host.process import own_name

_logger = logging.getLogger("c2cotel.stalls")

_MOST_FRAMES = 80
_LARGEST = 64 * 1024
_THREAD = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)[^\n]*:\n((?:  File [^\n]*\n?)*)")
_FRAME = re.compile(r'  File "([^\n]*)", line (\d+) in ([^\n]*)')

Frame = tuple[str, int, str]
"""File, line and function."""


def stack_of_thread(thread_id: int) -> list[Frame]:
    """The stack of a thread, the outermost frame first; empty if there is no such thread, as with greenlets."""
    frame: FrameType | None = sys._current_frames().get(thread_id)  # noqa: SLF001  # documented, in spite of its name
    frames: list[Frame] = []
    while frame is not None:
        frames.append((frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name))
        frame = frame.f_back
    return frames[:_MOST_FRAMES][::-1]


def shown_frames(frames: list[Frame]) -> list[dict[str, Any]]:
    """Frames as a record has them, with the code of each line, secrets hidden."""
    shown = []
    for file, line, function in frames:
        entry: dict[str, Any] = {"file": file, "line": line, "function": function}
        if code := linecache.getline(file, line).strip():
            entry["code"] = redaction.anywhere(code[:500])
        shown.append(entry)
    return shown


def as_text(frames: list[Mapping[str, Any]] | list[dict[str, Any]]) -> str:
    """Frames as Python prints a stack."""
    lines = []
    for frame in frames:
        lines.append(f'  File "{frame["file"]}", line {frame["line"]}, in {frame["function"]}')
        if "code" in frame:
            lines.append(f"    {frame['code']}")
    return "\n".join(lines)


def read_dump(file: Path) -> dict[int, list[Frame]]:
    """The stacks in a file of `faulthandler`, by thread, the outermost frame first."""
    try:
        text = file.read_bytes()[:_LARGEST].decode("utf-8", "replace")
    except OSError:
        return {}
    stacks: dict[int, list[Frame]] = {}
    for match in _THREAD.finditer(text):
        frames = [(frame[1], int(frame[2]), frame[3]) for frame in _FRAME.finditer(match[2])]
        stacks[int(match[1], 16)] = frames[::-1]
    return stacks


class _Switches:
    """Who uses `faulthandler.dump_traceback_later`, of which a process has one.

    Attributes:
        original: The function itself, while ours stands in its place.
        is_taken: Whether the application has called it, or nobody may call it any more.
        is_armed: Whether it waits for us.
    """

    def __init__(self) -> None:
        self.original: Callable[..., None] | None = None
        self.reset()

    def reset(self) -> None:
        """Give the function back."""
        if self.original is not None:
            faulthandler.dump_traceback_later = self.original
        self.original = None
        self.is_taken = False
        self.is_armed = False

    def cancel(self) -> None:
        """Wait no more."""
        if self.is_armed and not self.is_taken:
            faulthandler.cancel_dump_traceback_later()
        self.is_armed = False


class DeadMansSwitch:
    """Writes the stacks of all threads when nobody has looked for a while: `faulthandler` does it without Python.

    An application that uses `faulthandler.dump_traceback_later` itself has it for itself.

    Args:
        folder: Where the file is made.
        seconds: Time without a look after which the stacks are written.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._switches = state.of(_Switches)
        self._file: IO[str] | None = None
        self.path: Path | None = None

    def arm(self) -> None:
        """Wait anew, once what was written is told; called at each look."""
        switches = self._switches
        if switches.is_taken:
            return
        if switches.original is None:
            self._notice_others()
        if self.path is not None and not self.path.exists():  # somebody has told it
            self._close()
        if self._file is None:
            self._open()
        if switches.original is not None and self.path is not None and not self.path.stat().st_size:
            switches.is_armed = True
            switches.original(self._seconds, file=self._file)

    def disarm(self) -> None:
        """Wait no more until `arm`: before a fork."""
        self._switches.cancel()

    def forget(self) -> None:
        """In a forked child: the file is the parent's, and so is the switch."""
        if self._switches.is_armed:
            # `disarm` was not called. What waits is a thread of C that the child does not have, and `faulthandler`
            # would wait for its end for ever, with the interpreter's lock: here nobody calls it any more.
            self._switches.is_taken = True
        self._file = None
        self.path = None

    def close(self) -> None:
        """Wait no more, and remove the file."""
        self._switches.cancel()
        path = self.path
        self._close()
        if path is not None:
            with suppress(OSError):
                path.unlink()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._switches.cancel()
            file.close()
        self.path = None

    def _open(self) -> None:
        path = self._folder / f"{own_name()}.stacks"
        self._file = path.open("a")
        self.path = path

    def _notice_others(self) -> None:
        switches = self._switches
        original = switches.original = faulthandler.dump_traceback_later

        def noticed(*args: Any, **kwargs: Any) -> None:
            if not switches.is_taken:
                switches.is_taken = True
                _logger.info(
                    "The application uses faulthandler.dump_traceback_later itself: the stacks of a process whose "
                    "interpreter stands still are not written by c2cotel"
                )
            original(*args, **kwargs)

        faulthandler.dump_traceback_later = noticed
