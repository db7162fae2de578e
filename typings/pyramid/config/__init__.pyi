from collections.abc import Callable, Iterable
from types import ModuleType, TracebackType
from typing import Any, TypeAlias

from pyramid.interfaces import PHASE0_CONFIG as PHASE0_CONFIG
from pyramid.interfaces import PHASE1_CONFIG as PHASE1_CONFIG
from pyramid.interfaces import PHASE2_CONFIG as PHASE2_CONFIG
from pyramid.interfaces import PHASE3_CONFIG as PHASE3_CONFIG
from pyramid.registry import Introspectable, Introspector, Registry
from pyramid.request import Request
from pyramid.router import Router
from typing_extensions import Self

_Dotted: TypeAlias = str | Callable[..., Any]
_Order: TypeAlias = str | tuple[str, ...] | None

class Configurator:
    autocommit: bool
    introspection: bool
    introspector: Introspector
    introspectable: type[Introspectable]
    package: ModuleType
    package_name: str
    registry: Registry
    route_prefix: str | None
    root_package: ModuleType
    def __init__(
        self,
        registry: Registry | None = None,
        package: ModuleType | str | None = None,
        settings: dict[str, Any] | None = None,
        root_factory: _Dotted | None = None,
        security_policy: Any = None,
        authentication_policy: Any = None,
        authorization_policy: Any = None,
        renderers: Any = None,
        debug_logger: Any = None,
        locale_negotiator: Any = None,
        request_factory: _Dotted | None = None,
        response_factory: _Dotted | None = None,
        default_permission: str | None = None,
        session_factory: _Dotted | None = None,
        default_view_mapper: Any = None,
        autocommit: bool = False,
        exceptionresponse_view: Any = ...,
        route_prefix: str | None = None,
        introspection: bool = True,
        root_package: ModuleType | None = None,
    ) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, exc_traceback: TracebackType | None
    ) -> None: ...
    # Directives, our own among them, are looked up at run time.
    def __getattr__(self, name: str) -> Any: ...
    def action(
        self,
        discriminator: Any,
        callable: Callable[..., Any] | None = None,
        args: tuple[Any, ...] = (),
        kw: dict[str, Any] | None = None,
        order: int = 0,
        introspectables: Iterable[Introspectable] = (),
        **extra: Any,
    ) -> None: ...
    def add_directive(self, name: str, directive: _Dotted, action_wrap: bool = True) -> None: ...
    def add_exception_view(self, view: Any = None, context: Any = None, **view_options: Any) -> None: ...
    def add_forbidden_view(self, view: Any = None, **view_options: Any) -> None: ...
    def add_notfound_view(self, view: Any = None, **view_options: Any) -> None: ...
    def add_renderer(self, name: str | None, factory: Any) -> None: ...
    def add_request_method(
        self, callable: Any = None, name: str | None = None, property: bool = False, reify: bool = False
    ) -> None: ...
    def add_route(
        self,
        name: str,
        pattern: str | None = None,
        factory: _Dotted | None = None,
        accept: str | tuple[str, ...] | None = None,
        request_method: str | tuple[str, ...] | None = None,
        static: bool = False,
        inherit_slash: bool | None = None,
        **predicates: Any,
    ) -> None: ...
    def add_settings(self, settings: dict[str, Any] | None = None, **kw: Any) -> None: ...
    def add_static_view(self, name: str, path: str, **kw: Any) -> None: ...
    def add_subscriber(self, subscriber: _Dotted, iface: Any = None, **predicates: Any) -> None: ...
    def add_tween(self, tween_factory: str, under: _Order = None, over: _Order = None) -> None: ...
    def add_view(
        self,
        view: Any = None,
        name: str = "",
        *,
        attr: str | None = None,
        context: Any = None,
        decorator: Any = None,
        exception_only: bool = False,
        http_cache: Any = None,
        permission: str | None = None,
        renderer: Any = None,
        request_method: str | tuple[str, ...] | None = None,
        require_csrf: bool | None = None,
        route_name: str | None = None,
        **view_options: Any,
    ) -> None: ...
    def add_view_deriver(
        self, deriver: _Dotted, name: str | None = None, under: _Order = None, over: _Order = None
    ) -> None: ...
    def begin(self, request: Request | None = ...) -> None: ...
    def commit(self) -> None: ...
    def end(self) -> Any: ...
    def get_settings(self) -> dict[str, Any]: ...
    def include(self, callable: _Dotted | ModuleType, route_prefix: str | None = None) -> None: ...
    def make_wsgi_app(self) -> Router: ...
    def maybe_dotted(self, dotted: Any) -> Any: ...
    def scan(
        self,
        package: ModuleType | str | None = None,
        categories: tuple[str, ...] | None = ("pyramid",),
        onerror: Callable[[str], None] | None = None,
        ignore: Any = None,
        **kw: Any,
    ) -> None: ...
    def set_execution_policy(self, policy: _Dotted) -> None: ...
    def set_request_factory(self, factory: _Dotted) -> None: ...
    def set_response_factory(self, factory: _Dotted) -> None: ...
    def set_root_factory(self, factory: _Dotted) -> None: ...
    def set_security_policy(self, policy: Any) -> None: ...
    def set_session_factory(self, factory: _Dotted) -> None: ...
    def setup_registry(self, settings: dict[str, Any] | None = None, **kw: Any) -> None: ...

def not_(value: Any) -> Any: ...
