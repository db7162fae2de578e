"""`c2cotel genversion`: the file that `versions.json` serves."""

from __future__ import annotations

import json
import os
import tempfile
from importlib.metadata import distributions
from pathlib import Path

import click


@click.command()
@click.argument("commit", nargs=-1, metavar="[GIT_TAG] GIT_HASH")
@click.option("--output", default="versions.json", show_default=True, type=click.Path(path_type=Path, dir_okay=False))
def command(commit: tuple[str, ...], output: Path) -> None:
    """Write which commit the application is made of, and which packages are installed.

    GIT_TAG may be empty or left out.
    """
    *tags, git_hash = (word.strip() for word in commit or ("",))
    if not git_hash or len(tags) > 1:
        raise click.UsageError(f"expected the hash of a commit, before it its tag if it has one; got {list(commit)}")
    main = {"git_hash": git_hash, **({"git_tag": tags[0]} if any(tags) else {})}
    text = json.dumps({"main": main, "packages": packages()}, indent=2, sort_keys=True) + "\n"
    try:
        _write(output, text)
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror or error}") from None


def packages() -> dict[str, str]:
    """The version of each distribution that is installed; the first one found wins, as in an import."""
    versions: dict[str, str] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:
            versions.setdefault(name, distribution.version)
    return versions


def _write(output: Path, text: str) -> None:
    """All of it or nothing: the file may be served already."""
    number, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(output)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
