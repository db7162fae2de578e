"""Which names are names of secrets."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

LONGEST_NAME = 200
"""Characters at the end of a name that are looked at."""

SECRET, COUNTED, HEADER = "secret", "counted", "header"
"""The kinds of secret names: any, one whose value is harmless as a number, one whose value has several words."""

_MOST_ESCAPES = 4
"""How often a name may be percent-encoded over and over."""

_KEYS = (
    "api|app|access|account|auth|client|consumer|encrypt|encryption|functions|license|master|private|secret|"
    "service|shared|signing|ssh|storage|subscription"
)
_STRONG = re.compile(r"secret|passw(?:or)?[dt]|pass_?phrase|passcode|pwd|mot_?de_?passe")
"""Whatever begins with a name of these is secret, unless the rest says what else it is."""

_WEAK = re.compile(
    rf"""(?:token|signature|authorization|private_?key|cookie|(?:^|_)(?:pass|pw|sig)
    |(?:{_KEYS})_?key(?:_?id)?|(?:c2c_|j|php)sess(?:ion)?(?:id)?|^otel_exporter_otlp_(?:\w+_)?header)
    (?P<plural>s?)
    (?:_?(?:\d+|confirm(?:ation)?|again|repeat|verify|new|old|current|hash|digest|value|key|base|raw|plain|text|encoded
    |encrypted|b64|base64|id|secret))*\Z""",
    re.VERBOSE,
)
_REST = re.compile(
    r"s?(?:_?(?:\d+|confirm\w*|again|repeat\w*|verif\w*|new|old|current|hash|digest|value|key|base|raw|plain|text|id))*"
)
_HARMLESS = frozenset(
    [
        "age",
        "algorithm",
        "at",
        "attempts",
        "changed",
        "check",
        "count",
        "date",
        "days",
        "enabled",
        "endpoint",
        "expired",
        "expires",
        "expiry",
        "field",
        "fields",
        "file",
        "form",
        "format",
        "help",
        "hasher",
        "hashers",
        "hint",
        "label",
        "length",
        "link",
        "manager",
        "max",
        "method",
        "min",
        "mode",
        "name",
        "page",
        "path",
        "policy",
        "required",
        "reset",
        "retries",
        "route",
        "rules",
        "scheme",
        "size",
        "strength",
        "time",
        "ttl",
        "type",
        "uri",
        "url",
        "valid",
        "validators",
        "version",
        "view",
    ]
)
_HEADERS = ("authorization", "cookie", "cookies", "headers")


def is_secret(name: str) -> bool:
    """Whether a name, such as that of a variable, a header or a parameter, is one of a secret."""
    return kind_of(name) is not None


def kind_of(name: str) -> str | None:
    """The kind of a secret's name; None for all others."""
    return _kind_of(name[-LONGEST_NAME:])


@lru_cache(maxsize=4096)
def _kind_of(name: str) -> str | None:
    for _ in range(_MOST_ESCAPES):
        if "%" not in name and "+" not in name:
            break
        name = unquote_plus(name)
    name = name.lower().replace("-", "_").replace(".", "_").strip("_[] ")
    weak = _WEAK.search(name)
    if weak is not None:
        if name.endswith(_HEADERS):
            return HEADER
        return COUNTED if weak["plural"] else SECRET
    strong = _STRONG.search(name)
    if strong is None:
        return None
    rest = name[strong.end() :]
    if rest == "s":
        return COUNTED
    if _REST.fullmatch(rest):
        return SECRET
    return SECRET if rest[0] in "_[0123456789" and _HARMLESS.isdisjoint(rest.split("_")) else None
