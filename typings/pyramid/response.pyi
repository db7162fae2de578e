from typing import Any

from webob import Response as _Response

class Response(_Response): ...
class FileIter: ...

class FileResponse(Response):
    def __init__(
        self,
        path: str,
        request: Any = None,
        cache_max_age: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
    ) -> None: ...
