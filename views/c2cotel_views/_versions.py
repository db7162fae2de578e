"""The file that tells what an application is made of: ``{"main": {"git_hash"}, "packages": {name: version}}``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from c2cotel.plugin import SettingsError


def read(path: str) -> dict[str, Any] | None:
    """What the file holds; None when there is none.

    Raises:
        SettingsError: it cannot be read, or is no JSON object.
    """
    try:
        versions = json.loads(Path(path).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"C2C_VERSIONS_PATH={path!r}: expected a JSON file: {error}") from None
    if not isinstance(versions, dict):
        raise SettingsError(f"C2C_VERSIONS_PATH={path!r}: expected a JSON object in the file")
    return versions


def git_hash(path: str) -> str:
    """The git hash of the application.

    Raises:
        SettingsError: there is no file, or no hash in it.
    """
    main = (read(path) or {}).get("main")
    text = main.get("git_hash") if isinstance(main, dict) else None
    if not isinstance(text, str) or not text:
        raise SettingsError(f"C2C_VERSIONS_PATH={path!r}: expected a JSON file with a main.git_hash in it")
    return text
