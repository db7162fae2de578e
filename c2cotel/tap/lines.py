"""StatsD lines, read strictly: what every statsd server takes, and in words why a line is not that.

One line is ``name:value|type``, then perhaps ``|@rate``, then perhaps ``|#key:value,key:value``. Servers differ in what
else they let pass, and many say nothing: an unknown type becomes a counter, a rate behind the tags is lost, an empty
tag value drops the line. So what does not mean the same to every server that knows its type and tags is a `BadLine`.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

TYPES = {
    "c": "counter",
    "g": "gauge",
    "ms": "timer",
    "h": "histogram",
    "d": "distribution",
    "s": "set",
}
"""The types of a line, and what each is called."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
# What `float` knows beside numbers; some servers take these, and are never the same again.
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement; `str` gives back the very text it was read from.

    Attributes:
        name: with the prefix.
        value: as it was written: a finite number, for a set any text. A gauge with a sign is relative on most servers.
        type: a key of `TYPES`.
        rate: the share of the measurements that was sent, above 0 and at most 1, as it was written; None without one.
        tags: keys and values in the order they were written.
    """

    name: str
    value: str
    type: str
    rate: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        rate = "" if self.rate is None else f"|@{self.rate}"
        tags = "|#" + ",".join(f"{key}:{value}" for key, value in self.tags) if self.tags else ""
        return f"{self.name}:{self.value}|{self.type}{rate}{tags}"

    @property
    def number(self) -> int | float:
        """The value; an integer when it was written as one.

        Raises:
            ValueError: This is a set, whose values need not be numbers.
        """
        return int(self.value) if _INTEGER.fullmatch(self.value) else float(self.value)


@dataclass(frozen=True, slots=True)
class BadLine:
    """What arrived instead of a line.

    Attributes:
        text: as it arrived, with an escape for each byte that is no UTF-8; it may hold control characters.
        reason: what is wrong, in words.
    """

    text: str
    reason: str


class _BadLineError(Exception):
    """Why a line is bad; never leaves this module."""


def decode(datagram: bytes) -> list[Line | BadLine]:
    """Read all lines of one datagram, in order; one newline at its end is allowed, and a lone one is no line.

    Never raises, whatever arrived. Grammar: Etsy's ``docs/metric_types.md`` and Datadog's protocol v1.0.
    """
    if datagram == b"\n":
        return []
    return [_decode_line(raw) for raw in datagram.removesuffix(b"\n").split(b"\n")]


def _decode_line(raw: bytes) -> Line | BadLine:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return BadLine(raw.decode(errors="backslashreplace"), f"not UTF-8: byte {raw[error.start]:#04x}")
    try:
        return _parse(text)
    except _BadLineError as reason:
        return BadLine(text, str(reason))


def _parse(text: str) -> Line:
    if not text:
        raise _BadLineError("empty line")
    for character in text:
        if unicodedata.category(character) in {"Cc", "Zl", "Zp"}:
            raise _BadLineError(f"control character {character!r}")
    name, colon, rest = text.partition(":")
    if not colon:
        raise _BadLineError("no colon after the name")
    _check_name(name)
    value, bar, rest = rest.partition("|")
    if not bar:
        raise _BadLineError("no type: nothing like |c after the value")
    kind, *sections = rest.split("|")
    if not kind:
        raise _BadLineError("no type: nothing after the |")
    if kind not in TYPES:
        raise _BadLineError(f"unknown type {kind!r}, one of {' '.join(TYPES)} is expected")
    _check_value(value, kind)
    rate, tags = _parse_sections(sections)
    return Line(name, value, kind, rate, tags)


def _check_name(name: str) -> None:
    if not name:
        raise _BadLineError("empty name")
    for character in name:
        if character == "|" or character.isspace():
            raise _BadLineError(f"{character!r} in the name")


def _check_value(value: str, kind: str) -> None:
    if not value:
        raise _BadLineError("empty value")
    if kind == "s":
        return
    if _number("value", value) < 0 and kind == "ms":
        raise _BadLineError(f"negative time {value!r}")


def _parse_sections(sections: list[str]) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    rate: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    for section in sections:
        if tags:
            raise _BadLineError(f"{section!r} after the tags, which must be last")
        if section.startswith("#"):
            tags = _parse_tags(section[1:])
        elif not section.startswith("@"):
            raise _BadLineError(f"unknown section {section!r}, |@rate or |#tags is expected")
        elif rate is not None:
            raise _BadLineError("two sample rates")
        else:
            rate = section[1:]
            if not 0 < _number("sample rate", rate) <= 1:
                raise _BadLineError(f"sample rate {rate!r} is not above 0 and at most 1")
    return rate, tags


def _parse_tags(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        raise _BadLineError("no tags after |#")
    tags: dict[str, str] = {}
    for tag in text.split(","):
        key, _, value = tag.partition(":")
        if not key:
            raise _BadLineError(f"tag {tag!r} without a key" if tag else "empty tag")
        if not value:
            raise _BadLineError(f"tag {key!r} without a value")
        if key in tags:
            raise _BadLineError(f"tag {key!r} twice")
        tags[key] = value
    return tuple(tags.items())


def _number(what: str, text: str) -> float:
    if _NOT_FINITE.fullmatch(text):
        raise _BadLineError(f"{what} {text!r} is not finite")
    if not _NUMBER.fullmatch(text):
        raise _BadLineError(f"{what} {text!r} is not a number")
    number = float(text)
    if not math.isfinite(number):
        raise _BadLineError(f"{what} {text!r} is too large for a number")
    return number
