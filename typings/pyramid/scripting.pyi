from types import TracebackType
from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request
from typing_extensions import Self

class AppEnvironment(dict[str, Any]):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...

def prepare(request: Request | None = None, registry: Registry | None = None) -> AppEnvironment: ...
