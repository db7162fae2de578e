"""For scripts that need the application's settings, its database, or the application itself.

::

    parser = argparse.ArgumentParser()
    setup_process.fill_arguments(parser)
    arguments = parser.parse_args()
    with setup_process.bootstrap_application_from_options(arguments) as env:
        env["request"].dbsession.query(...)

A job that needs no more than logs, metrics and Sentry calls `init`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import c2cotel
from c2cotel import ini, logs
from c2cotel.errors import SettingsError

URI = f"c2c://{ini.DEFAULT}"
"""The ini where the command line names none."""


def init(config_file: str | None = None) -> None:
    """Set up logging by an ini file, and all that the environment asks for, in a script or a worker.

    Args:
        config_file: the ini; when left out, as `c2cotel.logs.init` has it.
    """
    logs.init(config_file)
    c2cotel.setup()


def fill_arguments(parser: argparse.ArgumentParser, use_attribute: bool = False, default_config_uri: str = URI) -> None:
    """Add the arguments that name an ini and its variables, as those of pshell.

    Args:
        parser: of the script.
        use_attribute: whether the ini is the option ``--config-uri``; else it is the first argument.
        default_config_uri: the ini where none is named.
    """
    if use_attribute:
        parser.add_argument("--config-uri", default=default_config_uri, help="The ini, such as c2c://production.ini.")
    else:
        parser.add_argument(
            "config_uri", nargs="?", default=default_config_uri, help="The ini, such as c2c://production.ini."
        )
    name = "--config-vars" if use_attribute else "config_vars"
    parser.add_argument(name, nargs="*", default=(), help="Variables of the ini, such as http_port=8080.")


def bootstrap_application_from_options(options: argparse.Namespace) -> Any:
    """`bootstrap_application` by what `fill_arguments` read.

    Args:
        options: of the parser.

    Raises:
        SettingsError: the file cannot be used; says why.
    """
    variables: dict[str, str] = {}
    for word in options.config_vars:
        name, mark, value = word.partition("=")
        if not mark:
            raise SettingsError(f"{word!r}: expected a variable of the ini as name=value")
        variables[name] = value
    return bootstrap_application(options.config_uri, variables)


def bootstrap_application(config_uri: str = URI, options: Mapping[str, str] | None = None) -> Any:
    """The application of an ini with a request for scripts, as `pyramid.paster.bootstrap` gives it.

    Args:
        config_uri: the ini; it may use the environment, with ``c2c://`` before it or without.
        options: variables of the ini beside the environment's.

    Returns:
        A context manager of a dictionary: `app`, `root`, `registry`, `request` and more.

    Raises:
        SettingsError: the file cannot be used; says why.
    """
    from pyramid.paster import bootstrap  # noqa: PLC0415  # not every script needs it

    name = config_uri.removeprefix("c2c://")
    ini.set_up_logging(name, options)
    return bootstrap(name, options={**ini.defaults(name), **(options or {})})
