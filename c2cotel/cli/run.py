"""`c2cotel run`: gunicorn with the application of an ini file."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import click

from c2cotel import ini
from c2cotel.config.declare import Settings
from c2cotel.config.settings import APPLICATION, PROCESS, RunnerSettings
from c2cotel.errors import SettingsError

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds between a server that died and the next one: twice as many each time that it dies soon."""
_HEALTHY = 60.0
"""Seconds after which a server that dies has not died soon."""
_READY = "C2COTEL_READY_FILE"
"""The variable that tells a worker where to say that it is ready."""
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
    wins. A server that dies with an error is started again, after a second at first and after 30 at most; one that
    never became ready is not: it ends with its exit code. TERM and INT end it after the requests it is answering.
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
    check_settings(file)
    arguments = with_one_bind(from_environment, list(options))
    if not any(argument.startswith("--logger-class") for argument in arguments):
        arguments = ["--logger-class", "c2cotel.cli.gunicorn_logger.IniLogger", *arguments]
    if not any("control-socket" in argument for argument in arguments) and _lacks_control_socket():
        arguments = ["--no-control-socket", *arguments]
    gunicorn = [sys.executable, "-m", "gunicorn", *arguments, "c2cotel.ini:application()"]
    ctx.exit(_Supervisor(gunicorn).run())


def check_settings(file: str) -> None:
    """Refuse what can never work before anything is started.

    Raises:
        ClickException: the ini cannot be read, or a setting has a value that is not understood.
    """
    try:
        options, _ = ini.settings(file)
        settings = Settings(os.environ, options)
        for section in (*APPLICATION, *PROCESS):
            settings.section(section)
    except (SettingsError, ImportError) as error:
        raise click.ClickException(str(error)) from None


def with_one_bind(from_environment: list[str], from_command_line: list[str]) -> list[str]:
    """The options of gunicorn, which listens on every address that it is given.

    Args:
        from_environment: Options of `GUNICORN_PARAMS`, or the default ones.
        from_command_line: Options of the command line; addresses there take the place of the others.
    """
    if any(_is_bind(option) for option in from_command_line):
        from_environment = _without_bind(from_environment)
    return [*from_environment, *from_command_line]


def _is_bind(option: str) -> bool:
    return option in ("-b", "--bind") or option.startswith("--bind=") or (option.startswith("-b") and len(option) > 2)  # noqa: PLR2004


def _without_bind(options: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for option in options:
        if skip:
            skip = False
        elif option in ("-b", "--bind"):
            skip = True
        elif not _is_bind(option):
            kept.append(option)
    return kept


def _lacks_control_socket() -> bool:
    """Whether gunicorn would make a socket at home where nothing can be written, as on a read-only root."""
    from gunicorn.config import KNOWN_SETTINGS  # noqa: PLC0415  # an extra; older versions have no such socket

    makes_one = any("--no-control-socket" in (setting.cli or ()) for setting in KNOWN_SETTINGS)
    return makes_one and not os.access(Path("~").expanduser(), os.W_OK | os.X_OK)


class _Supervisor:
    """Runs a command until it ends well or is told to end.

    Args:
        command: and its arguments.
    """

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._ending = False
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = Path()
        self._environment: dict[str, str] = {}

    def run(self) -> int:
        """Returns the exit code of the last one."""
        for number in (*_ENDING, *_PASSED_ON):
            signal.signal(number, self._pass_on)
        with tempfile.TemporaryDirectory(prefix="c2cotel-run-") as folder:
            self._ready = Path(folder) / "ready"
            self._environment = {**os.environ, _READY: str(self._ready)}
            return self._supervise()

    def _supervise(self) -> int:
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            self._process = subprocess.Popen(self._command, env=self._environment)  # noqa: S603  # the operator's own server
            if self._ending:  # told so while it was started
                self._process.terminate()
            code = self._process.wait()
            if code == 0 or self._ending:
                return max(code, 0)
            reason = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            final = 128 - code if code < 0 else code
            if not self._ready.exists():
                click.echo(f"The server ended {reason} before it was ready, and is not started again", err=True)
                return final
            pause = _FIRST_PAUSE if time.monotonic() - started > _HEALTHY else pause
            click.echo(f"The server ended {reason}; it is started again in {pause:g} s", err=True)
            if self._told_within(pause):
                return final
            pause = min(2 * pause, _LONGEST_PAUSE)

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
