"""What the flight recorder has in the folder of its service: the store, and the running requests."""

from __future__ import annotations

import threading
from pathlib import Path

from c2cotel.host.directory import StateFolder
from c2cotel.host.running import Running
from c2cotel.host.store import Store


class Files:
    """Opened once a process, when it answers its first request.

    Args:
        folder: The folder of the service.
        size: Bytes of the store; 0 for none.

    Attributes:
        store: The store of the host; None until it is opened, and where it cannot be had.
        running: The running requests of this process; None until they are opened, and where they cannot be had.
    """

    def __init__(self, folder: StateFolder, size: int) -> None:
        self.store: Store | None = None
        self.running: Running | None = None
        self._folder = folder
        self._size = size
        self._unusable = False
        self._opening = threading.Lock()

    def open(self) -> bool:
        """Open both; returns whether they can be had."""
        with self._opening:
            if self.running is None and not self._unusable:
                folder = self.running_folder()
                if folder is None:
                    self._unusable = True
                else:
                    if self._size:
                        self.store = Store(self._folder.path / "store.sqlite", self._size)
                    self.running = Running(folder)
        return not self._unusable

    def running_folder(self) -> Path | None:
        """The folder with the running requests of all processes, made if need be; None if it cannot be had."""
        return self._folder.below("running")

    def existing_folder(self) -> Path | None:
        """The same, once a process that answers requests has made it."""
        folder = self._folder.path / "running"
        return folder if folder.is_dir() and self.open() else None

    def after_fork(self) -> None:
        """In a forked child: renew the lock; store and running requests look after themselves."""
        self._opening = threading.Lock()

    def close(self) -> None:
        """Close both."""
        if self.running is not None:
            self.running.close()
        if self.store is not None:
            self.store.close()
