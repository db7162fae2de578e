"""The one recursion that hides secrets in values of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, TypeVar

from c2cotel.redaction._extents import HIDDEN
from c2cotel.redaction._names import COUNTED, is_secret, kind_of

_DEEPEST = 16
_MOST = 10_000
"""Values of one structure."""

_CUT = "…"
_Item = TypeVar("_Item")


class Hiding:
    """A walk through one value.

    Args:
        redact: hides what is secret in a text.
    """

    __slots__ = ("_left", "_path", "_redact")

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._left = _MOST
        self._path: list[int] = []

    def value(self, value: Any) -> Any:
        """The value without secrets: of the language's own simple types, lists, tuples and dicts alone."""
        if value is None or value is True or value is False:
            return value
        if self._left <= 0:
            return _CUT
        self._left -= 1
        try:
            return self._of_type(value)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # any object of the application may be met here
            return f"[{type(value).__name__} cannot be read: {type(error).__name__}]"

    def _of_type(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(str.__str__(value))
        if isinstance(value, int):
            return int.__int__(value)
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._redact(bytes(value).decode("latin-1")).encode("latin-1", "replace")
        if isinstance(value, (Mapping, list, tuple, AbstractSet)):
            return self._container(value)
        return self._redact(str(value))

    def _container(self, value: Any) -> Any:
        if id(value) in self._path or len(self._path) >= _DEEPEST:
            return _CUT
        self._path.append(id(value))
        try:
            if isinstance(value, Mapping):
                return self._mapping(value)
            if isinstance(value, tuple):
                return self._tuple(value)
            if isinstance(value, AbstractSet):
                return [self.value(item) for item in self._some(value)]
            return self._sequence(value)
        finally:
            self._path.pop()

    def _mapping(self, value: Mapping[Any, Any]) -> dict[Any, Any]:
        shown: dict[Any, Any] = {}
        repeated: set[Any] = set()
        # Such as {"name": "password", "value": "…"}, by which forms and headers are written.
        described = any(_is_secret(value[key]) for key in ("name", "key") if key in value)
        for name, item in self._some(value.items()):
            key = self._name(name)
            hidden = self._named("secret" if described and name == "value" else name, item)
            if key in repeated:
                shown[key].append(hidden)
            elif key in shown:  # a MultiDict
                repeated.add(key)
                shown[key] = [shown[key], hidden]
            else:
                shown[key] = hidden
        return shown

    def _tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        names = getattr(type(value), "_fields", ())
        if names and len(names) == len(value):
            return tuple(self._named(name, item) for name, item in zip(names, value, strict=True))
        return tuple(self._sequence(value))

    def _sequence(self, value: Iterable[Any]) -> list[Any]:
        items = list(self._some(value))
        if len(items) == 2 and _is_secret(items[0]):  # noqa: PLR2004  # a name and its value
            return [self.value(items[0]), self._named(items[0], items[1])]
        shown = []
        follows_option = False
        for item in items:
            shown.append(HIDDEN if follows_option and isinstance(item, str) else self.value(item))
            follows_option = isinstance(item, str) and item.startswith("--") and "=" not in item and _is_secret(item)
        return shown

    def _named(self, name: Any, item: Any) -> Any:
        if not _is_secret(name) and not (_text_of(name).lower().endswith("auth") and isinstance(item, (list, tuple))):
            return self.value(item)
        if item is None or item is True or item is False:
            return item
        if isinstance(item, (str, bytes)) and not len(item):
            return type(item)() if type(item) in (str, bytes) else HIDDEN
        if isinstance(item, (int, float)) and kind_of(_text_of(name)) == COUNTED:
            return self.value(item)
        return HIDDEN

    def _name(self, name: Any) -> Any:
        if name is None or type(name) in (bool, int, float):
            return name
        shown = self.value(name)
        return shown if isinstance(shown, (str, bytes)) else self._redact(str(shown))

    def _some(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items, as many as there is room for."""
        return islice(items, self._left)


def _is_secret(name: Any) -> bool:
    return isinstance(name, (str, bytes)) and is_secret(_text_of(name))


def _text_of(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode("latin-1")
    return str.__str__(name) if isinstance(name, str) else ""
