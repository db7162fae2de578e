"""Secrets that need no name: keys and tokens by their form, and what the errors of servers quote of their input."""

from __future__ import annotations

import re

from c2cotel.redaction._extents import HIDDEN, Text, lower

_PEM = "-----begin "
_PRIVATE = re.compile(r"-----begin [a-z0-9 ]{0,40}private key(?: block)?-----")
_PEM_END = re.compile(r"-----end [a-z0-9 ]{0,40}private key(?: block)?-----")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]*(?:\.[\w.-]*)?")
_JWT_PART = re.compile(r"(?<![\w-])eyJ[\w-]*\Z")
_BEARER = re.compile(r"(?<![\w-])(Bearer\s{1,8})(?=[\w.~+/=-]{0,64}\d)[\w.~+/=-]{6,}", re.IGNORECASE)
_PARAMETERS = "[parameters: "
_PIPELINE = re.compile(r"Command # \d{1,9} \([^\s()]{1,64}", re.IGNORECASE)
_KEY = re.compile(r"\bKey \([^\n()]{0,80}(?:\([^\n()]{0,80}\)[^\n()]{0,80}){0,4}\)=\(", re.IGNORECASE)
_KEY_END = re.compile(r"\) (?:already exists|is not present|is still referenced|conflicts with|is duplicated)")
_ENTRY_END = re.compile(r"' for key '?")
_QUOTED = re.compile(
    r"""(?:invalid\ input\ (?:syntax\ for|value\ for)[^\n:"]{0,80}:\s
    |value\s(?=\\?"[^"\n]*"\s(?:is\ out|cannot))|token\s(?=\\?"[^"\n]*"\sis\ invalid)
    |out\ of\ range:\s|malformed\ \w{1,20}\ literal:\s|invalid\ value\ for\ parameter\ "\w{1,60}":\s
    |unrecognized\ token:\s|incorrect\ [\w ]{1,40}\ value:\s|sql\ syntax;[^\n]{1,120}?\ near\s
    |copy\ \w{1,64},\ line\ \d{1,9}[^\n:]{0,80}:\s
    )(?P<quote>\\?["'])""",
    re.VERBOSE,
)
"""In lower case."""

_LITERAL = re.compile(r"'[^'\n]*'?")
_LINE = re.compile(r"^(?:LINE \d{1,9}: |CONTEXT:  )[^\n]*", re.MULTILINE)
_ARGUMENTS = re.compile(r"(with args beginning with:)[^\n]*", re.IGNORECASE)
_ROW = re.compile(r"(Failing row contains) \(", re.IGNORECASE)
_ROW_END = re.compile(r"\)\.(?=\s|\Z)")


def may_quote(low: str) -> bool:
    """Whether a text in lower case may quote what a server was asked; one check after the other is fastest."""
    if (
        low.startswith("line ")
        or "\nline " in low
        or "context:  " in low
        or "failing row" in low
        or "duplicate entry" in low
    ):
        return True
    if 'value "' in low or 'token "' in low or 'value \\"' in low or "sql syntax" in low:
        return True
    return (': "' in low or ": '" in low or ": `" in low or ': \\"' in low) and (
        "invalid input" in low
        or "invalid value" in low
        or "out of range" in low
        or "malformed" in low
        or "unrecognized token" in low
        or "incorrect " in low
        or "copy " in low
        or "beginning with" in low
    )


def hide_tokens(text: str, low: str, *, is_cut: bool) -> str:
    """The text without private keys, JSON web tokens and what follows `Bearer`.

    Args:
        text: any.
        low: the same in lower case, of the same length.
        is_cut: whether the text ends where somebody cut it, maybe in a token.
    """
    if _PEM in low:
        text = _between(text, low, _PRIVATE, _PEM_END)
    if "eyJ" in text:
        text = _JWT.sub(HIDDEN, text)
        if is_cut:
            text = _JWT_PART.sub(HIDDEN, text)
    if "bearer" in low:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    return text


def hide_quoted(text: str, low: str) -> str:
    """The text without the values that SQLAlchemy, redis-py and servers quote in their errors."""
    if _PARAMETERS in low:
        text = _hide_parameters(text)
    if "command # " in low:
        text = _after(text, _PIPELINE, ") of pipeline", " …")
    if "with args beginning with:" in low:
        text = _ARGUMENTS.sub(rf"\1 {HIDDEN}", text)
    if "key (" in low and ")=(" in low:
        text = _to_end_of(text, _KEY, _KEY_END, HIDDEN)
    if "failing row" in low:
        text = _to_end_of(text, _ROW, _ROW_END, HIDDEN)
    if "duplicate entry '" in low:
        text = _to_end_of(text, re.compile("Duplicate entry '", re.IGNORECASE), _ENTRY_END, HIDDEN)
    if "line " in low or "context:  " in low:
        text = _LINE.sub(lambda line: _LITERAL.sub(f"'{HIDDEN}'", line[0]), text)
    return _hide_quotations(text) if may_quote(low) else text


def _hide_quotations(text: str) -> str:
    values = Text(text)
    parts: list[str] = []
    done = at = 0
    low = lower(text)
    while (match := _QUOTED.search(low, at)) is not None:
        extent = values.value(match.start("quote"), "", words=False, counted=False)
        at = match.end()
        if extent is not None:
            parts += [text[done : extent.start], extent.shown]
            done = at = extent.end
    return "".join([*parts, text[done:]]) if parts else text


def _hide_parameters(text: str) -> str:
    parts = []
    at = done = 0
    values = Text(text)
    while (at := text.find(_PARAMETERS, at)) >= 0:
        if text.startswith(HIDDEN, at + len(_PARAMETERS)):
            at += len(_PARAMETERS)
            continue
        end = values.balanced(at + 1)
        parts += [text[done:at], f"{_PARAMETERS}{HIDDEN}]"]
        at = done = end
    return "".join([*parts, text[done:]]) if parts else text


def _after(text: str, begin: re.Pattern[str], end: str, shown: str) -> str:
    """The text with what stands between a pattern and a word hidden; to its end where the word is missing."""
    parts = []
    at = 0
    while (match := begin.search(text, at)) is not None:
        stop = text.find(end, match.end())
        parts += [text[at : match.end()], shown]
        at = stop
        if stop < 0:
            return "".join([*parts, ")"])
    return "".join([*parts, text[at:]]) if parts else text


def _to_end_of(text: str, begin: re.Pattern[str], end: re.Pattern[str], shown: str) -> str:
    """The text with what stands between two patterns hidden; to the end of the line where the second is missing."""
    parts = []
    at = 0
    may_end = True
    while (match := begin.search(text, at)) is not None:
        stop = end.search(text, match.end()) if may_end else None
        may_end = stop is not None
        until = stop.start() if stop is not None else text.find("\n", match.end())
        parts += [text[at : match.end()], shown]
        at = until if until >= 0 else len(text)
    return "".join([*parts, text[at:]]) if parts else text


def _between(text: str, low: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str:
    """The text with everything from one pattern to another hidden, or to the end where that is missing."""
    parts = []
    at = 0
    while (match := begin.search(low, at)) is not None:
        parts += [text[at : match.start()], HIDDEN]
        stop = end.search(low, match.end())
        at = stop.end() if stop is not None else len(text)
    return "".join([*parts, text[at:]]) if parts else text
