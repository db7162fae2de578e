"""What tables of requests need on any page: addresses, and a few words about each request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyramid.request import Request

from c2cotel_views._formats import Texts
from c2cotel_views._summaries import in_a_list

LIST, RECORD, RECORD_JSON = "c2c_requests", "c2c_request", "c2c_request_json"
"""Names of routes."""


def attempt(entry: Mapping[str, Any]) -> str:
    return f"{entry['pid']}-{entry['start']}"


def url(request: Request, entry: Mapping[str, Any], route: str, *, several: bool) -> str:
    """The address of a request; where its id has several, of this one."""
    id = entry["id"]  # noqa: A001
    if entry["trace_id"] and (id.endswith(".json") or id.strip("./") != id or "//" in id or "/." in id):
        id = entry["trace_id"]  # noqa: A001  # a browser would go elsewhere
    return str(request.route_path(route, id=id, _query={"attempt": attempt(entry)} if several else None))


def for_rows(request: Request, *, several: bool = False) -> dict[str, Any]:
    """What the rows of a table of requests need."""
    texts = Texts()
    return {
        "url_of": lambda entry: url(request, entry, RECORD, several=several),
        "why_of": lambda entry: texts.line(in_a_list(entry), 160),
        "line": texts.line,
    }
