"""Files of an application that use the import names of 2018 without what gives them these."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from c2cotel.doctor._report import Problem

_OLD = "c2cwsgiutils"
_COMPAT = "c2cotel.compat"
_ENTRY_POINTS = frozenset({"conftest.py", "env.py", "models_graph.py"})
"""What is run by something else than the application: pytest, alembic, a build."""
_USES = re.compile(rf"^\s*(?:import|from)\s+{_OLD}\b", re.MULTILINE)
_DEEPEST = 4
_MOST_FOLDERS = 2000


def without_compat(directory: Path | None) -> Iterator[Problem]:
    """Entry points below a directory that would not find the names of 2018.

    Args:
        directory: of the application; None: nothing is looked at.
    """
    if directory is None or _is_installed():
        return
    for file in _files(directory):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        use = _USES.search(text)
        if use is not None and _COMPAT not in text[: use.start()]:
            shown = file.relative_to(directory)
            yield Problem(
                str(shown), f"imports {_OLD} without c2cotel.compat: expected `import {_COMPAT}` as its first import"
            )


def _is_installed() -> bool:
    try:
        distribution(_OLD)
    except PackageNotFoundError:
        return False
    return True


def _files(directory: Path) -> Iterator[Path]:
    start = len(directory.parts)
    for number, (folder, folders, files) in enumerate(os.walk(directory)):
        if number >= _MOST_FOLDERS:
            return
        depth = len(Path(folder).parts) - start
        folders[:] = sorted(
            name
            for name in folders
            if depth < _DEEPEST and not name.startswith((".", "_")) and name not in {"node_modules", "site-packages"}
        )
        yield from (Path(folder) / name for name in sorted(files) if name in _ENTRY_POINTS)
