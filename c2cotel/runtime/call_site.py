"""The application's own line of code that led to where something happens."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass
from types import FrameType

_INSTALLED = ("site-packages", "dist-packages")
_OURS = ("c2cotel.", "c2cotel_views.")
_DEMO = "c2cotel.demo.application"
"""An application all the same."""

_MOST_FILES = 10_000
_MOST_FRAMES = 300


@dataclass(frozen=True)
class CallSite:
    """A line of code.

    Args:
        file: Path of the file.
        line: Number of the line.
        function: Name of the function.
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


class CallSites:
    """Finds lines of the application; remembers which files are its own.

    Args:
        packages: Python packages of the application; empty for all that is not installed with the interpreter.
    """

    def __init__(self, packages: tuple[str, ...] = ()) -> None:
        self._packages = packages
        self._answers: dict[str, bool] = {}
        paths = sysconfig.get_paths()
        self._others = ("<", paths["stdlib"], paths["platstdlib"])

    def current(self) -> CallSite | None:
        """The innermost line of the application in the current stack; None if there is none."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # documented, in spite of its name
        for _ in range(_MOST_FRAMES):
            if frame is None:
                return None
            if self._is_application(frame):
                return CallSite(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
            frame = frame.f_back
        return None

    def _is_application(self, frame: FrameType) -> bool:
        if self._packages:
            module = f"{frame.f_globals.get('__name__', '')}."
            return any(module.startswith(f"{package}.") for package in self._packages)
        file = frame.f_code.co_filename
        answer = self._answers.get(file)
        if answer is None:
            module = str(frame.f_globals.get("__name__", ""))
            is_ours = f"{module}.".startswith(_OURS) and module != _DEMO
            answer = not (is_ours or file.startswith(self._others) or any(part in file for part in _INSTALLED))
            if len(self._answers) < _MOST_FILES:
                self._answers[file] = answer
        return answer
