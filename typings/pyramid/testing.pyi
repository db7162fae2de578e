from contextlib import AbstractContextManager
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request

class DummyRequest(Request):
    def __init__(
        self,
        params: Any = None,
        environ: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        path: str = "/",
        cookies: dict[str, str] | None = None,
        post: Any = None,
        accept: str | None = None,
        **kw: Any,
    ) -> None: ...

class DummyResource:
    def __init__(
        self, __name__: str | None = None, __parent__: Any = None, __provides__: Any = None, **kw: Any
    ) -> None: ...

def setUp(
    registry: Registry | None = None,
    request: Request | None = None,
    hook_zca: bool = True,
    autocommit: bool = True,
    settings: dict[str, Any] | None = None,
    package: Any = None,
) -> Configurator: ...
def tearDown(unhook_zca: bool = True) -> None: ...
def testConfig(
    registry: Registry | None = None,
    request: Request | None = None,
    hook_zca: bool = True,
    autocommit: bool = True,
    settings: dict[str, Any] | None = None,
) -> AbstractContextManager[Configurator]: ...
