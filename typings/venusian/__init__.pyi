from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

class AttachInfo:
    scope: str
    module: ModuleType | None
    locals: dict[str, Any]
    globals: dict[str, Any]
    category: str
    codeinfo: tuple[str, int, str, str]

class Scanner:
    def __init__(self, **kw: Any) -> None: ...
    def scan(
        self,
        package: ModuleType,
        categories: tuple[str, ...] | None = None,
        onerror: Callable[[str], None] | None = None,
        ignore: Any = None,
    ) -> None: ...
    def __getattr__(self, name: str) -> Any: ...

def attach(
    wrapped: object,
    callback: Callable[[Any, str, Any], None],
    category: str | None = None,
    depth: int = 1,
    name: str | None = None,
) -> AttachInfo: ...
def getFrameInfo(
    frame: FrameType,
) -> tuple[str, ModuleType | None, dict[str, Any], dict[str, Any], tuple[str, int, str, str]]: ...
