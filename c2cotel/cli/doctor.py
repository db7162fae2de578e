"""`c2cotel doctor`: what a service is set to, and what is wrong with that."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from c2cotel import doctor, ini
from c2cotel.config.declare import Settings
from c2cotel.errors import SettingsError


@click.command()
@click.option("--config", "file", metavar="INI", help="The ini of the application, if not that of C2COTEL_CONFIG.")
@click.option("--no-connect", is_flag=True, help="Do not try to reach servers.")
@click.option("--all", "show_all", is_flag=True, help="Show the settings that have their defaults, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, file: str | None, no_connect: bool, show_all: bool, as_json: bool) -> None:
    """Show every setting and its origin, and what is wrong with them.

    Looks for misspelt names, texts that cannot be understood, a weak secret, servers that cannot be reached, and what
    harms an application: run it where the application runs, with its environment. The statsd server is sent an
    empty line, which changes no metric. Problems come first; the exit code is 1 if there is one.
    """
    ini_settings: dict[str, Any] = {}
    text = ""
    file = file or _named()
    if file is not None:
        try:
            ini_settings, text = ini.settings(file)
        except (SettingsError, ImportError) as error:
            raise click.ClickException(str(error)) from None
    report = doctor.examine(
        Settings(os.environ, ini_settings), ini_text=text, connect=not no_connect, directory=Path.cwd()
    )
    if as_json:
        click.echo(json.dumps(doctor.as_json(report), indent=2))
    else:
        _print(report, file, show_all=show_all)
    ctx.exit(1 if report.problems else 0)


def _named() -> str | None:
    """The ini that `c2cotel run` would take; None if none is named and the default one is not there."""
    file = ini.path()
    return file if file != ini.DEFAULT or Path(ini.file_of(file)).is_file() else None


def _print(report: doctor.Report, file: str | None, *, show_all: bool) -> None:
    for problem in report.problems:
        click.echo(click.style("problem  ", fg="red") + str(problem))
    count = len(report.problems)
    click.echo(f"{count} problem{'' if count == 1 else 's'} found." if count else "No problem found.")
    settings = [item for item in report.settings if show_all or item.origin != "default"]
    click.echo(f"\nSettings, from the environment and {file or 'no ini'}:")
    width = max((len(item.name) for item in settings), default=0)
    for item in settings:
        origin = item.origin if item.ini is None else f"ini, {item.ini}"
        click.echo(f"  {item.name:<{width}}  {item.value}  ({origin})")
    if hidden := len(report.settings) - len(settings):
        click.echo(f"  {hidden} settings have their defaults; --all shows them")
