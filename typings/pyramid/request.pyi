from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pyramid.interfaces import IRoute
from pyramid.registry import Registry
from pyramid.response import Response
from webob.request import BaseRequest

class Request(BaseRequest):
    # `c2cotel.setup` gives every request of a configured application this property.
    c2c_request_id: str
    def c2c_keep(self, reason: object = "") -> None: ...

    context: Any
    exc_info: tuple[type[BaseException], BaseException, TracebackType] | None
    exception: BaseException | None
    matchdict: dict[str, Any] | None
    matched_route: IRoute | None
    registry: Registry
    request_iface: Any
    root: Any
    session: Any
    subpath: tuple[str, ...]
    traversed: tuple[str, ...]
    view_name: str
    response_callbacks: deque[Callable[[Request, Response], None]]
    finished_callbacks: deque[Callable[[Request], None]]
    @property
    def response(self) -> Response: ...
    @property
    def identity(self) -> Any: ...
    @property
    def is_authenticated(self) -> bool: ...
    def add_finished_callback(self, callback: Callable[[Request], None]) -> None: ...
    def add_response_callback(self, callback: Callable[[Request, Response], None]) -> None: ...
    def invoke_exception_view(
        self,
        exc_info: tuple[type[BaseException], BaseException, TracebackType] | None = None,
        request: Request | None = None,
        secure: bool = True,
        reraise: bool = False,
    ) -> Response: ...
    def invoke_subrequest(self, request: Request, use_tweens: bool = False) -> Response: ...
    def is_response(self, ob: object) -> bool: ...
    def route_path(self, route_name: str, *elements: object, **kw: Any) -> str: ...
    def route_url(self, route_name: str, *elements: object, **kw: Any) -> str: ...
    def static_url(self, path: str, **kw: Any) -> str: ...

def apply_request_extensions(request: Request, extensions: Any = None) -> None: ...
