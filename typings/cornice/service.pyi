from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pyramid.request import Request

_View = TypeVar("_View", bound=Callable[..., Any])

class Service:
    name: str
    path: str | None
    description: str | None
    cors_enabled: bool
    cors_origins: tuple[str, ...] | None
    definitions: list[tuple[str, Any, dict[str, Any]]]
    defined_methods: list[str]
    error_handler: Callable[[Request], Any]
    def __init__(
        self,
        name: str,
        path: str | None = None,
        description: str | None = None,
        cors_policy: dict[str, Any] | None = None,
        depth: int = 1,
        pyramid_route: str | None = None,
        **kw: Any,
    ) -> None: ...
    def add_view(self, method: str, view: Any, **kwargs: Any) -> None: ...
    def decorator(self, method: str, **kwargs: Any) -> Callable[[_View], _View]: ...
    def get(self, **kwargs: Any) -> Callable[[_View], _View]: ...
    def post(self, **kwargs: Any) -> Callable[[_View], _View]: ...
    def put(self, **kwargs: Any) -> Callable[[_View], _View]: ...
    def delete(self, **kwargs: Any) -> Callable[[_View], _View]: ...
    def options(self, **kwargs: Any) -> Callable[[_View], _View]: ...
    def patch(self, **kwargs: Any) -> Callable[[_View], _View]: ...

def clear_services() -> None: ...
def get_services(names: Iterable[str] | None = None, exclude: Iterable[str] | None = None) -> list[Service]: ...
