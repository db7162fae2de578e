from collections.abc import Callable
from typing import Any, TypeVar

from pyramid.request import Request
from pyramid.response import Response

_F = TypeVar("_F", bound=Callable[..., Any])

class subscriber:
    def __init__(self, *ifaces: Any, **predicates: Any) -> None: ...
    def __call__(self, wrapped: _F) -> _F: ...

class NewRequest:
    request: Request
    def __init__(self, request: Request) -> None: ...

class NewResponse:
    request: Request
    response: Response
    def __init__(self, request: Request, response: Response) -> None: ...

class BeforeTraversal:
    request: Request
    def __init__(self, request: Request) -> None: ...

class ContextFound:
    request: Request
    def __init__(self, request: Request) -> None: ...

class ApplicationCreated:
    app: Any
    def __init__(self, app: Any) -> None: ...
    @property
    def object(self) -> Any: ...

class BeforeRender(dict[str, Any]):
    rendering_val: Any
    def __init__(self, system: dict[str, Any], rendering_val: Any = None) -> None: ...
