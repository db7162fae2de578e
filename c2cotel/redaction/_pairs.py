"""Names of secrets in free text, and the values that follow them: as parameters, JSON, YAML, XML, SQL, options."""

from __future__ import annotations

import re

from c2cotel.redaction._extents import Extent, Text, lower
from c2cotel.redaction._names import HEADER, kind_of
from c2cotel.redaction._names import COUNTED as COUNTED_KIND

_LETTER = r"%(?:25){0,3}(?:4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])"
_SIGN = "(?:secret|pass|pwd|pw|token|sig|key|auth|cookie|sess|headers|mot|kennwort|%)"
"""What stands in every name of a secret. Only letters here: the engine looks for those fast."""

# The lookahead with its repetition is what other engines write as an atomic group: the rest of a name is read once.
_NAME = rf"""{_SIGN}(?=(?P<rest>(?:[\w.-]|{_LETTER}|%(?:25){{0,3}}(?:5f|2[de]|3\d)){{0,60}}))(?P=rest)"""
_CLOSING = r"""(?P<quote>\\{0,15}["'`]|%(?:25){0,3}2[27])?(?:[\])]|%(?:25){0,3}5d){0,3}
    (?:::[a-z_]\w{0,30}(?:[ ]varying)?(?:\(\d{1,5}\))?)?"""
_FOLLOWING = r"""(?:
     (?P<equals>\s*(?:=>|:=|[=!~<>]?=~?|<>|:(?!:|//)))
    |(?P<encoded>%(?:25){0,3}3[ad])
    |(?P<like>\s+(?:not\s+)?(?:i?like|in)\s*(?=['"(]))
    |(?P<sql>\s+(?:for\s+\S{1,200}?\s*=\s*)?(?=[benx]?')|\s*\(\s*(?=['"]))
    |(?P<pair>\s*,\s*\\{0,15}["']value\\{0,15}["']\s*:\s*)
    |(?P<html>\s[^<>\n]{0,200}?\bvalue\s*=\s*)
    |(?P<comma>\s*,\s*(?=\S))
    |(?P<xml>(?:\s[^<>]{0,100})?>)
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
_IN_NAMES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-%"
_ELEMENT = re.compile(r"<(?:[\w.-]{1,40}:)?\Z")
_NAMED = re.compile(r"""\b(?:name|id)\s?=\s?["']\Z""")
_KEYED = re.compile(r"""["'](?:name|key)\\{0,15}["']\s?:\s?\\{0,15}["']\Z""")
_SOURCE = re.compile(r'(?:\A|\n)[ |]*File "[^"\n]{1,200}", line \d+[^\n]{0,100}\n[^\n]*\Z')
_EXPRESSION = re.compile(r"[ \t]*(?![bBrRuUfF]{0,2}[\"'])[A-Za-z_\[({]")
_ENDS = {"(": ")", "[": "]"}


def hide_pairs(text: str, low: str) -> str:
    """The text with the values of secret names hidden.

    Args:
        text: any.
        low: the same in lower case, of the same length.
    """
    values = Text(text)
    parts: list[str] = []
    done = at = 0
    while (match := _FIND.search(low, at)) is not None:
        at = match.end("rest")
        extent = _extent(values, low, match, done)
        if extent is None:
            continue
        if extent.end > extent.start:
            parts += [text[done : extent.start], extent.shown]
            done = extent.end
        at = max(at, extent.end)
    if not parts:
        return text
    parts.append(text[done:])
    return "".join(parts)


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


def _extent(values: Text, low: str, match: re.Match[str], done: int) -> Extent | None:
    """What is to be hidden after a name; None where it is no secret's."""
    text = values.text
    before = low[max(done, match.start() - 64) : match.start()]
    start = match.start() - len(before) + len(before.rstrip(_IN_NAMES))
    name = low[start : match.end("rest")]
    kind = kind_of(name)
    follows = match.lastgroup
    at = match.end()
    if kind is None:
        if not name.endswith("auth") or follows != "equals":
            return None
        at = _start(text, at)
        return values.value(at, "", words=False, counted=False) if text[at : at + 1] in ("(", "[", "'", '"') else None
    quote = match["quote"] or ""
    if quote.startswith("%"):
        quote = ""
    if follows == "encoded":
        return values.encoded(at)
    if follows == "xml":
        is_element = not quote and _ELEMENT.search(low, max(0, start - 42), start) and not low.endswith("/>", 0, at)
        return values.element(at) if is_element else None
    if not _may_follow(low, match, start, name, quote):
        return None
    if follows == "equals":
        if name in ("pass", "pw") and not quote and "=" not in match[0]:  # what passed, in a report of tests
            return None
        block = _BLOCK.match(text, at)
        if block is not None:
            return values.block(block.end())
        at = _start(text, at)
        if text[at : at + 1] in ("", "\n"):
            return None
        if not quote and _EXPRESSION.match(text, at) and _is_source(text, start):
            return None
    extent = values.value(
        at,
        quote if follows == "equals" and "=" not in match[0] else "",
        words=kind == HEADER,
        counted=kind == COUNTED_KIND,
    )
    if extent is not None and follows == "comma" and not name.startswith("--"):
        rest = text[extent.end : extent.end + 40].lstrip("\\\"'`").lstrip()
        if rest and rest[0] not in (_ENDS[_opening(low, start, quote)], ","):
            return None
        if rest.startswith(",") and not rest[1:].lstrip().startswith(_ENDS[_opening(low, start, quote)]):
            return None
    return extent


def _start(text: str, at: int) -> int:
    """Where the value begins after an equals sign or a colon: on that line, or on the next if that is indented."""
    following = _NEXT_LINE.match(text, at) or _BLANKS.match(text, at)
    return at if following is None else following.end()


def _may_follow(low: str, match: re.Match[str], start: int, name: str, quote: str) -> bool:
    """Whether a value may follow a name in this way."""
    follows = match.lastgroup
    if follows == "sql":
        return not quote and any(word in name for word in ("passw", "pwd", "passphrase", "pass_phrase"))
    if follows == "comma":
        return bool(quote) and (name.startswith("--") or bool(_opening(low, start, quote)))
    if follows == "html":
        return bool(quote) and _NAMED.search(low, max(0, start - 16), start) is not None
    if follows == "pair":
        return bool(quote) and _KEYED.search(low, max(0, start - 60), start) is not None
    return True


def _opening(low: str, start: int, quote: str) -> str:
    """The bracket before a quoted name."""
    before = low[max(0, start - 20) : start]
    before = before[: len(before) - len(quote)].rstrip("bu")
    return before[-1:] if before[-1:] in _ENDS else ""


def _is_source(text: str, start: int) -> bool:
    """Whether a position is in a line of source in a traceback: what stands there are expressions."""
    return _SOURCE.search(text, max(0, start - 600), start) is not None
