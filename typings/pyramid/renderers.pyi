from collections.abc import Callable
from types import ModuleType
from typing import Any

from pyramid.interfaces import IRenderer, IRendererInfo
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

class JSON:
    components: Any
    def __init__(self, serializer: Callable[..., str | bytes] = ..., adapters: Any = (), **kw: Any) -> None: ...
    def add_adapter(self, type_or_iface: Any, adapter: Callable[[Any, Request], Any]) -> None: ...
    def __call__(self, info: IRendererInfo) -> Callable[[Any, dict[str, Any]], str]: ...

json_renderer_factory: JSON

class JSONP(JSON):
    def __init__(self, param_name: str = "callback", **kw: Any) -> None: ...

class RendererHelper:
    name: str | None
    package: ModuleType | None
    registry: Registry
    type: str
    renderer: IRenderer
    def __init__(
        self, name: str | None = None, package: ModuleType | None = None, registry: Registry | None = None
    ) -> None: ...

def get_renderer(
    renderer_name: str, package: ModuleType | None = None, registry: Registry | None = None
) -> IRenderer: ...
def render(
    renderer_name: str, value: Any, request: Request | None = None, package: ModuleType | None = None
) -> str | bytes: ...
def render_to_response(
    renderer_name: str,
    value: Any,
    request: Request | None = None,
    package: ModuleType | None = None,
    response: Response | None = None,
) -> Response: ...
def string_renderer_factory(info: IRendererInfo) -> Callable[[Any, dict[str, Any]], str]: ...
