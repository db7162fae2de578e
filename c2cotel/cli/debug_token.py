"""`c2cotel debug-token`: a token that asks for everything about a request."""

from __future__ import annotations

import os

import click

from c2cotel.runtime.flight.tokens import HEADER, MOST_MINUTES, MOST_USES, SHORTEST_SECRET, make


@click.command()
@click.option("--minutes", default=15.0, show_default=True, type=click.FloatRange(0, MOST_MINUTES, min_open=True))
@click.option("--route", default="", help="Name of the route that it is for; any if it is left out.")
@click.option("--uses", default=1, show_default=True, type=click.IntRange(1, MOST_USES))
def command(minutes: float, route: str, uses: int) -> None:
    """Make a token for requests that are to be traced, kept and logged with everything.

    It is signed with C2C_SECRET, which must be that of the service, and goes into the header X-C2C-Debug.
    """
    secret = os.environ.get("C2C_SECRET", "")
    if not secret:
        raise click.ClickException("C2C_SECRET is not set: expected the secret of the service")
    if len(secret) < SHORTEST_SECRET:
        click.echo(
            f"C2C_SECRET has {len(secret)} characters; whoever sees a token can guess it: "
            f"use {SHORTEST_SECRET} or more",
            err=True,
        )
    click.echo(make(secret, minutes * 60, route=route, uses=uses))
    times = "one request" if uses == 1 else f"{uses} requests"
    click.echo(f"Send it as the header {HEADER}; it is good for {times} within {minutes:g} minutes.", err=True)
