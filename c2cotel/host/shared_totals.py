"""What each process of a host has counted, for all of them to add up, those that have ended included."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from c2cotel.host.process import is_alive, own_name

_SUFFIX = ".totals"
_ENDED = f"ended{_SUFFIX}"
_LARGEST = 32 * 1024 * 1024

Merge = Callable[[list[bytes]], bytes]


class SharedTotals:
    """The totals of the processes in a folder, a file each.

    What a process had counted when it ended goes into one file for all that have ended: no sum ever falls.

    Args:
        folder: Where the files are.
        merge: Adds up totals; of processes that have ended.
    """

    def __init__(self, folder: Path, merge: Merge) -> None:
        self._folder = folder
        self._merge = merge
        self._latest = b""

    def publish(self, totals: bytes) -> None:
        """Let the other processes see the totals of this one.

        Raises:
            OSError: They cannot be written.
        """
        if totals != self._latest:
            _write(self._folder / f"{own_name()}{_SUFFIX}", totals)
            self._latest = totals

    def gather(self) -> list[bytes]:
        """The totals of all processes, those that have ended added up in one.

        Raises:
            OSError: The folder cannot be read or written.
        """
        with self._locked():
            files = {file.name.removesuffix(_SUFFIX): file for file in self._folder.glob(f"*{_SUFFIX}")}
            ended = self._folder / _ENDED
            counted, totals = _read_ended(files.pop(_ENDED.removesuffix(_SUFFIX), None))
            dead = {name: file for name, file in files.items() if not is_alive(name)}
            new = {name: file for name, file in dead.items() if name not in counted}
            if new:
                totals = self._merge([totals, *map(_read, new.values())])
                # Whose totals are in it stands in it: whoever is killed before they are removed counts none twice.
                _write(ended, json.dumps(list(dead)).encode() + b"\n" + totals)
            for file in dead.values():
                file.unlink()
            living = [file for name, file in files.items() if name not in dead]
            return [data for data in (totals, *map(_read, living)) if data]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)  # a process that was forked meanwhile has the file open, too
            os.close(handle)


def _read_ended(file: Path | None) -> tuple[list[str], bytes]:
    """Whose totals are added up, and their sum."""
    names, _, totals = (b"" if file is None else _read(file)).partition(b"\n")
    try:
        return json.loads(names or b"[]"), totals
    except ValueError:
        return [], b""


def _read(file: Path) -> bytes:
    with contextlib.suppress(OSError), file.open("rb") as opened:
        return opened.read(_LARGEST)
    return b""


def _write(file: Path, data: bytes) -> None:
    new = file.with_suffix(f".{os.getpid()}.tmp")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        new.rename(file)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
