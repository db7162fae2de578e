"""`c2cotel run`: gunicorn with the application of an ini file."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import click

from c2cotel import ini
from c2cotel.config.declare import Settings
from c2cotel.config.settings import RunnerSettings

_PAUSE = 1.0
"""Seconds between a server that died and the next one."""
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# What gunicorn understands: reload, reopen logs, upgrade, more and fewer workers.
_PASSED_ON = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[GUNICORN OPTIONS]...")
@click.pass_context
def command(ctx: click.Context, options: tuple[str, ...]) -> None:
    """Serve the application of an ini file with gunicorn.

    The ini is named by C2COTEL_CONFIG (or C2CWSGIUTILS_CONFIG), else it is /app/production.ini; it may use every
    environment variable as %(NAME)s. Options of gunicorn come from GUNICORN_PARAMS and from the command line, which
    wins. A server that dies with an error is started again after a second; one that is told to end by TERM or INT ends,
    after the requests it is answering.
    """
    if find_spec("gunicorn") is None or find_spec("plaster_pastedeploy") is None:
        raise click.ClickException("gunicorn is not installed: expected pip install 'c2cotel[run]'")
    file = ini.path()
    if not Path(ini.file_of(file)).is_file():
        raise click.ClickException(f"{file}: there is no such file. Expected an ini, named by C2COTEL_CONFIG")
    given = Settings(os.environ).section(RunnerSettings).gunicorn
    try:
        from_environment = shlex.split(given)
    except ValueError as error:
        raise click.ClickException(f"GUNICORN_PARAMS={given!r}: expected options as in a shell ({error})") from None
    gunicorn = [sys.executable, "-m", "gunicorn", *from_environment, *options, "c2cotel.ini:application()"]
    ctx.exit(_Supervisor(gunicorn).run())


class _Supervisor:
    """Runs a command until it ends well or is told to end.

    Args:
        command: and its arguments.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._ending = False
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Returns the exit code of the last one."""
        for number in (*_ENDING, *_PASSED_ON):
            signal.signal(number, self._pass_on)
        while True:
            self._process = subprocess.Popen(self._command)  # noqa: S603  # the operator's own server
            if self._ending:  # told so while it was started
                self._process.terminate()
            code = self._process.wait()
            if code == 0 or self._ending:
                return max(code, 0)
            reason = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            click.echo(f"The server ended {reason}; it is started again in {_PAUSE:g} s", err=True)
            if self._told_within(_PAUSE):
                return 128 - code if code < 0 else code

    def _told_within(self, seconds: float) -> bool:
        """Wait; returns whether it was told to end. A signal handler must not wake a lock."""
        until = time.monotonic() + seconds
        while not self._ending and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
        return self._ending

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        if number in _ENDING:
            self._ending = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
