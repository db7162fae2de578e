"""How a setting is declared, read and checked: environment first, then the ini, then the default.

A group of settings is a frozen dataclass whose fields are made by `setting`; `Settings.section` reads it::

    @dataclass(frozen=True)
    class CacheSettings:
        ttl: float = setting("CACHE_TTL", "cache.ttl", parse=seconds, default=60.0, doc="How long an entry lives.")

    Settings(os.environ, config.registry.settings).section(CacheSettings).ttl
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from c2cotel import redaction, state
from c2cotel.errors import SettingsError

T = TypeVar("T")

_FAMILY = "{NAME}"


class _Defaults:
    """What settings are where neither the environment nor the ini says anything."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every default of the process; those of the declarations stay."""
        self.texts: dict[str, str] = {}


@dataclass(frozen=True)
class Declaration:
    """One setting as it is declared.

    Attributes:
        env: Name of the environment variable; with ``{NAME}`` in it, a family of variables (`dict` by lower-case name).
        ini: Names in the ini, first one wins; empty if the setting has none.
        parse: Makes the value of a text; raises `ValueError` whose message completes "expected ...".
        doc: One line for the reference page.
        shown: The default as the reference page shows it.
    """

    env: str
    ini: tuple[str, ...]
    parse: Callable[[str], Any]
    doc: str
    shown: str


def setting(
    env: str,
    *ini: str,
    parse: Callable[[str], Any],
    default: Any = None,
    doc: str,
    shown: str | None = None,
) -> Any:
    """A dataclass field that is one setting; see `Declaration` for the arguments."""
    if shown is None:
        shown = _shown(default)
    metadata = {"setting": Declaration(env, ini, parse, doc, shown)}
    if _FAMILY in env:
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return {None: "unset", "": "empty"}.get(default, f"`{default}`")


def unless_set(env: str, text: str) -> None:
    """Give a setting another default in this process.

    Args:
        env: Name of its environment variable.
        text: What the variable is taken to be where neither the environment nor the ini says anything.
    """
    state.of(_Defaults).texts[env] = text


class Settings:
    """The texts an application was started with, read section by section.

    Args:
        environ: the environment; an empty variable counts as unset.
        ini: the ini settings of the Pyramid `Configurator`, if there is one.

    Attributes:
        environ: a copy.
        ini: a copy.
    """

    def __init__(self, environ: Mapping[str, str], ini: Mapping[str, Any] | None = None) -> None:
        self.environ = dict(environ)
        self.ini = dict(ini or {})
        self._sections: dict[type, Any] = {}

    def section(self, cls: type[T]) -> T:
        """The section, parsed once.

        Raises:
            SettingsError: a text cannot be parsed; names the variable, the text and what is accepted.
        """
        if cls not in self._sections:
            self._sections[cls] = cls(**{name: self._value(declared) for name, declared in self._given(cls)})
        section: T = self._sections[cls]
        return section

    def must_agree(self, fixed: Settings, cls: type) -> None:
        """Refuse what differs from the values that an earlier `setup` fixed for the whole process.

        Raises:
            SettingsError: a setting given here has another value there; names it.
        """
        mine: Any = self.section(cls)
        theirs: Any = fixed.section(cls)
        for name, declared in self._given(cls):
            if getattr(mine, name) != getattr(theirs, name):
                source, text = self.texts(declared)[0]
                raise SettingsError(
                    redaction.anywhere(
                        f"{source}={text!r}: an earlier setup() of this process fixed {getattr(theirs, name)!r}"
                    )
                    + "; give both the same value, or close() that Telemetry first"
                )

    def origin(self, declared: Declaration) -> str | None:
        """The variable or ini name that decides a setting; None when it is the default."""
        texts = self.texts(declared)
        return texts[0][0] if texts else None

    def _given(self, cls: type) -> Iterator[tuple[str, Declaration]]:
        for name, declared in declarations(cls):
            if self.texts(declared):
                yield name, declared

    def texts(self, declared: Declaration) -> list[tuple[str, str]]:
        """(name, text) pairs that are set: the deciding one, or all members of a family."""
        if _FAMILY in declared.env:
            prefix = declared.env.removesuffix(_FAMILY)
            return [(k, v) for k, v in sorted(self.environ.items()) if k.startswith(prefix) and k != prefix and v]
        if variable := self.environ.get(declared.env):
            return [(declared.env, variable)]
        for name in declared.ini:
            if (value := self.ini.get(name)) is not None and (option := str(value)):
                return [(name, option)]
        text = state.of(_Defaults).texts.get(declared.env)
        return [] if text is None else [(declared.env, text)]

    def _value(self, declared: Declaration) -> Any:
        texts = self.texts(declared)
        if _FAMILY in declared.env:
            prefix = declared.env.removesuffix(_FAMILY)
            return {name.removeprefix(prefix).lower(): _parse(name, text, declared) for name, text in texts}
        return _parse(*texts[0], declared)


def declarations(cls: type) -> Iterator[tuple[str, Declaration]]:
    """(field name, declaration) of each setting of a section."""
    for item in fields(cls):
        yield item.name, item.metadata["setting"]


def _parse(name: str, text: str, declared: Declaration) -> Any:
    try:
        return declared.parse(text)
    except ValueError as error:
        raise SettingsError(f"{redaction.anywhere(f'{name}={text!r}')}: expected {error}") from None
