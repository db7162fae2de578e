"""HTML pages that need nothing from elsewhere: no script, font or style of another host, and none is let in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from pyramid.response import Response

_templates = Environment(
    loader=PackageLoader("c2cotel_views", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _query(values: Mapping[str, str]) -> str:
    """The query of an address; Jinja's own filter fails on lone surrogates."""
    return urlencode(values, errors="replace")


_templates.filters["query"] = _query

_POLICY = (
    "default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(name: str, **values: Any) -> Response:
    """A page made of a template.

    Args:
        name: of the file in `pages`.
        values: what the template names.
    """
    nonce = secrets.token_urlsafe(16)
    text = _templates.get_template(name).render(values, nonce=nonce)
    # A text of an application may have lone surrogates, which UTF-8 cannot hold.
    response = Response(text.encode("utf-8", "replace"), content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = _POLICY.format(nonce)
    # The secret may stand in the address.
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
