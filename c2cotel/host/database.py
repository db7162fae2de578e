"""One SQLite file that many processes share: its connections, its version, and what happens if it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from c2cotel.delivery.forks import forks

_logger = logging.getLogger(__name__)

PAGE = 4096
"""Bytes of a page of the file."""

_BUSY = 2.0
"""Seconds for which a transaction waits for those of other processes."""

_LONGEST_FORK_WAIT = 1.0
"""Seconds for which a fork waits for a transaction of this process."""

_LONGEST_CHECKPOINT = 0.5
"""Seconds for which a transaction waits until the write-ahead log is empty."""

_PAUSE = 0.002
_LARGEST_LOG = 3
"""Times the size that is asked for, beyond which nothing is written: a process may be stopped while it reads."""

_SET_ASIDE_AGAIN = 3600.0
"""Seconds until another file may be set aside: two versions of a program must not do it to each other for ever."""

Result = TypeVar("Result")


class _Door:
    """One connection of this process, used by one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.inode = 0

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


class Database:
    """The SQLite file at a path; two connections a process, one that writes and one that reads.

    Both are opened when they are first used, closed before a fork, and opened anew if the file was replaced. SQLite
    keeps its locks in the memory of the process: a child that inherited them would write without any.

    Args:
        path: The file. Its folder must exist; a transaction fails until it does.
        version: Number of the schema; a file of another one is set aside.
        schema: Statements that make the tables.
        wal: Bytes of the write-ahead log beside the file, about.
    """

    def __init__(self, path: Path, version: int, schema: str, wal: int) -> None:
        self._path = path
        self._log = Path(f"{path}-wal")
        self._version = version
        self._schema = schema
        self._wal = wal
        self._pid = os.getpid()
        self._writer, self._reader = _Door(), _Door()
        self._inherited: list[_Door] = []
        self._set_aside_at = -_SET_ASIDE_AGAIN

    def write(self, transaction: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run one transaction that writes, and commit it; once more if the file is damaged and a new one is begun.

        Raises:
            sqlite3.Error: It was not done: the disk is full, the folder is away, others hold the file.
            OSError: As above.
        """
        try:
            return self._write(transaction)
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise
            return self._write(transaction)

    def read(self, query: Callable[[sqlite3.Connection], Result], nothing: Result) -> Result:
        """Run one query.

        Returns:
            Its result, or `nothing` if there is no file yet.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        with self._opened(writes=False) as connection:
            return nothing if connection is None else query(connection)

    def close(self) -> None:
        """Close the connections of this process; what is used later opens them again."""
        for door in self._doors():
            with door.lock:
                door.close()
        forks.ignore(self)

    def before_fork(self) -> None:
        """Close the connections, so that the child inherits none."""
        deadline = time.monotonic() + _LONGEST_FORK_WAIT
        for door in self._doors():
            # A thread that is about to open one holds the lock and waits for the end of the fork.
            if door.connection is not None and door.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                door.close()
                door.lock.release()

    def after_fork(self) -> None:
        """In the child: begin anew, and keep what could not be closed before, as closing it is the parent's."""
        self._pid = os.getpid()
        self._inherited += [self._writer, self._reader]
        self._writer, self._reader = _Door(), _Door()

    def _doors(self) -> tuple[_Door, _Door]:
        if os.getpid() != self._pid:  # a server that forks in C may call no hook
            self.after_fork()
        return self._writer, self._reader

    @contextlib.contextmanager
    def _opened(self, *, writes: bool) -> Iterator[sqlite3.Connection | None]:
        door = self._doors()[0 if writes else 1]
        with door.lock:
            try:
                try:
                    self._open(door, writes=writes)
                except sqlite3.DatabaseError as error:
                    if not _damaged(error) or not self._set_aside(door, str(error)):
                        raise
                    self._open(door, writes=writes)
                yield door.connection
            except (sqlite3.Error, OSError) as error:
                inode = door.inode
                door.close()
                door.inode = inode
                if _damaged(error):
                    self._set_aside(door, str(error))
                raise

    def _write(self, transaction: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._opened(writes=True) as connection:
            assert connection is not None
            if self._shrink_log(connection) > self._wal * _LARGEST_LOG:
                raise sqlite3.OperationalError("the write-ahead log is full, a process reads and does not end")
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = transaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            with contextlib.suppress(sqlite3.OperationalError):
                self._shrink_log(connection)
            return result

    def _open(self, door: _Door, *, writes: bool) -> None:
        """Open the connection, unless the one of before still leads to the file."""
        inode = self._inode()
        if door.connection is not None and inode == door.inode:
            return
        door.close()
        door.inode = inode
        if not inode and not writes:
            return
        forks.watch(self)
        # Nothing is opened while the process forks (see `before_fork`), nor while another process sets the file aside:
        # SQLite finds the write-ahead log by its name, and must not take that of the next file.
        with forks.held_off, self._folder_lock():
            if not self._inode():
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            door.inode = self._inode()
            door.connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY,
                isolation_level=None,
                check_same_thread=False,
            )
            version = self._prepare(door.connection)
        if version != self._version:
            reason = f"its version is {version}, not {self._version}"
            if not self._set_aside(door, reason):
                raise sqlite3.OperationalError(reason)
            self._open(door, writes=True)

    def _prepare(self, connection: sqlite3.Connection) -> int:
        """Make the tables if there are none; returns the version of the file."""
        version = _number(connection, "user_version")
        if version == 0:
            version = self._version
            connection.executescript(
                f"PRAGMA page_size={PAGE}; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
                f"PRAGMA synchronous=OFF; BEGIN IMMEDIATE; {self._schema};"
                f"PRAGMA user_version={version}; COMMIT"
            )
        connection.executescript(
            "PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-1024;"
            f"PRAGMA wal_autocheckpoint={max(8, self._wal // 2 // PAGE)}; PRAGMA journal_size_limit={self._wal}"
        )
        return version

    def _shrink_log(self, connection: sqlite3.Connection) -> int:
        """Empty the write-ahead log if it is too large, as SQLite's own checkpoints never end while others write.

        A checkpoint waits for those who write, but not for another checkpoint; so all processes wait here for that one.

        Returns:
            Bytes of the log.
        """
        try:
            if (size := self._log.stat().st_size) <= self._wal + PAGE:
                return size
            connection.execute(f"PRAGMA busy_timeout={round(1000 * _LONGEST_CHECKPOINT / 5)}")
            deadline = time.monotonic() + _LONGEST_CHECKPOINT
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < deadline:
                time.sleep(_PAUSE)
            connection.execute(f"PRAGMA busy_timeout={round(1000 * _BUSY)}")
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _set_aside(self, door: _Door, reason: str) -> bool:
        """Rename the file, so that the next one to open it begins a new one.

        Returns:
            Whether the file of the door is away.
        """
        if time.monotonic() < self._set_aside_at + _SET_ASIDE_AGAIN:
            return False
        with contextlib.suppress(OSError), self._folder_lock():
            if self._inode() != door.inode:  # another process was first
                return True
            earlier = sorted(self._path.parent.glob(f"{self._path.name}.damaged-*"))
            numbers = [int(each.suffix[9:]) for each in earlier if each.suffix[9:].isdigit()]
            target = Path(f"{self._path}.damaged-{max(numbers, default=0) + 1}")
            self._path.rename(target)
            for each in (*earlier, self._log, Path(f"{self._path}-shm")):
                each.unlink(missing_ok=True)
            self._set_aside_at = time.monotonic()
            _logger.warning(
                "The file %s cannot be used (%s); it is kept as %s and a new one is begun",
                self._path,
                reason,
                target.name,
            )
            return True
        return False

    @contextlib.contextmanager
    def _folder_lock(self) -> Iterator[None]:
        """One process at a time begins a file or sets one aside."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + _BUSY
            while True:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.005)
            yield
        finally:
            fcntl.flock(folder, fcntl.LOCK_UN)  # a process that was forked meanwhile has the folder open, too
            os.close(folder)

    def _inode(self) -> int:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return 0


def _damaged(error: Exception) -> bool:
    # "Malformed" and "not a database" are of this class itself; a full disk or a busy file is of a subclass.
    return type(error) is sqlite3.DatabaseError


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
