"""Ini files that may use every environment variable, as in ``sqlalchemy.url = %(SQLALCHEMY_URL)s``."""

from __future__ import annotations

import configparser
import functools
import importlib
import logging
import logging.handlers
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from c2cotel.config.declare import Settings
from c2cotel.config.settings import RunnerSettings
from c2cotel.errors import SettingsError

DEFAULT = "/app/production.ini"
"""The file when nothing names one."""

_REMARK = re.compile(r"\s[#;].*")
"""What people write behind a value: for the file it is part of the value."""

_SCHEME = "c2c://"
"""What the later versions of the library of 2018 write before a file whose ini uses the environment."""


def path() -> str:
    """The file that `C2COTEL_CONFIG` or `C2CWSGIUTILS_CONFIG` names."""
    settings = Settings(os.environ).section(RunnerSettings)
    return settings.config or settings.config_2018 or DEFAULT


def application(file: str | None = None) -> Any:
    """The WSGI application of an ini file; its logging is set up before the application is imported.

    Args:
        file: the ini; `path` when left out. ``file.ini#name`` takes another than `main`.

    Raises:
        SettingsError: the file cannot be used; says why.
    """
    name = file or path()
    logging.captureWarnings(capture=True)
    loader, variables, text = _loader(name)
    _set_up_logging(name, loader, _of_logging(text, variables))
    try:
        made = loader.get_wsgi_app(None, variables)
    except configparser.Error as error:
        raise _explained(name, error) from None
    _tell_ready()
    return made


def _tell_ready() -> None:
    """Tell `c2cotel run` that the application could be made: a server that dies later is worth another start."""
    if ready := os.environ.get("C2COTEL_READY_FILE"):
        with suppress(OSError):
            Path(ready).touch()


def settings(file: str) -> tuple[dict[str, Any], str]:
    """What the application of an ini file is set to, and the text of the file; nothing is imported or set up.

    Raises:
        SettingsError: the file cannot be used; says why.
    """
    loader, variables, text = _loader(file)
    _, _, name = file.partition("#")
    section = f"app:{name or 'main'}"
    try:
        if section not in loader.get_sections():
            raise SettingsError(f"{file}: it has no section [{section}]")
        options = dict(loader.get_settings(section, variables))
    except configparser.Error as error:
        raise _explained(file, error) from None
    return options, text


def set_up_logging(file: str, more: Mapping[str, str] | None = None) -> bool:
    """Set up logging as an ini file says, if it does; loggers that are there stay enabled.

    Args:
        file: the ini.
        more: variables beside the environment's.

    Raises:
        SettingsError: the file cannot be used; says why.
    """
    loader, variables, text = _loader(file)
    if "loggers" not in loader.get_sections():
        return False
    _set_up_logging(file, loader, _of_logging(text, {**variables, **(more or {})}))
    return True


def _set_up_logging(file: str, loader: Any, variables: Mapping[str, str]) -> None:
    try:
        loader.setup_logging(variables)
    except configparser.Error as error:
        raise _explained(file, error) from None
    except (KeyError, ValueError, TypeError, ImportError, AttributeError, OSError) as error:
        raise SettingsError(f"{file}: its logging cannot be set up: {error!r}") from error


def defaults(file: str) -> dict[str, str]:
    """The environment as defaults of an ini, whose names of another library can be imported from now on.

    Raises:
        SettingsError: the file cannot be used; says why.
    """
    text = _read(file)
    try:
        _prepare_names(text)
        return variables(text, os.environ)
    except configparser.Error as error:
        raise _explained(file, error) from None


def logging_config(file: str | None = None) -> dict[str, Any]:
    """The logging of an ini for `logging.config.dictConfig`: ``logconfig_dict`` of a `gunicorn.conf.py`.

    Args:
        file: the ini; `path` when left out.

    Raises:
        SettingsError: the file cannot be used; says why.
    """
    name = file or path()
    texts = _of_logging(_read(name), defaults(name))
    parser = configparser.ConfigParser({**texts, "here": str(Path(file_of(name)).absolute().parent)})
    try:
        parser.read_string(_read(name))
        return dict_config(parser)
    except (configparser.Error, KeyError, ValueError, SyntaxError) as error:
        raise SettingsError(f"{name}: its logging cannot be understood: {error!r}") from error


