"""`c2cotel models-graph`: draws an SQLAlchemy model."""

from __future__ import annotations

from importlib.util import find_spec

import click

from c2cotel import models_graph
from c2cotel.cli._imports import look_here


@click.command()
@click.argument("model", metavar="MODULE[:BASE]")
@click.option("--format", "kind", type=click.Choice(models_graph.FORMATS), default="dot", show_default=True)
def command(model: str, kind: str) -> None:
    """Draw the tables of an SQLAlchemy model and how they refer to each other.

    MODULE has the classes; BASE is their base class, needed when there is more than one. Modules are looked for in the
    current directory, too. The drawing goes to the standard output: c2cotel models-graph app.models | dot -Tsvg
    """
    if find_spec("paracelsus") is None:
        raise click.ClickException("paracelsus is not installed: expected pip install 'c2cotel[graph]'")
    look_here()
    try:
        click.echo(models_graph.graph(model, kind))
    except ImportError as error:
        raise click.ClickException(f"{model}: {error}") from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None
