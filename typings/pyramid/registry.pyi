from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

from zope.interface import Interface

_T = TypeVar("_T")
_D = TypeVar("_D")

class Introspectable(dict[str, Any]):
    title: str
    type_name: str
    discriminator: Any
    category_name: str

class Introspector:
    def add(self, intr: Introspectable) -> None: ...
    def get(self, category_name: str, discriminator: Any, default: Any = None) -> Introspectable | None: ...
    def get_category(self, category_name: str, default: Any = None, sort_key: Any = None) -> list[dict[str, Any]]: ...

# At run time also zope's Components; the parts of it that this repository uses are declared here.
class Registry(dict[str, Any]):
    has_listeners: bool
    introspector: Introspector
    package_name: str
    # None only before `Configurator.setup_registry`.
    settings: dict[str, Any]
    def __init__(self, package_name: str = ..., *args: Any, **kw: Any) -> None: ...
    def notify(self, *events: object) -> None: ...
    def registerUtility(
        self, component: object = None, provided: type[Interface] | None = None, name: str = "", info: str = ""
    ) -> None: ...
    def unregisterUtility(
        self, component: object = None, provided: type[Interface] | None = None, name: str = ""
    ) -> bool: ...
    def getUtility(self, provided: type[_T], name: str = "") -> _T: ...
    @overload
    def queryUtility(self, provided: type[_T], name: str = "") -> _T | None: ...
    @overload
    def queryUtility(self, provided: type[_T], name: str = "", *, default: _D) -> _T | _D: ...
    def getUtilitiesFor(self, interface: type[_T]) -> Iterator[tuple[str, _T]]: ...
    def registerHandler(self, factory: Callable[..., None], required: Any = None) -> None: ...

global_registry: Registry