def dict_config(parser: configparser.ConfigParser) -> dict[str, Any]:
    """What `logging.config.fileConfig` would do with a file, as `logging.config.dictConfig` takes it."""

    def names(kind: str) -> list[str]:
        return _names(parser.get(kind, "keys", fallback="")) if parser.has_section(kind) else []

    config: dict[str, Any] = {"version": 1, "disable_existing_loggers": False}
    config["formatters"] = {name: _formatter(parser[f"formatter_{name}"]) for name in names("formatters")}
    config["handlers"] = {name: _handler(parser[f"handler_{name}"]) for name in names("handlers")}
    config["loggers"] = {}
    for name in names("loggers"):
        section = parser[f"logger_{name}"]
        logger: dict[str, Any] = {"handlers": _names(section.get("handlers", ""))}
        if level := section.get("level"):
            logger["level"] = level
        if name == "root":
            config["root"] = logger
        else:
            logger["propagate"] = section.getboolean("propagate", fallback=True)
            config["loggers"][section["qualname"]] = logger
    return config


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _formatter(section: configparser.SectionProxy) -> dict[str, Any]:
    formatter = {
        key: section.get(key, raw=True) for key in ("format", "datefmt", "style") if section.get(key, raw=True)
    }
    return {**formatter, **({"()": section["class"]} if section.get("class") else {})}


def _handler(section: configparser.SectionProxy) -> dict[str, Any]:
    kind = section["class"]
    arguments = eval(section.get("args", "()"), vars(logging))  # noqa: S307  # as fileConfig does
    options = eval(section.get("kwargs", "{}"), vars(logging))  # noqa: S307
    path = kind if "." in kind and not kind.startswith("handlers.") else f"logging.{kind}"
    module, _, name = path.rpartition(".")
    make = getattr(importlib.import_module(module), name)
    handler: dict[str, Any] = {"()": functools.partial(make, *arguments, **options)}
    for key in ("level", "formatter"):
        if section.get(key):
            handler[key] = section[key]
    return handler


def file_of(name: str) -> str:
    """The file of what names an application: ``c2c://production.ini#main`` is ``production.ini``."""
    return name.removeprefix(_SCHEME).partition("#")[0]


def _read(file: str) -> str:
    ini_file = file_of(file)
    try:
        return Path(ini_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"{ini_file}: {reason}. Expected the ini file of the application: name it in C2COTEL_CONFIG"
        ) from None


def _loader(file: str) -> tuple[Any, dict[str, str], str]:
    import plaster  # noqa: PLC0415  # an extra

    texts = defaults(file)
    return plaster.get_loader(file.removeprefix(_SCHEME), protocols=["wsgi"]), texts, _read(file)


def _prepare_names(text: str) -> None:
    """Load what gives the file the names of another library that it uses, such as `c2cotel.compat`.

    The file is read before its application has a chance to import that.
    """
    values = [_REMARK.sub("", value) for section in _parsed(text).values() for value in section.values()]
    for entry_point in entry_points(group="c2cotel.ini_names"):
        # Not the name of a database, a folder, a host or a package with hyphens.
        name = re.compile(rf"(?<![\w/@.-]){re.escape(entry_point.name)}(?![\w/@-])")
        if any(name.search(value) for value in values):
            entry_point.load()


def _parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as Paste has it
    parser.read_string(text)
    return parser


def variables(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as defaults of an ini: a ``%`` in a value stays one.

    A variable that is named like an option of the file is left out: Paste would take the option for one of all sections
    and drop it.
    """
    parser = _parsed(text)
    options = {option for section in parser.sections() for option in parser.options(section)}
    return {name: value.replace("%", "%%") for name, value in environ.items() if name not in options}


def _of_logging(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Those that the file uses: `logging` knows no case, and takes a `LEVEL` or a `FORMATTER` for its own option.

    Of two names that differ in case alone, such as `http_proxy`, the one that is spelt as in the file stays.
    """
    low = text.lower()
    used = [name for name in variables if f"%({name.lower()})s" in low]
    return {name.lower(): variables[name] for name in sorted(used, key=lambda name: f"%({name})s" in text)}


def _explained(file: str, error: configparser.Error) -> SettingsError:
    if isinstance(error, configparser.InterpolationMissingOptionError):
        return SettingsError(
            f"{file}: {error.option} in [{error.section}] uses %({error.reference})s, which is neither an environment "
            "variable nor a value of the file"
        )
    return SettingsError(f"{file}: {' '.join(str(error).split())}")
