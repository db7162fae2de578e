"""The command `c2cotel`: one module of this package is one command, imported when it is called."""

from __future__ import annotations

import importlib

import click

from c2cotel._version import VERSION

COMMANDS = {
    "demo": "See it work: an application, its metrics, a log line and a trace.",
    "tap": "Print the statsd lines that arrive on a UDP port.",
}
"""Name of each command, which is also its module here (in it: `command`), and its line in the list of commands."""


class _LazyGroup(click.Group):
    """Lists its commands from `COMMANDS`, without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="c2cotel", message="%(prog)s %(version)s")
def main() -> None:
    """Metrics, traces and logs of Pyramid applications."""
