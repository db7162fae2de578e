"""The requests that the demo makes itself."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from c2cotel.demo.events import Answered, Put
from c2cotel.demo.receivers import LOOPBACK

if TYPE_CHECKING:
    from typing_extensions import Self

# The first answer needs both workers' start-up.
_PATIENCE = 30.0
_BRISK = 0.25
_BRISK_REQUESTS = 24
_TRICKLE = 1.0
_NAMES = ("Ada", "Grace", "Edsger", "Barbara")


@dataclass(frozen=True)
class Probe:
    """The request that is looked for in the log and among the spans, and the one that brings its id.

    Attributes:
        trace_id: of the caller's trace.
        parent_id: of the caller's span.
        request_id: of the other one.
    """

    trace_id: str = field(default_factory=lambda: token_hex(16))
    parent_id: str = field(default_factory=lambda: token_hex(8))
    request_id: str = field(default_factory=lambda: f"demo-{token_hex(4)}")

    @property
    def traceparent(self) -> str:
        """W3C Trace Context, sampled."""
        return f"00-{self.trace_id}-{self.parent_id}-01"


class Traffic:
    """Sends requests from `__enter__` to `__exit__`: a few a second at first, then one a second.

    Args:
        port: of the application, on loopback.
        probe: ids of the two marked requests.
        put: gets `Answered`.
    """

    def __init__(self, port: int, probe: Probe, put: Put) -> None:
        self._port = port
        self._probe = probe
        self._put = put
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        # A request that waits for a server that does not come up is not waited for.
        self._thread.join(1)

    def _send_all(self) -> None:
        for number, (method, path, headers, form) in enumerate(_requests(self._probe)):
            self._put(self._send(method, path, headers, form))
            if self._stopped.wait(_BRISK if number < _BRISK_REQUESTS else _TRICKLE):
                return

    def _send(self, method: str, path: str, headers: dict[str, str], form: dict[str, str] | None) -> Answered:
        body = None
        sent = {**headers, "Connection": "close", "User-Agent": "c2cotel-demo"}
        if form is not None:
            body = urlencode(form)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            response.read()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answered(method, path, headers, response.status, received)
        except (OSError, http.client.HTTPException) as error:
            return Answered(method, path, headers, None, {"error": f"{type(error).__name__}: {error}"})
        finally:
            connection.close()


def _requests(probe: Probe) -> Iterator[tuple[str, str, dict[str, str], dict[str, Any] | None]]:
    """Method, path, headers and form of one request after another, without end."""
    yield "GET", "/", {}, None
    yield "POST", "/", {}, {"name": "Alan"}
    yield "GET", "/entries.json", {"traceparent": probe.traceparent}, None
    yield "GET", "/entries.json", {"X-Request-ID": probe.request_id}, None
    yield "GET", "/almanac", {}, None
    for number in count(2):
        yield "GET", f"/fortune/{number}", {}, None
        yield "GET", "/entries.json", {}, None
        if number % 2:
            yield "GET", "/", {}, None
        else:
            yield "POST", "/", {}, {"name": _NAMES[number // 2 % len(_NAMES)]}
