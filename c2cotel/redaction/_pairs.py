"""Names of secrets in free text, and the values that follow them: as parameters, JSON, YAML, XML, SQL, options."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from c2cotel.redaction._extents import HIDDEN, MOST_MARKS, MOST_SECRETS, Extent, Text, lower
from c2cotel.redaction._names import COUNTED, HEADER, kind_of

_LETTER = r"%(?:25){0,3}(?:4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])"
_SIGN = "(?:secret|pass|pwd|pw|token|sig|key|auth|cookie|sess|headers|mot|%(?<!%[0-9a-f][0-9a-f]%))"
"""What stands in every name of a secret. Only letters here: the engine looks for those fast."""

# The lookahead with its repetition is what other engines write as an atomic group: the rest of a name is read once.
_NAME = rf"""{_SIGN}(?=(?P<rest>[\w.-]{{0,60}}
    (?:(?:{_LETTER}|%(?:25){{0,3}}(?:5f|2[de]|3\d))[\w.-]{{0,60}}){{0,20}}))(?P=rest)"""
_CLOSING = r"""(?P<quote>\\{0,15}["'`]|&(?:quot|\#3[49]|\#x2[27]);|%(?:25){0,3}2[27])?(?:[\])]|%(?:25){0,3}5d){0,3}
    (?:::[a-z_]\w{0,30}(?:[ ]varying)?(?:\(\d{1,5}\))?)?"""
_FOLLOWING = r"""(?:
     (?P<equals>\s*(?:=>|:=|[=!~<>]?=~?|<>|:(?!:|//)))
    |(?P<encoded>%(?:25){0,3}3[ad])
    |(?P<like>\s+(?:not\s+)?(?:i?like|in)\s*(?=['"(]))
    |(?P<sql>\s+(?:for\s+\S{1,200}?\s*=\s*)?(?=[benx]?')|\s*\(\s*(?=['"]))
    |(?(quote)(?:
         (?P<pair>\s*,\s*\\{0,15}["']value\\{0,15}["']\s*:\s*)
        |(?P<html>\s[^<>\n]{0,200}?\bvalue\s*=\s*)
        |(?P<comma>\s*,\s*(?=\S))
        )|(?!))
    |(?P<xml>(?:\s{1,4}[\w:.-]{1,40}\s?=[^<>]{0,100})?\s?/?>)
    )"""
_FIND = re.compile(_NAME + _CLOSING + _FOLLOWING, re.VERBOSE)
_OPTION = re.compile(r"""(?<![\w-])--?(?P<name>[a-z][\w-]{0,60})(?:[ \t]+|\\{0,15}["'],\s{0,8})(?=[^\s-])""")
_IDENTIFIED = re.compile(
    r"\bidentified\s{1,8}(?:with\s{1,8}\S{1,64}\s{1,8})?(?:by|as)\s{1,8}(?:password\s{1,8})?(?=['\"])"
)
_USER = re.compile(r"""(?<!\S)(?:-u|--user|--proxy-user)(?:[ \t]{1,8}|=)?["']?(?!\d+:\d)[^\s:'"]{1,64}:(?=[^\s'"/])""")
_BLANKS = re.compile(r"[ \t]*")
_NEXT_LINE = re.compile(r"[ \t]*\n[ \t]+(?=[^\s])")
_BLOCK = re.compile(r"[ \t]*[|>][-+]?[ \t]*\n")
_ESCAPED_BLOCK = re.compile(r"[ \t]*[|>][-+]?[ \t]*\\+n")
_COUNT = re.compile(r"[ ]?\d{1,20}(?:\.\d{1,20})?(?=[\s,)}\]]|\Z)")
"""A number as it mostly stands after a name such as `tokens`, where it is harmless."""

_IN_NAMES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-%"
_ELEMENT = re.compile(r"<(?:[\w.-]{1,40}:)?\Z")
_NAMED = re.compile(r"""\b(?:name|id)\s?=\s?["']\Z""")
_KEYED = re.compile(r"""["'](?:name|key)\\{0,15}["']\s?:\s?\\{0,15}["']\Z""")
_SOURCE = re.compile(r'(?:\A|\n)[ |]*File "[^"\n]{1,200}", line \d+[^\n]{0,100}\n[^\n]*\Z')
_EXPRESSION = re.compile(r"[ \t]*(?![bBrRuUfF]{0,2}[\"'])[A-Za-z_\[({]")
_KEY_WORDS = ("api ", "secret ", "access ", "private ")
_ENDS = {"(": ")", "[": "]"}


def hide_pairs(text: str, low: str) -> str:
    """The text with the values of secret names hidden.

    Args:
        text: any.
        low: the same in lower case, of the same length.
    """
    values = Text(text)
    parts: list[str] = []
    done = at = count = names = 0
    while (match := _FIND.search(low, at)) is not None:
        names += 1
        if names > MOST_MARKS:
            return "".join([*parts, text[done : match.start()], HIDDEN])
        at = match.end("rest")
        extent = _extent(values, low, match, done)
        if extent is None:
            continue
        if extent.end > extent.start:
            parts += [text[done : extent.start], extent.shown]
            done = extent.end
        at = max(at, extent.end)
        count += 1
        if count >= MOST_SECRETS:
            return "".join([*parts, text[done:at], HIDDEN])
    return "".join([*parts, text[done:]]) if parts else text


def hide_options(text: str, low: str) -> str:
    """The text with what follows secret options of a command line hidden."""
    if "--" in low or "-p" in low:
        text, low = _hide_after(_OPTION, text, low)
    if "identified" in low:
        text, low = _hide_after(_IDENTIFIED, text, low)
    if "curl" in low:
        text, low = _hide_after(_USER, text, low)
    return text


def _hide_after(pattern: re.Pattern[str], text: str, low: str) -> tuple[str, str]:
    values = Text(text)
    parts: list[str] = []
    done = at = 0
    while (match := pattern.search(low, at)) is not None:
        at = match.end()
        name = match.groupdict().get("name")
        if name is not None and not (kind_of(name) and match[0].startswith("--")) and not _is_sshpass(low, match):
            continue
        extent = values.value(at, "", words=False, counted=False)
        if extent is not None:
            parts += [text[done : extent.start], extent.shown]
            at = done = extent.end
    if not parts:
        return text, low
    shown = "".join([*parts, text[done:]])
    return shown, lower(shown)


def _is_sshpass(low: str, match: re.Match[str]) -> bool:
    return match["name"] == "p" and low.endswith("sshpass ", 0, match.start())


class _Name(NamedTuple):
    """A name that may be one of a secret, and what follows it.

    Attributes:
        values: Finds the value.
        low: The text in lower case.
        match: The name, what closes it and the sign after it.
        start: The name's first character.
        name: The name in lower case.
        quote: The quotation mark after it with its backslashes, or nothing.
        kind: The kind of secret.
    """

    values: Text
    low: str
    match: re.Match[str]
    start: int
    name: str
    quote: str
    kind: str | None

    def value(self, at: int, quote: str = "") -> Extent | None:
        """The value that begins at a position."""
        return self.values.value(at, quote, words=self.kind == HEADER, counted=self.kind == COUNTED)

    def before(self, length: int) -> tuple[str, int, int]:
        """Where to search for what stands before the name: arguments of a pattern's `search`."""
        return self.low, max(0, self.start - length), self.start


def _extent(values: Text, low: str, match: re.Match[str], done: int) -> Extent | None:
    """What is to be hidden after a name; None where it is no secret's."""
    before = low[max(done, match.start() - 64) : match.start()]
    start = match.start() - len(before) + len(before.rstrip(_IN_NAMES))
    name = low[start : match.end("rest")]
    if name == "key" and low.endswith(_KEY_WORDS, max(0, start - 8), start):
        name = "api_key"
    kind = kind_of(name)
    follows = match.lastgroup or ""
    if kind is None and not (name.endswith("auth") and follows == "equals"):
        return None
    if kind == COUNTED and follows == "equals" and _COUNT.match(low, match.end()):
        return None
    quote = match["quote"] or ""
    return _AFTER[follows](_Name(values, low, match, start, name, "" if quote.startswith("%") else quote, kind))


def _after_equals(name: _Name) -> Extent | None:
    text, at = name.values.text, name.match.end()
    is_colon = "=" not in name.match[0]
    if name.name in ("pass", "pw") and not name.quote and is_colon:  # what passed, in a report of tests
        return None
    block = _BLOCK.match(text, at)
    if block is not None:
        return name.values.block(block.end())
    escaped = _ESCAPED_BLOCK.match(text, at)
    if escaped is not None:
        return name.values.to_quote(escaped.end())
    at = _start(text, at)
    first = text[at : at + 1]
    if first in ("", "\n") or (name.kind is None and first not in "([\"'"):
        return None
    if not name.quote and _EXPRESSION.match(text, at) and _is_source(text, name.start):
        return None
    return name.value(at, name.quote if is_colon else "")


def _after_encoded(name: _Name) -> Extent | None:
    return name.values.encoded(name.match.end())


def _after_element(name: _Name) -> Extent | None:
    if name.quote or not _ELEMENT.search(*name.before(42)) or name.match[0].endswith("/>"):
        return None
    return name.values.element(name.match.end())


def _after_sql(name: _Name) -> Extent | None:
    is_password = any(word in name.name for word in ("passw", "pwd", "passphrase", "pass_phrase"))
    return name.value(name.match.end()) if is_password and not name.quote else None


def _after_like(name: _Name) -> Extent | None:
    return name.value(name.match.end())


def _after_input(name: _Name) -> Extent | None:
    return name.value(name.match.end()) if _NAMED.search(*name.before(16)) else None


def _after_key(name: _Name) -> Extent | None:
    return name.value(name.match.end()) if _KEYED.search(*name.before(60)) else None


def _after_comma(name: _Name) -> Extent | None:
    """The second of a pair in brackets, or what follows an option in a list."""
    before = name.low[max(0, name.start - 20) : name.start]
    closing = _ENDS.get(before[: len(before) - len(name.quote)].rstrip("bu")[-1:])
    is_option = name.name.startswith("--")
    if not is_option and closing is None:
        return None
    extent = name.value(name.match.end())
    if extent is None or is_option:
        return extent
    rest = name.values.text[extent.end : extent.end + 40].lstrip("\\\"'`").lstrip()
    rest = rest[1:].lstrip() if rest.startswith(",") else rest
    return extent if not rest or rest[0] == closing else None


_AFTER: dict[str, Callable[[_Name], Extent | None]] = {
    "equals": _after_equals,
    "encoded": _after_encoded,
    "like": _after_like,
    "sql": _after_sql,
    "pair": _after_key,
    "html": _after_input,
    "comma": _after_comma,
    "xml": _after_element,
}


def _start(text: str, at: int) -> int:
    """Where the value begins after an equals sign or a colon: on that line, or on the next if that is indented."""
    following = _NEXT_LINE.match(text, at) or _BLANKS.match(text, at)
    return at if following is None else following.end()


def _is_source(text: str, start: int) -> bool:
    """Whether a position is in a line of source in a traceback, outside of its texts: there stand expressions."""
    first = max(0, start - 600)
    if text.find('File "', first, start) < 0 or _SOURCE.search(text, first, start) is None:
        return False
    before = text[text.rfind("\n", first, start) + 1 : start]
    return before.count('"') % 2 == 0 and before.count("'") % 2 == 0
