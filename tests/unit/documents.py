"""The Markdown of this repository, as the tests of the documentation read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.servers.local import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("exporters/*/*.md"),
        ROOT / "views/README.md",
        ROOT / "typings/README.md",
    ]
)
"""Every page that people read."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the first word behind the fence.
        title: the name of a file that it stands for; empty without one.
        text: what is inside.
        line: where it begins, from 1.
    """

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in their order."""
    for token in _tokens(page):
        if token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            first = token.map[0] + 1 if token.map else 0
            yield Block(language, title[1] if title else "", token.content, first)


def links(page: Path) -> Iterator[str]:
    """Where the links and pictures of a page lead to."""
    for token in _tokens(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The names that links into a page may use, as GitHub and the documentation make them of its headings."""
    tokens = _tokens(page)
    found = set()
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            text = "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))
            found.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return found


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))
