"""Who may see a protected view, and who may change something there.

The secret comes with a request as the parameter ``secret`` or the header ``X-API-Key``. A browser that gave it to the
index page keeps a session instead: a signed cookie that scripts cannot read and other sites cannot make it send. A
session sees everything; to change something it must POST its token.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from typing import Any

from pyramid.httpexceptions import HTTPException
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from pyramid.response import Response
from webob.cookies import SignedSerializer

from c2cotel.plugin import ApplicationSettings, process_state, settings_of, telemetry_of
from c2cotel_views._parameters import texts

SECRET = "secret"  # noqa: S105  # the parameter's name
TOKEN = "token"  # noqa: S105  # the form field's name
COOKIE = "c2c_session"
SESSION_SECONDS = 8 * 3600
"""How long a browser stays logged in."""
BASE_PATH = "c2cotel.base_path"
"""Where an application's registry has the base path of its views, with its `route_prefix`."""
OLD_SECRET = "c2cotel.old_secret"  # noqa: S105  # the key's name
"""Where the environ of a request has the deprecated secret of its view, which opens that view too."""
BACK = "back"
"""The parameter that names the page to which a login leads."""
_ENDED = "sessions"
"""The folder of the service in which sessions that were ended have a file each."""
_ID = re.compile(r"[0-9a-f]{32}")


class _Ended:
    """Sessions that were ended by this process, for where there is no folder to share."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget them."""
        self.ids: set[str] = set()


def is_authorized(request: Request) -> bool:
    """Whether a request has the secret, or a session that began with it."""
    return secret_came(request) or _session(request) is not None


def secret_came(request: Request, *, form: bool = True) -> bool:
    """Whether the secret came with this very request; where a parameter is given, the header does not count.

    Args:
        request: to any view.
        form: whether the secret may stand in the body; False leaves the body of the application's own views unread.
    """
    old: str | None = request.environ.get(OLD_SECRET)
    keys = [key for key in (_key(request), _bytes(old)) if key is not None]
    if not keys:
        return False
    try:
        given = texts(request, SECRET, form=form)
    except HTTPException:  # nothing that can be read
        given = []
    if given:
        secret = given[0].encode("utf-8", "surrogatepass")
        return len(given) == 1 and _is_one_of(secret, keys)
    try:  # WSGI hands the bytes of a header over as Latin-1 (PEP 3333)
        secret = request.environ.get("HTTP_X_API_KEY", "").encode("latin-1")
    except UnicodeEncodeError:
        return False
    return _is_one_of(secret, keys)


def may_change(request: Request) -> bool:
    """Whether a request may change state: it brings the secret, or is the POST of a session with its token."""
    if secret_came(request):
        return True
    expected = token(request)
    if expected is None or request.method != "POST":
        return False
    given = texts(request, TOKEN)
    return len(given) == 1 and _same(given[0].encode("utf-8", "surrogatepass"), expected.encode())


def token(request: Request) -> str | None:
    """What the forms of a session send as `TOKEN`; None without a session."""
    session, key = _session(request), _key(request)
    return None if session is None or key is None else _token(session, key)


def log_in(request: Request, response: Response) -> str:
    """Start a session, for a request that brought the secret, and give its token; our pages get its cookie."""
    key = _key(request)
    if key is None:
        raise ValueError("without C2C_SECRET there is no session")
    session = {"id": secrets.token_hex(16), "until": int(time.time()) + SESSION_SECONDS}
    _set_cookie(request, response, _serializer(request, key).dumps(session).decode(), SESSION_SECONDS)
    return _token(session["id"], key)


def log_out(request: Request, response: Response) -> None:
    """End the session, here and in the other processes of the host, and take its cookie away."""
    session = _session(request)
    _set_cookie(request, response, "", 0)
    if session is None:
        return
    process_state(_Ended).ids.add(session)
    folder = telemetry_of(request.registry).folder.below(_ENDED)
    if folder is not None:
        try:
            (folder / session).touch(mode=0o600)
            for old in folder.iterdir():
                if time.time() - old.stat().st_mtime > SESSION_SECONDS:
                    old.unlink()
        except OSError:  # a full disk: this process knows
            return


def login_address(request: Request) -> str | None:
    """The address of the login form that leads back to a page; None unless a browser asks for one."""
    settings = _settings(request)
    if request.method != "GET" or not settings.base_path or not settings.secret:
        return None
    if "text/html" not in request.headers.get("Accept", ""):
        return None
    if request.registry.getUtility(IRoutesMapper).get_route("c2c_index_slash") is None:
        return None
    return request.route_url("c2c_index_slash", _query={BACK: request.path_qs.removeprefix(request.script_name)})


def way_back(request: Request) -> str | None:
    """The page to which a login leads; None if the request names none of our views."""
    given = texts(request, BACK)
    ours = tuple(f"{path}/" for path in (request.registry[BASE_PATH], _settings(request).profiler_path) if path)
    if len(given) != 1 or not f"{given[0]}/".startswith(ours) or "//" in given[0][:2] or "\\" in given[0]:
        return None
    return f"{request.application_url}{given[0]}"


def _set_cookie(request: Request, response: Response, value: str, max_age: int) -> None:
    settings = _settings(request)
    for path in filter(None, (request.registry[BASE_PATH], settings.profiler_path)):
        response.set_cookie(
            COOKIE,
            value,
            max_age=max_age,
            path=request.script_name + path,
            secure=request.scheme == "https",
            httponly=True,
            samesite="Strict",
        )


def _token(session: object, key: bytes) -> str:
    return hmac.digest(key, f"token {session}".encode(), "sha256").hex()


def _session(request: Request) -> str | None:
    """The id of the session that a request belongs to."""
    key = _key(request)
    try:
        cookie = None if key is None else request.cookies.get(COOKIE)
        if key is None or not cookie:
            return None
        session: dict[str, Any] = _serializer(request, key).loads(cookie.encode())
    except ValueError:  # not signed with our secret, or no text
        return None
    identity = str(session["id"])
    return identity if session["until"] > time.time() and not _has_ended(request, identity) else None


def _has_ended(request: Request, session: str) -> bool:
    if session in process_state(_Ended).ids or _ID.fullmatch(session) is None:
        return True
    folder = telemetry_of(request.registry).folder
    return folder.is_there() and (folder.path / _ENDED / session).exists()


def _serializer(request: Request, key: bytes) -> SignedSerializer:
    """Signs sessions of this service at this base path; elsewhere they are not valid, whatever secret is shared."""
    where = f"{telemetry_of(request.registry).folder.path.name} {request.registry[BASE_PATH]}"
    return SignedSerializer(key, f"c2cotel session {where} ", "sha256")


def _key(request: Request) -> bytes | None:
    """The secret as bytes; None when none is set, and nothing authenticates."""
    return _bytes(_settings(request).secret)


def _bytes(secret: str | None) -> bytes | None:
    return secret.encode("utf-8", "surrogateescape") if secret else None


def _settings(request: Request) -> ApplicationSettings:
    return settings_of(request.registry).section(ApplicationSettings)


def _is_one_of(given: bytes, keys: list[bytes]) -> bool:
    """Whether it is one of them, in a time that does not tell which."""
    equal = [_same(given, key) for key in keys]
    return True in equal


def _same(given: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(given, expected)
