"""The folder that the processes of one service on one host share."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from c2cotel.delivery.once import Once

_logger = logging.getLogger(__name__)

_MODE = 0o700
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 60


def parent_folder(setting: str | None, environ: Mapping[str, str]) -> Path:
    """Where the folders of services lie.

    Args:
        setting: `C2C_STATE_DIR`; None if it is not set.
        environ: The environment: systemd's ``RUNTIME_DIRECTORY``, then ``XDG_RUNTIME_DIR``, else the temporary folder.
    """
    if setting:
        return Path(setting)
    if runtime := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(runtime)
    if user := environ.get("XDG_RUNTIME_DIR"):
        return Path(user) / "c2cotel"
    return Path(_temporary_folder(environ)) / f"c2cotel-{os.getuid()}"


def _temporary_folder(environ: Mapping[str, str]) -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # none can be written; what needs the folder says so, once
        return environ.get("TMPDIR") or "/tmp"  # noqa: S108  # only as the name of what cannot be had


def service_folder(parent: Path, service: str, prefix: str) -> Path:
    """The folder of one service: its name, and a hash of what tells two services of one name apart.

    Args:
        parent: Where the folders of services lie.
        service: Name of the service.
        prefix: `C2C_BROADCAST_PREFIX`.
    """
    identity = f"{Path.cwd()}\0{prefix}\0{service}".encode("utf-8", "surrogateescape")
    name = _UNSAFE.sub("_", service)[:_LONGEST_NAME].strip(".") or "service"
    return parent / f"{name}-{hashlib.sha256(identity).hexdigest()[:12]}"


class StateFolder:
    """The folder of this service, made and checked when it is first needed.

    It must belong to the user, with mode 0700, and so must its parent where we make that. Where this cannot be had,
    one warning says why, and everything that needs the folder is off.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._complaints = Once()
        self._usable: bool | None = None

    @property
    def service(self) -> str:
        """Name of the service, as far as a file's name can hold it."""
        return self.path.name.rpartition("-")[0]

    def usable(self) -> bool:
        """Whether the folder is there and ours; made if it is not there yet."""
        if self._usable and self.path.is_dir():
            return True
        reason = problem(self.path, make=True)
        self._usable = reason is None
        if reason is not None and self._complaints.first("folder"):
            _logger.warning(
                "%s: what the processes of this host share is off, such as broadcasts between them without Redis "
                "(C2C_STATE_DIR names another folder; logged once)",
                reason,
            )
        return self._usable

    def is_there(self) -> bool:
        """Whether the folder was made and checked by this process."""
        return bool(self._usable)

    def below(self, name: str) -> Path | None:
        """A folder in it; None where there is none to be had."""
        if not self.usable():
            return None
        folder = self.path / name
        try:
            folder.mkdir(mode=_MODE, exist_ok=True)
        except OSError as error:
            if self._complaints.first(name):
                _logger.warning("%s cannot be made: %s (logged once)", folder, error.strerror)
            return None
        return folder


def problem(path: Path, *, make: bool) -> str | None:
    """What is wrong with a folder of a service; None if nothing is.

    Args:
        path: The folder.
        make: Whether it is made, and its parent with it, if it is not there.
    """
    for folder in (path.parent, path):
        if make:
            try:
                folder.mkdir(mode=_MODE, parents=True, exist_ok=True)
            except OSError as error:
                return f"The folder {folder} cannot be made ({error.strerror})"
    try:
        status = path.lstat()
    except OSError as error:
        return f"The folder {path} cannot be read ({error.strerror})"
    mode = stat.S_IMODE(status.st_mode)
    wrong = {
        f"{path} is no folder": not stat.S_ISDIR(status.st_mode),
        f"The folder {path} belongs to another user (uid {status.st_uid})": status.st_uid != os.getuid(),
        f"The folder {path} has mode {mode:04o}: expected 0700": mode != _MODE,
        f"The folder {path} cannot be written": not os.access(path, os.W_OK | os.X_OK),
    }
    return next((reason for reason, applies in wrong.items() if applies), None)
