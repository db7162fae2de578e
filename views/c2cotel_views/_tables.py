"""Long tables: filtered, sorted and cut into pages by the address, so that they work without scripts, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from pyramid.request import Request

from c2cotel_views._parameters import Parameter, number, text

FILTER = text("filter", "Only rows with this text.", "", most=200)
SORT = text("sort", "Name of the column to sort by; with a minus sign before it the other way round.", "", most=40)
PAGE = number("page", "Which page of the table.", 1, least=1)
PARAMETERS: tuple[Parameter[Any], ...] = (FILTER, SORT, PAGE)
ROWS = 25
"""Rows of a page."""


@dataclass(frozen=True)
class Column:
    """A column that can be sorted by.

    Args:
        title: What heads it.
        key: What a row is sorted by.
        numeric: Whether it holds numbers: the greatest then come first.
        spare: Whether a narrow screen leaves it out.
        drawn: Whether it shows them as a picture.
    """

    title: str
    key: Callable[[Any], Any]
    numeric: bool = True
    spare: bool = False
    drawn: bool = False


@dataclass(frozen=True)
class Heading:
    """The head of a column on a page.

    Args:
        title: Its text.
        url: What sorts by it; None where nothing does.
        order: `ascending`, `descending`, or empty where another column orders the rows.
        numeric: Whether it holds numbers.
        spare: Whether a narrow screen leaves it out.
    """

    title: str
    url: str | None
    order: str
    numeric: bool
    spare: bool


@dataclass(frozen=True)
class Table:
    """A page of a table.

    Args:
        rows: The rows of the page.
        total: Number of rows of all pages.
        filter: Text that all rows have.
        headings: Of the columns.
        page: Number of the page, from 1 on.
        pages: Number of pages.
        previous: Address of the page before; None on the first one.
        next: Address of the page after; None on the last one.
    """

    rows: list[Any]
    total: int
    filter: str
    headings: list[Heading]
    page: int
    pages: int
    previous: str | None
    next: str | None


def table(
    request: Request,
    rows: Iterable[Any],
    columns: Mapping[str, Column],
    shown: Callable[[Any], str],
    default: str,
    size: int = ROWS,
) -> Table:
    """The page of a table that a request asks for.

    Args:
        request: Has filter, order and page in its address.
        rows: All rows.
        columns: By the name that the address has for each.
        shown: The text of a row that is filtered by.
        default: The order where the address names none: name of a column, with a minus sign the other way round.
        size: Rows of a page.
    """
    wanted = FILTER(request).strip().lower()
    matching = [row for row in rows if wanted in shown(row).lower()] if wanted else list(rows)
    order = SORT(request)
    if order.lstrip("-") not in columns:
        order = default
    column = columns[order.lstrip("-")]
    backwards = order.startswith("-")
    matching.sort(key=column.key, reverse=column.numeric is not backwards)
    pages = max(1, -(-len(matching) // size))
    page = min(PAGE(request), pages)

    def address(**changes: Any) -> str:
        query = {**request.GET, **changes}
        query.pop("secret", None)
        given = {name: value for name, value in query.items() if value}
        return f"{request.path}?{urlencode(given, errors='replace')}"

    headings = [
        Heading(
            each.title,
            address(sort=f"-{name}" if order == name else name, page=None),
            "" if each is not column else "descending" if column.numeric is not backwards else "ascending",
            each.numeric and not each.drawn,
            each.spare,
        )
        for name, each in columns.items()
    ]
    return Table(
        matching[(page - 1) * size : page * size],
        len(matching),
        FILTER(request),
        headings,
        page,
        pages,
        address(page=page - 1) if page > 1 else None,
        address(page=page + 1) if page < pages else None,
    )
