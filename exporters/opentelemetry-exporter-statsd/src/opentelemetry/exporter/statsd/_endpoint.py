"""Where the server is, from text."""

from dataclasses import dataclass

DEFAULT_PORT = 8125
MAX_PORT = 65_535

_WOULD_DO = "expected host:port, host, [ipv6]:port or udp://host:port"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host (a name, or an address without brackets) and UDP port."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Parse ``host:port``, ``host`` (port 8125), ``[::1]:8125``, ``[fe80::1%eth0]:8125``, each also after ``udp://``.

    Raises:
        ValueError: The text is none of these; it says what was held and what would do.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "udp", scheme
    if scheme in {"tcp", "unix", "unixgram"}:
        raise ValueError(f"endpoint {text!r}: {scheme}:// is not supported yet; {_WOULD_DO}")
    if scheme != "udp":
        raise ValueError(f"endpoint {text!r}: unknown scheme {scheme!r}; {_WOULD_DO}")
    if rest.startswith("["):
        host, bracket, after = rest[1:].partition("]")
        if not bracket or (after and not after.startswith(":")) or ":" not in host:
            raise ValueError(f"endpoint {text!r}: brackets are for an IPv6 address, as in [::1]:8125; {_WOULD_DO}")
        colon, port = after[:1], after[1:]
    else:
        if rest.count(":") > 1:
            raise ValueError(f"endpoint {text!r}: an IPv6 address needs brackets, as in [::1]:8125; {_WOULD_DO}")
        host, colon, port = rest.partition(":")
    if not host:
        raise ValueError(f"endpoint {text!r}: the host is empty; {_WOULD_DO}")
    if any(character in "/[]@?#" or character.isspace() for character in host):
        raise ValueError(f"endpoint {text!r}: {host!r} is not a host; {_WOULD_DO}")
    if not colon:
        return Endpoint(host)
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= MAX_PORT):
        raise ValueError(f"endpoint {text!r}: {port!r} is not a port from 1 to 65535; {_WOULD_DO}")
    return Endpoint(host, int(port))
