"""Posts bodies over one kept HTTP connection, each within a deadline, whatever the server does.

A server may be slow, answer a byte at a time or without end, close the connection between two requests: an answer is
read up to a bound and up to the deadline, by a clock that nobody sets back.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_LARGEST_ANSWER = 65_536
"""Bytes of an answer that are read; an OTLP answer has a few hundred at most."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        reason: Its reason phrase.
        headers: Headers, names in lower case.
        body: Body, cut at 64 KiB.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class HttpSender:
    """One connection to one URL, kept between requests; used by one thread at a time.

    Args:
        url: Where bodies are posted to, ``http`` or ``https``.
        headers: Headers of each request.
        verify: Whether the server's certificate is checked; a path names the authorities.
        cert: Path of the client's certificate, or paths of it and its key.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = dict(headers)
        self._verify = verify
        self._cert = cert
        self._authorities = _authorities() if self._secure and verify is True else None
        self._connection: _Connection | None = None

    def post(self, body: bytes, timeout: float) -> Answer:
        """Post a body; a connection that the server has closed meanwhile is opened anew, once.

        Args:
            body: What is sent.
            timeout: Seconds for all of it.

        Raises:
            OSError, http.client.HTTPException: there is no answer.
        """
        deadline = time.monotonic() + timeout
        kept = self._connection is not None
        try:
            return self._post(body, deadline)
        except (ConnectionError, http.client.RemoteDisconnected, http.client.BadStatusLine):
            self.close()
            if not kept:
                raise
        except BaseException:
            self.close()
            raise
        try:
            return self._post(body, deadline)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next `post` opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes, deadline: float) -> Answer:
        if self._connection is None:
            context = self._tls() if self._secure else None
            self._connection = _Connection(self._host, self._port, context)
        connection = self._connection
        connection.deadline = deadline
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            content = response.read(_LARGEST_ANSWER)
            if not response.isclosed() and response.read(1):
                self.close()  # more than anybody needs
        except BaseException:
            connection.close()  # another thread may have taken it away from here
            raise
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.reason, headers, content)

    def _tls(self) -> ssl.SSLContext:
        if self._verify is False:
            context = ssl._create_unverified_context()  # noqa: S323, SLF001  # as the setting asks
        else:
            context = ssl.create_default_context(
                cafile=self._verify if isinstance(self._verify, str) else self._authorities
            )
        if self._cert is not None:
            context.load_cert_chain(*((self._cert,) if isinstance(self._cert, str) else self._cert))
        return context


def _authorities() -> str | None:
    """The authorities that `requests` trusts, if it is there; else the system's."""
    try:
        import certifi  # noqa: PLC0415  # comes with the extra
    except ImportError:
        return None
    where: str = certifi.where()
    return where


class _Connection(http.client.HTTPConnection):
    """A connection whose every step ends at the deadline."""

    deadline = 0.0

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self._tls = tls

    def connect(self) -> None:
        raw = socket.create_connection((self.host, self.port), self.left())
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            raw = self._tls.wrap_socket(raw, server_hostname=self.host)
        self.sock: Any = _TimedSocket(raw, self)

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: none.
        """
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("no whole answer in time")
        return seconds


class _TimedSocket:
    """The part of a socket that `http.client` uses, each call within the connection's deadline."""

    def __init__(self, raw: socket.socket, connection: _Connection) -> None:
        self._raw = raw
        self._connection = connection

    def sendall(self, data: Any) -> None:
        self._raw.settimeout(self._connection.left())
        self._raw.sendall(data)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._raw, self._connection))

    def close(self) -> None:
        self._raw.close()  # once no reader is open any more


class _TimedReader(io.RawIOBase):
    def __init__(self, raw: socket.socket, connection: _Connection) -> None:
        self._raw = raw
        self._connection = connection
        self._file = raw.makefile("rb", buffering=0)  # the server may end the connection with its answer

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._raw.settimeout(self._connection.left())
        return self._raw.recv_into(buffer)
