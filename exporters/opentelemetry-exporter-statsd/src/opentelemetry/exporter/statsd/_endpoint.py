"""The endpoint of a server, parsed from text."""

from dataclasses import dataclass

DEFAULT_PORT = 8125
MAX_PORT = 65_535

UNIX_SCHEMES = ("unix", "unixgram", "unixstream")
NETWORK_SCHEMES = ("udp", "tcp")

_EXPECTED = (
    "expected host:port, host, [ipv6]:port, udp://host:port, tcp://host:port, unix:///path or unixstream:///path"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The place where a server listens.

    Attributes:
        host: Name, or address without brackets; empty for a Unix socket.
        port: Port of UDP or TCP; 0 for a Unix socket.
        scheme: Transport: ``udp``, ``tcp``, ``unix`` (datagrams) or ``unixstream``.
        path: Path of a Unix socket, else empty.
    """

    host: str
    port: int = DEFAULT_PORT
    scheme: str = "udp"
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.scheme}://{self.path}"
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return where if self.scheme == "udp" else f"{self.scheme}://{where}"


def parse_endpoint(text: str) -> Endpoint:
    """Parse ``host:port``, ``host`` (port 8125), ``[::1]:8125``, ``[fe80::1%eth0]:8125``, or one with its transport.

    ``udp://`` and ``tcp://`` stand before the same forms, ``unix:///path`` and ``unixgram:///path`` are a Unix socket
    of datagrams, ``unixstream:///path`` one of a stream.

    Raises:
        ValueError: The text is none of these; the message has the text and what was expected.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "udp", scheme
    if scheme in UNIX_SCHEMES:
        return _unix(text, scheme, rest)
    if scheme not in NETWORK_SCHEMES:
        raise ValueError(f"endpoint {text!r}: unknown scheme {scheme!r}; {_EXPECTED}")
    if rest.startswith("["):
        host, bracket, after = rest[1:].partition("]")
        if not bracket or (after and not after.startswith(":")) or ":" not in host:
            raise ValueError(f"endpoint {text!r}: brackets are for an IPv6 address, as in [::1]:8125; {_EXPECTED}")
        colon, port = after[:1], after[1:]
    else:
        if rest.count(":") > 1:
            raise ValueError(f"endpoint {text!r}: an IPv6 address needs brackets, as in [::1]:8125; {_EXPECTED}")
        host, colon, port = rest.partition(":")
    if not host:
        raise ValueError(f"endpoint {text!r}: the host is empty; {_EXPECTED}")
    if any(character in "/[]@?#" or character.isspace() for character in host):
        raise ValueError(f"endpoint {text!r}: {host!r} is not a host; {_EXPECTED}")
    if not colon:
        return Endpoint(host, scheme=scheme)
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= MAX_PORT):
        raise ValueError(f"endpoint {text!r}: {port!r} is not a port from 1 to 65535; {_EXPECTED}")
    return Endpoint(host, int(port), scheme)


def _unix(text: str, scheme: str, path: str) -> Endpoint:
    if not path.startswith("/") or path == "/" or "\0" in path:
        raise ValueError(f"endpoint {text!r}: {path!r} is not an absolute path; {_EXPECTED}")
    return Endpoint("", 0, "unixstream" if scheme == "unixstream" else "unix", path)
