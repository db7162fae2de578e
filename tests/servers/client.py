"""What a client needs to talk to a server."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def request_id(self) -> str:
        """The id that the server gave back."""
        return str(self.headers["X-Request-ID"])

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def get(url: str, timeout: float = 30.0) -> Answer | None:
    """One request over a connection of its own; None when no whole answer came."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", f"/{path}", headers={"Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@dataclass
class Load:
    """Clients that get a page for each number, each number once.

    Args:
        url: gives the page of a number.
        numbers: one request each.

    Attributes:
        answers: what came back, by number.
        unanswered: numbers whose request failed.
    """

    url: Callable[[int], str]
    numbers: Iterable[int]
    clients: int = 4
    answers: dict[int, Answer] = field(default_factory=dict)
    unanswered: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left: Iterator[int] = iter(list(self.numbers))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, name=f"client {n}") for n in range(self.clients)]

    def start(self) -> Load:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def join(self) -> Load:
        """Wait until every number had its turn, or, once one stayed unanswered, each client has given up."""
        for thread in self._threads:
            thread.join()
        return self

    def _run(self) -> None:
        while True:
            with self._lock:
                number = next(self._left, None)
            if number is None:
                return
            answer = get(self.url(number))
            if answer is None:
                self.unanswered.append(number)
                return
            self.answers[number] = answer
