"""How a setting is declared, read and checked: environment first, then the ini, then the default.

A group of settings is a frozen dataclass whose fields are made by `setting`; `Settings.section` reads it::

    @dataclass(frozen=True)
    class CacheSettings:
        ttl: float = setting("CACHE_TTL", "cache.ttl", parse=seconds, default=60.0, doc="How long an entry lives.")

    Settings(os.environ, config.registry.settings).section(CacheSettings).ttl
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from c2cotel import redaction
from c2cotel.errors import SettingsError

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_FAMILY = "{NAME}"

_unless_set: dict[str, str] = {}


@dataclass(frozen=True)
class Declaration:
    """What is known of one setting.

    Attributes:
        env: name of the environment variable; with ``{NAME}`` in it, a family of variables (`dict` by lower-case name).
        ini: names in the ini, first one wins; empty when the setting has none.
        parse: text to value; raises `ValueError` whose message completes "expected ...".
        doc: one line for the reference page.
        shown: the default as the reference page shows it.
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


def text(value: str) -> str:
    """Any text."""
    return value


def boolean(value: str) -> bool:
    """``1 true t yes y on`` or ``0 false f no n off``, in any case."""
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("a boolean: 1, true, t, yes, y, on or 0, false, f, no, n, off")


def seconds(value: str) -> float:
    """A positive, finite number of seconds."""
    return _positive(value, float, "a positive number of seconds such as 0.5")


def milliseconds(value: str) -> float:
    """A positive, finite number of milliseconds, as OpenTelemetry's variables have it; the value is in seconds."""
    return _positive(value, float, "a positive number of milliseconds such as 5000") / 1000


def count(value: str) -> int:
    """A whole number of at least 1."""
    return _positive(value, int, "a whole number of at least 1")


def words(value: str) -> tuple[str, ...]:
    """Words separated by commas, blanks around them dropped."""
    return tuple(word for word in (part.strip() for part in value.split(",")) if word)


def choice(*accepted: str) -> Callable[[str], str]:
    """One of the given words, in any case."""

    def parse(value: str) -> str:
        word = value.strip().lower()
        if word not in accepted:
            raise ValueError(f"one of {', '.join(accepted)}")
        return word

    return parse


def _positive(value: str, kind: Callable[[str], T], expected: str) -> T:
    try:
        number = kind(value)
    except ValueError:
        raise ValueError(expected) from None
    if not (math.isfinite(number) and number > 0):  # type: ignore[arg-type, operator]  # int or float
        raise ValueError(expected)
    return number


def unless_set(env: str, held: str) -> None:
    """What a setting is where neither the environment nor the ini says anything."""
    _unless_set[env] = held


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
                source, found = self.texts(declared)[0]
                raise SettingsError(
                    redaction.anywhere(
                        f"{source}={found!r}: an earlier setup() of this process fixed {getattr(theirs, name)!r}"
                    )
                    + "; give both the same value, or close() that Telemetry first"
                )

    def origin(self, declared: Declaration) -> str | None:
        """The variable or ini name that decides a setting; None when it is the default."""
        found = self.texts(declared)
        return found[0][0] if found else None

    def _given(self, cls: type) -> Iterator[tuple[str, Declaration]]:
        for name, declared in declarations(cls):
            if self.texts(declared):
                yield name, declared

    def texts(self, declared: Declaration) -> list[tuple[str, str]]:
        """(name, text) pairs that are set: the deciding one, or all members of a family."""
        if _FAMILY in declared.env:
            prefix = declared.env.removesuffix(_FAMILY)
            return [(k, v) for k, v in sorted(self.environ.items()) if k.startswith(prefix) and k != prefix and v]
        if held := self.environ.get(declared.env):
            return [(declared.env, held)]
        for name in declared.ini:
            if (value := self.ini.get(name)) is not None and (held := str(value)):
                return [(name, held)]
        if declared.env in _unless_set:
            return [(declared.env, _unless_set[declared.env])]
        return []

    def _value(self, declared: Declaration) -> Any:
        found = self.texts(declared)
        if _FAMILY in declared.env:
            prefix = declared.env.removesuffix(_FAMILY)
            return {name.removeprefix(prefix).lower(): _parse(name, held, declared) for name, held in found}
        return _parse(*found[0], declared)


def declarations(cls: type) -> Iterator[tuple[str, Declaration]]:
    """(field name, declaration) of each setting of a section."""
    for item in fields(cls):
        yield item.name, item.metadata["setting"]


def _parse(name: str, held: str, declared: Declaration) -> Any:
    try:
        return declared.parse(held)
    except ValueError as error:
        raise SettingsError(f"{redaction.anywhere(f'{name}={held!r}')}: expected {error}") from None
