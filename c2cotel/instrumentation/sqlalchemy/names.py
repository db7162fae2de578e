"""A statement's short, stable name: what it does to which tables, without columns, values and lists.

The steps are those of the 2018 library, in its order and as case-sensitive as there, because dashboards are built on
what they give; then what drivers of today write is made alike.
"""

from __future__ import annotations

import re
from functools import lru_cache

_BLANKS = re.compile(r"\s+")
_NAMED = re.compile(r"%\(\w+\)s")
_QUOTES = frozenset("'\"")

_LITERAL = r"""
    (?P<comment>/\*.*?(?:\*/|\Z))                       # stays, what varies in it goes
  | (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)       # $$text$$ and $tag$text$tag$
  | (?P<text>[EeNnXxBb]?'(?:[^'\\]|''|\\.)*')         # 'it''s', 'it\'s', E'…', N'…', X'…'
  | (?P<kept>"(?:[^"]|"")*"|`[^`]*`|::)               # a quoted identifier, a cast: stays
  | (?P<bind>\$\d+|%s|:[A-Za-z_]\w*|\?\d*)             # $1, %s, :name, ?, ?1
  | (?P<word>[A-Za-z_][\w$]*)                         # an identifier, with the digits in it
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)  # 1, 1_000, 1.5, .5, 1e9, 0xFF
"""
_TOKEN = re.compile(_LITERAL, re.VERBOSE | re.DOTALL)
_CAST = re.compile(
    r"\?::[A-Za-z_]\w*(?: (?:VARYING|PRECISION|WITH(?:OUT)? TIME ZONE))?(?:\([^)]*\))?(?:\[\])*", re.IGNORECASE
)


_LONGEST = 100_000
_LONGEST_REMEMBERED = 10_000
_QUOTE_OR_COMMENT = re.compile(r"('(?:[^'\\]|''|\\.)*'|\"[^\"]*\")|(--[^\n]*|/\*.*?(?:\*/|\Z))", re.DOTALL)
_IN_COMMENTS = re.compile(r"['\"$`]")


def sql_name(statement: str, *, literals: bool = False) -> str:
    """The name of a statement.

    Args:
        statement: as it is sent, with the marks of its parameters.
        literals: leave literals and the newer marks as they are: what the 2018 library did.

    What lies beyond the first 100,000 characters counts for nothing.

    Returns:
        The name, on one line: ``SELECT FROM hello LIMIT ?``.
    """
    if len(statement) > _LONGEST_REMEMBERED:
        return _sql_name(statement[:_LONGEST], literals)
    return _remembered(statement, literals)


def _sql_name(statement: str, literals: bool) -> str:
    if not literals and ("--" in statement or "/*" in statement):
        statement = _QUOTE_OR_COMMENT.sub(_without_quotes, statement)
    name = _BLANKS.sub(" ", statement)
    name = _between(name, "SELECT", "FROM")
    start = name.find("INSERT INTO ")
    if start >= 0 and (end := name.find(" (", start + len("INSERT INTO "))) >= 0:
        name = name[:end]
    name = _between(name, "SET", "WHERE")
    name = _NAMED.sub("?", _shorten_in(name))
    if not literals:
        name = _CAST.sub("?", _TOKEN.sub(_replacement, name))
    return name


_remembered = lru_cache(maxsize=2000)(_sql_name)


def _without_quotes(found: re.Match[str]) -> str:
    """A comment without its quotes: once lines are joined, one in it would open a text that never ends."""
    return found[0] if found[2] is None else _IN_COMMENTS.sub("", found[0])


def _between(text: str, first: str, last: str) -> str:
    """What stands between two words goes: ``first .*? last`` as a regular expression, in one pass."""
    first, last = f"{first} ", f" {last}"
    parts = []
    at = 0
    while (start := text.find(first, at)) >= 0 and (end := text.find(last, start + len(first))) >= 0:
        parts += [text[at : start + len(first) - 1], last]
        at = end + len(last)
    return "".join([*parts, text[at:]])


def _replacement(found: re.Match[str]) -> str:
    if found.lastgroup == "comment":
        return re.sub(r"\d+", "?", found[0])
    return found[0] if found.lastgroup in ("kept", "word") else "?"


def _shorten_in(text: str) -> str:
    """``IN (…)`` as ``IN (?)``; the list ends at its own parenthesis, whatever is nested or quoted in it."""
    parts = []
    at = 0
    while (start := text.find(" IN (", at)) >= 0:
        end = _closing(text, start + len(" IN ("))
        if end is None:
            break
        parts += [text[at:start], " IN (?)"]
        at = end
    return "".join([*parts, text[at:]])


def _closing(text: str, at: int) -> int | None:
    """The position after the parenthesis that closes the one before `at`; None when there is none."""
    depth, quote = 1, ""
    while at < len(text):
        char = text[at]
        at += 1
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return at
    return None
