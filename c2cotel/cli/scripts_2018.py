"""The scripts of 2018, which are commands now."""

from __future__ import annotations

import importlib

import click


def run() -> None:
    """`c2cwsgiutils_run`."""
    _call("c2cwsgiutils_run", "run")


def genversion() -> None:
    """`c2cwsgiutils_genversion.py`."""
    _call("c2cwsgiutils_genversion.py", "genversion")


def stats_db() -> None:
    """`c2cwsgiutils_stats_db.py`."""
    _call("c2cwsgiutils_stats_db.py", "stats-db")


def _call(old: str, name: str) -> None:
    click.echo(f"{old} is deprecated: use c2cotel {name}", err=True)
    importlib.import_module("c2cotel.compat")
    command = importlib.import_module(f"c2cotel.cli.{name.replace('-', '_')}").command
    command(prog_name=old)
