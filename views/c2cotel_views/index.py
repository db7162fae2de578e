"""The index: a page with a form for every view that is served, and the health of the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import ApplicationSettings, Settings, settings_of
from c2cotel_views._auth import BACK, SECRET, is_authorized, log_in, log_out, secret_came, token, way_back
from c2cotel_views._page import page
from c2cotel_views._parameters import flag, texts
from c2cotel_views._view import SERVED, View

LOG_OUT = flag("log_out", "End the session (by `POST`).", default=False)
_HEALTH = "c2c_health_check"


def view(request: Request) -> Response:
    """The page; a `POST` of the secret starts a session."""
    if request.method == "POST" and LOG_OUT(request):
        return _again(request, log_out)
    if request.method == "POST" and secret_came(request):
        return _again(request, log_in, way_back(request))
    authorized = is_authorized(request)
    settings = settings_of(request.registry).section(ApplicationSettings)
    rows = [row for row in request.registry[SERVED] if row.title and (authorized or not row.protected)]
    values: dict[str, Any] = {
        "rows": rows,
        "url": {row.route: request.route_url(row.route) for row in rows},
        "health": request.route_url(_HEALTH) if any(row.route == _HEALTH for row in rows) else None,
        "here": request.route_url("c2c_index_slash"),
        "host": request.host,
        "locked": bool(settings.secret) and not authorized,
        "without_secret": not settings.secret,
        "wrong": not authorized and any(texts(request, SECRET)),
        "back": next(iter(texts(request, BACK)), "") if way_back(request) else "",
    }
    if not secret_came(request):
        response = page("index.html", token=token(request), **values)
    else:
        session = Response()
        response = page("index.html", token=log_in(request, session), **values)
        response.headers.extend((name, value) for name, value in session.headerlist if name == "Set-Cookie")
    if values["wrong"]:
        response.status_int = 403
    return response


def _again(request: Request, change: Callable[[Request, Response], object], address: str | None = None) -> Response:
    """The page without what was posted, so that a reload does not post it again; or another one of ours."""
    response: Response = HTTPSeeOther(address or request.route_url("c2c_index_slash"))
    change(request, response)
    return response


def _posts(_: Request) -> bool:
    """It takes a `POST`, which changes nothing but the session."""
    return False


def _has_base_path(settings: Settings) -> bool:
    return bool(settings.section(ApplicationSettings).base_path)


def _row(path: str, route: str, navigation: str = "") -> View:
    return View(
        path=path,
        route=route,
        enabled=_has_base_path,
        view=view,
        doc="A page (HTML) that lists what is served, with forms and the health; present if `C2C_BASE_PATH` is set.",
        parameters=(LOG_OUT,),
        changes_state=_posts,
        navigation=navigation,
    )


VIEWS = (_row("", "c2c_index"), _row("/", "c2c_index_slash", "Overview"))
