"""The first page: the console for those with the secret or a session, and the login for others."""

from __future__ import annotations

from collections.abc import Callable

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.plugin import ApplicationSettings, Settings, SettingsError, settings_of
from c2cotel_views import console, overview
from c2cotel_views._auth import BACK, SECRET, is_authorized, log_in, log_out, secret_came, way_back
from c2cotel_views._frame import framed
from c2cotel_views._parameters import flag, texts
from c2cotel_views._tables import PARAMETERS
from c2cotel_views._versions import read
from c2cotel_views._view import View

LOG_OUT = flag("log_out", "End the session (by `POST`).", default=False)
_HOME = "c2c_index_slash"
_MOST_VERSIONS = 500


def view(request: Request) -> Response:
    """The page; a `POST` of the secret starts a session."""
    if request.method == "POST" and LOG_OUT(request):
        return _again(request, log_out)
    if request.method == "POST" and secret_came(request):
        return _again(request, log_in, way_back(request))
    settings = settings_of(request.registry)
    if not settings.section(ApplicationSettings).secret:
        return console.forms_page(request, _HOME, without_secret=True)
    if not is_authorized(request):
        return _login(request)
    if console.enabled(settings):
        return overview.view(request, _HOME)
    return console.forms_page(request, _HOME)


def _login(request: Request) -> Response:
    """Health, versions, and the form that takes the secret."""
    wrong = any(texts(request, SECRET))
    response = framed(
        request,
        "login.html",
        _HOME,
        title="Log in",
        wrong=wrong,
        back=next(iter(texts(request, BACK)), "") if way_back(request) else "",
        versions=_versions(request),
    )
    if wrong:
        response.status_int = 403
    return response


def _versions(request: Request) -> dict[str, str]:
    """What the application is made of, as far as its versions file tells anybody."""
    path = settings_of(request.registry).section(ApplicationSettings).versions_path
    try:
        versions = read(path) or {}
    except SettingsError:
        return {}
    main, packages = versions.get("main"), versions.get("packages")
    shown = {f"application {name}": value for name, value in main.items()} if isinstance(main, dict) else {}
    shown |= packages if isinstance(packages, dict) else {}
    return {str(name)[:100]: str(value)[:100] for name, value in [*shown.items()][:_MOST_VERSIONS]}


def _again(request: Request, change: Callable[[Request, Response], object], address: str | None = None) -> Response:
    """The page without what was posted, so that a reload does not post it again; or another one of ours."""
    response: Response = HTTPSeeOther(address or request.route_url(_HOME))
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
        doc="A page (HTML): the overview of the console; without the secret health, versions and the login. With "
        "`C2C_CONSOLE=0` a form for every view; present if `C2C_BASE_PATH` is set.",
        parameters=(LOG_OUT, console.WINDOW, *PARAMETERS),
        changes_state=_posts,
        navigation=navigation,
    )


VIEWS = (_row("", "c2c_index"), _row("/", _HOME, "Overview"))
