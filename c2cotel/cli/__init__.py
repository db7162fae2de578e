"""The command `c2cotel`: one module of this package is one command, imported when it is called."""

from __future__ import annotations

import importlib
import warnings

import click

from c2cotel._version import VERSION

COMMANDS = {
    "dashboard": "Write a Grafana dashboard and alert rules for the routes of an application.",
    "debug-token": "Make a token that asks for everything about a request.",
    "doctor": "Show every setting and its origin, and what is wrong with them.",
    "genversion": "Write the file that versions.json serves.",
    "demo": "See it work: an application, its metrics, a log line and a trace.",
    "models-graph": "Draw the classes of an SQLAlchemy model, as dot or Mermaid.",
    "run": "Serve the application of an ini file with gunicorn.",
    "stats-db": "Send the rows and sizes of a database's tables as gauges.",
    "tap": "Print the statsd lines that arrive on a UDP port.",
}
"""Name of each command, which is also its module here (`-` is `_`; in it: `command`), and its line in the list."""


class _LazyGroup(click.Group):
    """Lists its commands from `COMMANDS`, without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="c2cotel", message="%(prog)s %(version)s")
def main() -> None:
    """Metrics, traces and logs of Pyramid applications."""
    # Pyramid 2.1 uses it; whoever calls a command can do nothing about that.
    warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
