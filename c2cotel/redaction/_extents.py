"""Where the value of a secret ends in free text.

What is looked at here is either hidden, and never looked at again, or has a greatest length: that keeps the whole
linear in time.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_QUOTE_OR_END = re.compile(r"['\"\n]")
HIDDEN = "REDACTED"
"""What stands where a secret stood (the word of OpenTelemetry's semantic conventions)."""

MOST_SECRETS = 1_000
"""Secrets of one text; what follows them is hidden whole, for no text of use has more."""

MOST_MARKS = 4_000
"""Addresses of one text, or names like those of secrets; what follows is hidden whole, for no text of use has more.

Each costs as much as a hundred characters without any.
"""

_QUOTE = re.compile(r"""(?:[bBuUrRfFeEnNxX]{1,2}|@)?(?P<quote>\\{0,15}["'`])""")
_ENTITY = re.compile(r"&(?:quot|#3[49]|#x2[27]);", re.IGNORECASE)
_BRACKET = re.compile(r"""(?:[A-Za-z_][\w.]{0,60}\((?=(?:\w{1,40}=)?[bBuUrR]{0,2}["'\[({]))|[\[({]""")
_IN_BRACKETS = re.compile(r"""[\[\](){}]|(?<!\\)\\{0,15}["']""")
_MOST_BRACKETS = 2_000
_DEEPEST = 64
_ANGLES = re.compile(r"<[^<>\n]{1,200}>")
_STOP = re.compile(
    r"""\s
    |[&;,](?=(?:amp;)?["']?[\w.%\[\]-]{1,64}["']?=)
    |(?<!\\)\\{0,15}["'`](?=[,:]\s?[\\"'`{\[\w-]|[)\]}]{1,20}(?![^\s,;:.)\]}'"]))
    |\Z""",
    re.VERBOSE,
)
_BLANK = re.compile(r"\s|\Z")
_CLOSERS = ")]}>'\"`,;:.!?&\\"
_SCHEME = re.compile(r"[A-Za-z][\w-]{0,30}[ \t]+(?=\S)")
_AFTER_BLANKS = re.compile(r"[ \t]+(?=\S)")
_ENCODED_STOP = re.compile(r"""[\s&;"'<>]|%(?:25){0,3}(?:2[26c]|3b|[57]d|20)|\Z""", re.IGNORECASE)
_ENCODED_START = re.compile(r"(?:%(?:25){0,3}2[027]|\+)*", re.IGNORECASE)
_TELLS_NOTHING = frozenset({"none", "null", "nil", "true", "false", "undefined", "..."})
_NUMBER = re.compile(r"-?\d[\d_.,]*")


def lower(text: str) -> str:
    """The text in lower case, character by character."""
    low = text.lower()
    return low if len(low) == len(text) else text.replace("\u0130", "i").lower()


class Extent(NamedTuple):
    """A stretch of a text, and what stands there instead.

    Attributes:
        start: its first character.
        end: the character after its last one.
        shown: the text without the secret.
    """

    start: int
    end: int
    shown: str


class Text:
    """A text with what is remembered of it while its secrets are looked for.

    Args:
        text: any.
    """

    __slots__ = ("_unclosed", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._unclosed: set[tuple[str, int]] = set()

    def value(self, at: int, quote: str, *, words: bool, counted: bool) -> Extent | None:
        """The value that begins at a position, or None where nothing is to hide.

        Args:
            at: the position, after the sign that follows the name.
            quote: what stands around the name, and shall stand around what is shown instead of an object.
            words: whether the value may be of several words, as those of headers are.
            counted: whether a number is harmless.
        """
        opening = _QUOTE.match(self.text, at)
        if opening is not None:
            return self._quoted(opening)
        entity = _ENTITY.match(self.text, at)
        if entity is not None:
            end = self.text.find(entity[0], entity.end())
            return Extent(entity.end(), end if end >= 0 else len(self.text), HIDDEN)
        bracket = _BRACKET.match(self.text, at)
        if bracket is not None:
            return Extent(at, self.balanced(bracket.end()), quote + HIDDEN + quote)
        angles = _ANGLES.match(self.text, at)
        if angles is not None:
            return Extent(at, angles.end(), quote + HIDDEN + quote)
        end = self._words(at) if words else self._bare(at)
        word = self.text[at:end]
        if not word or word.lower() in _TELLS_NOTHING or (counted and _NUMBER.fullmatch(word)):
            return None
        return Extent(at, end, quote + HIDDEN + quote)

    def balanced(self, at: int) -> int:
        """Where the bracket closes that opened before a position; a text that is cut off is hidden to its end."""
        text = self.text
        depth = 1
        for _ in range(_MOST_BRACKETS):
            token = _IN_BRACKETS.search(text, at)
            if token is None or depth > _DEEPEST:
                return len(text)
            at = token.end()
            sign = token[0]
            if sign in "[({":
                depth += 1
            elif sign in "])}":
                depth -= 1
                if not depth:
                    return at
            else:
                end = self._closing(at, sign)
                if end is None:
                    return len(text)
                at = end + len(sign)
        return len(text)

    def encoded(self, at: int) -> Extent:
        """The percent-encoded value that begins at a position."""
        start = _ENCODED_START.match(self.text, at)
        stop = _ENCODED_STOP.search(self.text, at if start is None else start.end())
        assert start is not None
        assert stop is not None
        return Extent(start.end(), stop.start(), HIDDEN)

    def element(self, at: int) -> Extent:
        """The text of an XML element that begins at a position; one that never ends is hidden to the end."""
        end = self.text.find("</", at)
        return Extent(at, end if end >= 0 else len(self.text), HIDDEN)

    def block(self, at: int) -> Extent:
        """The lines after a position that are indented: a text in YAML."""
        start = at
        while at < len(self.text) and self.text[at] in " \t\n":
            end = self.text.find("\n", at)
            at = len(self.text) if end < 0 else end + 1
        return Extent(start, at, f"  {HIDDEN}\n" if at > start else "")

    def to_quote(self, at: int) -> Extent:
        """All up to the next quotation mark or the end of the line: the rest of a literal."""
        end = _QUOTE_OR_END.search(self.text, at)
        return Extent(at, len(self.text) if end is None else end.start(), HIDDEN)

    def _quoted(self, opening: re.Match[str]) -> Extent | None:
        start = opening.end()
        quote = opening["quote"]
        end = self._closing(start, quote)
        if end is None:
            line = self.text.find("\n", start)
            end = len(self.text) if line < 0 else line
            return Extent(start, end, HIDDEN)
        return Extent(start, end, HIDDEN) if end > start else None

    def _closing(self, at: int, quote: str) -> int | None:
        """Where the quotation ends that began before a position: before its closing quote with its backslashes."""
        sign = quote[-1]
        level = 1
        while level < len(quote):
            level *= 2
        if (sign, level) in self._unclosed:
            return None
        text = self.text
        start = at
        while (at := text.find(sign, at)) >= 0:
            first = at
            while first > start and text[first - 1] == "\\":
                first -= 1
            after = text[at + 1 : at + 2]
            if after == sign and at > start:  # two are one, in SQL
                at += 2
                continue
            if (at - first) % (2 * level) < level and not (after.isalnum() or after == "_"):
                return max(first, at - level + 1)
            at += 1
        self._unclosed.add((sign, level))
        return None

    def _bare(self, at: int) -> int:
        stop = _STOP.search(self.text, at)
        assert stop is not None
        return at + self._length(at, stop.start())

    def _length(self, at: int, end: int) -> int:
        """The length of a stretch without what closes the sentence around it, once hidden for good."""
        word = self.text[at:end]
        if word.startswith(HIDDEN) and not (word[8:9].isalnum() or word[8:9] == "_"):
            return len(HIDDEN)
        return len(word.rstrip(_CLOSERS))

    def _words(self, at: int) -> int:
        """The end of a header's value: a scheme and what follows it, or words that a comma or semicolon strings."""
        text = self.text
        scheme = _SCHEME.match(text, at)
        first = at
        if scheme is not None and not text.startswith(HIDDEN, at):
            at = scheme.end()
        while True:
            stop = _BLANK.search(text, at)
            assert stop is not None
            end = stop.start()
            if text.startswith(HIDDEN, first):
                return first + self._length(first, end)
            following = _AFTER_BLANKS.match(text, end) if text[end - 1 : end] in (",", ";") and end > at else None
            if following is None:
                return at + self._length(at, end)
            at = following.end()
