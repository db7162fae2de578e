"""`c2cotel demo`: everything that c2cotel sends, seen at the other end."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from io import TextIOWrapper

import click

from c2cotel.config.parsers import seconds
from c2cotel.errors import SettingsError

_NEEDED = {
    "gunicorn": "gunicorn",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
    "c2cotel_views": "c2cotel-views",
    "sqlalchemy": "SQLAlchemy",
}
"""Modules that the demo needs beyond what c2cotel itself does, and the distributions they come in."""


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:  # noqa: ARG001  # click's
    if value is None:
        return None
    try:
        return seconds(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: expected {error}", param_hint="--seconds (DEMO_SECONDS)") from None


@click.command()
@click.option(
    "--seconds",
    "duration",
    metavar="SECONDS",
    callback=_seconds,
    envvar="DEMO_SECONDS",
    show_envvar=True,
    help="End by itself this long after the application's first answer; until Ctrl-C when left out.",
)
@click.pass_context
def command(ctx: click.Context, duration: float | None) -> None:
    """See it work: an application, its metrics, a log line and a trace.

    Runs a small Pyramid application under gunicorn and sends it requests. Shows the statsd lines as they arrive, and
    the JSON log line and the spans of one request, tied by their trace id. Nothing leaves this machine. c2cotel's
    variables in the environment count, apart from where things are sent: try STATSD_USE_TAGS=1.

    The exit code is 1 if, in the seconds asked for, any of the three did not arrive.
    """
    missing = [distribution for module, distribution in _NEEDED.items() if not _installed(module)]
    if missing:
        raise click.ClickException(
            f"the demo needs {' and '.join(missing)}, not installed here: pip install 'c2cotel[all]'"
        )
    # An application's text may hold what the terminal cannot show.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    from c2cotel.demo.run import run  # noqa: PLC0415  # needs what was just looked for

    try:
        code = run(duration)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    ctx.exit(code)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False
