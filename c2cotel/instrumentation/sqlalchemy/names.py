"""A statement's short, stable name: what it does to which tables, without columns, values and lists.

The steps are those of the 2018 library, in its order and as case-sensitive as there, because dashboards are built on
what they give; then what drivers of today write is made alike. Each step takes time that grows with the length of the
statement alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST = 100_000
_LONGEST_REMEMBERED = 10_000
_QUOTES = frozenset("'\"")
_BLANKS = re.compile(r"\s+")
_NAMED = re.compile(r"%\(\w+\)s")

# Where one of these begins that never ends, it is a token of its own to the end of the statement: nothing after it is
# looked at again. In a run of anything else no character begins two tokens.
_COMMENTED = re.compile(
    r"""(?P<text>(?:(?<![\w$])[Ee]'(?:[^'\\]+|\\(?:.|\Z)|'')*(?:'|\Z))|'(?:[^'\\]+|\\(?:.|\Z)|'')*(?:'|\Z))
    |(?P<name>"[^"]*(?:"|\Z)|`[^`]*(?:`|\Z))
    |(?P<tag>\$(?:[A-Za-z_]\w{0,62})?\$)
    |(?P<line>--[^\n]*)
    |(?P<comment>/\*)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_SIGN = re.compile(r"/\*|\*/")
_TOKEN = re.compile(
    r"""(?P<tag>\$(?:[A-Za-z_]\w{0,62})?\$)                # $$text$$ and $tag$text$tag$
    |(?P<text>(?:[EeNnXxBb]|[Uu]&)?'(?:[^'\\]+|\\(?:.|\Z)|'')*(?:'|\Z))  # 'it''s', 'it\'s', E'…', N'…', X'…', U&'…'
    |(?P<kept>"[^"]*(?:"|\Z)|`[^`]*(?:`|\Z)|::)            # a quoted identifier, a cast: stays
    |(?P<bind>\$\d+|%s|:[A-Za-z_]\w*|\?\d*)                # $1, %s, :name, ?, ?1
    |(?P<word>[A-Za-z_][\w$]*)                             # an identifier, with the digits in it
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)  # 1, 1_000, 1.5, .5, 1e9, 0xFF
    """,
    re.VERBOSE | re.DOTALL,
)
_CAST = re.compile(
    r"(?P<mark>\?|%s|\$\d+|:[A-Za-z_]\w*)::[A-Za-z_]\w*"
    r"(?: (?:VARYING|PRECISION|WITH(?:OUT)? TIME ZONE))?(?:\([^()]{0,40}\))?(?:\[\]){0,6}",
    re.IGNORECASE,
)
_SAVEPOINT = re.compile(
    r"((?:\A|; ?)(?:(?:ROLLBACK(?: WORK| TRANSACTION)? TO |RELEASE )?SAVEPOINT"
    r"|(?:ROLLBACK(?: WORK| TRANSACTION)? TO|RELEASE)(?! SAVEPOINT )) )(?:\"[^\"]*\"|[^\s;]+)",
    re.IGNORECASE,
)
_ITEM = r"[-+]?(?:\?|%s|\$\d{1,9}|:[A-Za-z_]\w*|NULL|DEFAULT|TRUE|FALSE)"
_ARRAY = re.compile(rf"\b(ARRAY) ?\[ ?{_ITEM}(?: ?, ?{_ITEM})* ?\]", re.IGNORECASE)
_ROW = rf"\( ?{_ITEM}(?: ?, ?{_ITEM})* ?\)"
_ROWS = re.compile(rf"\b(VALUES) ?{_ROW}(?: ?, ?{_ROW})*", re.IGNORECASE)
_VALUES = re.compile(r"\bVALUES ?\(", re.IGNORECASE)
_NEXT_ROW = re.compile(r" ?, ?\(")
_LIST = re.compile(rf"\b(IN) ?{_ROW}", re.IGNORECASE)
_GENERATED = re.compile(
    r"(?<![\w$])(?:[A-Za-z][A-Za-z_]*_)?"
    r"(?:(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{12,64}|0x[0-9a-f]{6,16}"
    r"|[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|\d{9,40})(?:_[0-9a-f]{1,10})?(?![\w$])",
    re.IGNORECASE,
)
"""A name with a hash, an address, a UUID or a long number in it: of a cursor or of a temporary table."""


def sql_name(statement: str, *, literals: bool = False) -> str:
    """The name of a statement.

    Args:
        statement: As it is sent, with the marks of its parameters.
        literals: Whether literals stay, and the marks of newer drivers: what the 2018 library did.

    What lies beyond the first 100,000 characters counts for nothing.

    Returns:
        The name, on one line: ``SELECT FROM hello LIMIT ?``.
    """
    if len(statement) > _LONGEST_REMEMBERED:
        return _sql_name(statement[:_LONGEST], literals)
    return _remembered(statement, literals)


def _sql_name(statement: str, literals: bool) -> str:
    if "--" in statement or "/*" in statement:
        statement = _without_comments(statement)
    name = _BLANKS.sub(" ", statement)
    name = _between(name, "SELECT", "FROM")
    start = name.find("INSERT INTO ")
    if start >= 0 and (end := name.find(" (", start + len("INSERT INTO "))) >= 0:
        name = name[:end]
    name = _between(name, "SET", "WHERE")
    name = _NAMED.sub("?", _shorten_in(name))
    if not literals:
        name = _without_literals(name)
    name = _CAST.sub(r"\g<mark>" if literals else "?", name)
    name = _SAVEPOINT.sub(r"\1?", name)
    name = _LIST.sub(r"\1 (?)", _ARRAY.sub(r"\1[?]", name))
    return _ROWS.sub(r"\1 (?)", name) if literals else _GENERATED.sub("?", _shorten_values(name))


_remembered = lru_cache(maxsize=2000)(_sql_name)


def _without_comments(text: str) -> str:
    """The statement without its comments, which nest; what is quoted is none."""
    parts: list[str] = []
    start = at = 0
    closed = _Dollars(text)
    while (match := _COMMENTED.search(text, at)) is not None:
        at = match.end()
        if match["tag"] is not None:
            at = closed.end(match["tag"], at)
        elif match["line"] is not None or match["comment"] is not None:
            parts += [text[start : match.start()].rstrip(), " "]
            at = start = at if match["comment"] is None else _end_of_comment(text, at)
    rest = text[start:]
    return "".join([*parts, rest.lstrip() if parts else rest]).strip()


def _end_of_comment(text: str, at: int) -> int:
    depth = 1
    while (sign := _COMMENT_SIGN.search(text, at)) is not None:
        at = sign.end()
        depth += 1 if sign[0] == "/*" else -1
        if not depth:
            return at
    return len(text)


class _Dollars:
    """Where texts in dollar quotes end.

    Args:
        text: The statement.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._last: dict[str, int] = {}

    def end(self, tag: str, at: int) -> int:
        """The position after the text that a tag opened before a position; that position where none closes it."""
        last = self._last.get(tag)
        if last is None:
            if not self._last:
                self._last = {sign[1]: sign.start() for sign in _TAGS.finditer(self._text)}
            last = self._last.get(tag, -1)
        if last < at:
            return at
        return self._text.find(tag, at) + len(tag)


_TAGS = re.compile(r"(?=(\$(?:[A-Za-z_]\w{0,62})?\$))")


def _without_literals(text: str) -> str:
    """The statement with a question mark for each literal and each mark of a parameter."""
    parts: list[str] = []
    start = at = 0
    closed = _Dollars(text)
    while (match := _TOKEN.search(text, at)) is not None:
        at = match.end()
        if match.lastgroup in ("kept", "word"):
            continue
        if match.lastgroup == "tag":
            end = closed.end(match["tag"], at)
            if end == at:
                continue
            at = end
        parts += [text[start : match.start()], "?"]
        start = at
    return "".join([*parts, text[start:]])


def _between(text: str, first: str, last: str) -> str:
    """What stands between two words goes: ``first .*? last`` as a regular expression, in one pass."""
    first, last = f"{first} ", f" {last}"
    parts = []
    at = 0
    while (start := text.find(first, at)) >= 0 and (end := text.find(last, start + len(first))) >= 0:
        parts += [text[at : start + len(first) - 1], last]
        at = end + len(last)
    return "".join([*parts, text[at:]])


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


def _shorten_values(text: str) -> str:
    """``VALUES (…), (…)`` as ``VALUES (?)``."""
    parts = []
    at = 0
    while (match := _VALUES.search(text, at)) is not None:
        end = _closing(text, match.end())
        if end is None:
            break
        parts += [text[at : match.start() + len("VALUES")], " (?)"]
        at = end
        while (row := _NEXT_ROW.match(text, at)) is not None and (end := _closing(text, row.end())) is not None:
            at = end
        if row is not None:
            break
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
