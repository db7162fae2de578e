"""The CPU profiler: the last requests of all processes with their call trees, while it is switched on.

A request is sampled every millisecond by pyinstrument. It is off until somebody with the secret visits its page.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyinstrument import Profiler
from pyinstrument.renderers import SpeedscopeRenderer
from pyinstrument.session import Session
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import INGRESS

from c2cotel import broadcast, redaction
from c2cotel.plugin import ApplicationSettings, Guard, Telemetry, process_state, settings_of
from c2cotel_views._auth import BASE_PATH, secret_came
from c2cotel_views._error_kinds import in_one_line
from c2cotel_views._frame import framed
from c2cotel_views._json import answer, refusal
from c2cotel_views._parameters import choice, flag, text
from c2cotel_views._profiles import OTHER, calls, shorter, slices, time_by_package, time_by_route
from c2cotel_views._request_rows import RECORD
from c2cotel_views._view import SERVED, View

ENABLE = flag("enable", "Switch it on or off in all processes; if empty, a visit with the secret switches it on.", None)
PROFILE = text("profile", "Which request to show in full.", "", most=32)
FORMAT = choice("format", "`page`, or `speedscope` to download the request.", "page", "page", "speedscope")

_TWEEN = f"{__name__}.tween_factory"
_KEPT = 20
_UNKNOWN = {"request_id": "", "route": "unknown"}
"""What processes of version 0.1 do not tell."""

_logger = logging.getLogger(__name__)
_ROUTE = "c2c_profiler"


@dataclass(frozen=True)
class Profile:
    """A request that was sampled.

    Attributes:
        id: of it, in all processes.
        began: seconds since the epoch.
        request: its verb and path.
        request_id: its request id; empty if it has none.
        route: verb and name of its route; the verb alone where none matched.
        status: of the answer; None if there was none.
        session: what pyinstrument saw.
    """

    id: str
    began: float
    request: str
    request_id: str
    route: str
    status: int | None
    session: Session

    def summary(self, packages: Sequence[str]) -> dict[str, Any]:
        """What the list shows: no call tree."""
        return {
            "id": self.id,
            "began": self.began,
            "request": self.request,
            "request_id": self.request_id,
            "route": self.route,
            "status": self.status,
            "seconds": self.session.duration,
            "packages": time_by_package(self.session, packages) if packages else {},
        }


class Profiles:
    """What this process has sampled since it was switched on; the last requests only."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Off, with no request sampled."""
        self.enabled = False
        self.kept: deque[Profile] = deque(maxlen=_KEPT)

    def switch(self, enable: bool) -> None:
        """Begin anew, go on, or stop and keep what there is."""
        if enable and not self.enabled:
            self.kept.clear()
        self.enabled = enable

    def list(self, packages: Sequence[str]) -> dict[str, Any]:
        """The requests, without their call trees."""
        return {"enabled": self.enabled, "requests": [each.summary(packages) for each in list(self.kept)]}

    def show(self, profile: str, speedscope: bool) -> dict[str, Any]:
        """One request in full, if it was answered here."""
        kept = next((each for each in list(self.kept) if each.id == profile), None)
        if kept is None:
            return {}
        if speedscope:
            return {"speedscope": json.loads(SpeedscopeRenderer().render(kept.session))}
        return {"summary": kept.summary(()), "calls": calls(kept.session)}


_SWITCH, _LIST, _SHOW = "c2c_profiler_switch", "c2c_profiler_list", "c2c_profiler_show"
_CHANNELS: dict[str, Callable[..., Any]] = {
    _SWITCH: lambda enable: process_state(Profiles).switch(enable),
    _LIST: lambda packages: process_state(Profiles).list(packages),
    _SHOW: lambda profile, speedscope: process_state(Profiles).show(profile, speedscope),
}


def _ask(channel: str, **params: Any) -> list[Any]:
    return broadcast.broadcast(channel, params, expect_answers=True) or []


def add_tween(config: Any) -> None:
    """Have the application's requests go through here."""
    config.add_tween(_TWEEN, under=INGRESS)


def install(_: Telemetry) -> Callable[[], None]:
    """Nothing runs before it is switched on; returns what switches it off."""
    return lambda: process_state(Profiles).switch(enable=False)


def tween_factory(handler: Callable[[Request], Any], registry: Any) -> Callable[[Request], Any]:
    """Samples the requests of the application, its other tweens included, and not those of our own views."""
    settings = settings_of(registry).section(ApplicationSettings)
    ours = tuple(f"{path}/" for path in (registry[BASE_PATH], settings.profiler_path) if path)
    running = threading.local()
    profiles = process_state(Profiles)
    guard = Guard(_logger, "A request could not be profiled")

    def tween(request: Request) -> Any:
        if not profiles.enabled or getattr(running, "here", False):
            return handler(request)
        if f"{request.environ.get('PATH_INFO')}/".startswith(ours):
            return handler(request)
        profiler = Profiler(async_mode="disabled")
        began = time.time()
        try:
            profiler.start()
        except RuntimeError:  # the application profiles itself
            return handler(request)
        running.here = True
        response = None
        try:
            response = handler(request)
        finally:
            running.here = False
            with guard:
                profiles.kept.append(_profile(profiler.stop(), began, request, response))
        return response

    return tween


def _profile(session: Session, began: float, request: Request, response: Any) -> Profile:
    session.frame_records = shorter(session.frame_records)
    verb = in_one_line(request.method)
    matched = getattr(request, "matched_route", None)
    return Profile(
        secrets.token_hex(8),
        began,
        f"{verb} {in_one_line(redaction.path(request.environ))}",
        str(getattr(request, "c2c_request_id", "")),
        f"{verb} {matched.name}" if matched else f"{verb} no route",
        getattr(response, "status_int", None),
        session,
    )


def view(request: Request) -> Response:
    """The page, one request in full, or that request for speedscope."""
    enable = ENABLE(request)
    came = secret_came(request)
    if enable is not None or came:
        _ask(_SWITCH, enable=came if enable is None else enable)
    profile = PROFILE(request)
    if not profile:
        return _overview(request)
    if FORMAT(request) == "speedscope":
        response = answer(_kept_profile(profile, speedscope=True)["speedscope"], request)
        response.content_disposition = f'attachment; filename="{profile}.speedscope.json"'
        return response
    kept = _kept_profile(profile, speedscope=False)
    summary = {**_UNKNOWN, **kept["summary"]}
    return framed(
        request,
        "profile.html",
        _ROUTE,
        title=summary["request"],
        here=request.path,
        record_url=_record_url(request, summary["request_id"]),
        summary=summary,
        tree=[{"begins": 0.0, **call} for call in kept["calls"]],
        process=kept["process"],
    )


def _record_url(request: Request, request_id: str) -> str | None:
    """The page of the flight recorder about a request; None without a recorder."""
    if not request_id or RECORD not in {row.route for row in request.registry[SERVED]}:
        return None
    return str(request.route_path(RECORD, id=request_id))


def _overview(request: Request) -> Response:
    packages = settings_of(request.registry).section(ApplicationSettings).profiler_modules
    answers = [answer for answer in _ask(_LIST, packages=packages) if isinstance(answer, dict)]
    requests = [{**_UNKNOWN, **each, **_process(answer)} for answer in answers for each in answer["requests"]]
    total: dict[str, float] = dict.fromkeys((*packages, OTHER), 0.0)
    for each in requests:
        for package, spent in each["packages"].items():
            total[package] = total.get(package, 0.0) + spent
    return framed(
        request,
        "profiler.html",
        _ROUTE,
        title="Profiler",
        here=request.path,
        enabled=[_process(answer)["process"] for answer in answers if answer["enabled"]],
        disabled=[_process(answer)["process"] for answer in answers if not answer["enabled"]],
        requests=sorted(requests, key=lambda each: -each["began"]),
        slices=slices(total) if packages else [],
        routes=time_by_route(requests),
        total=sum(each["seconds"] for each in requests),
        bar=lambda seconds: _bar(seconds, sorted(total, key=lambda package: -total[package])),
    )


def _bar(seconds: dict[str, float], packages: Sequence[str]) -> dict[str, Any]:
    """A bar of the time by package: its `label`, and of each piece its number, place and width in percent."""
    whole = sum(seconds.values()) or 1.0
    pieces, place = [], 0.0
    for number, package in enumerate(packages, 1):
        width = 100 * seconds.get(package, 0.0) / whole
        pieces.append((f"slice-{number}", round(place, 2), round(width, 2)))
        place += width
    label = ", ".join(f"{package} {100 * seconds.get(package, 0.0) / whole:.0f} %" for package in packages)
    return {"label": label, "pieces": pieces}


def _kept_profile(profile: str, *, speedscope: bool) -> dict[str, Any]:
    for share in _ask(_SHOW, profile=profile, speedscope=speedscope):
        if isinstance(share, dict) and ("speedscope" in share or "calls" in share):
            return {**share, **_process(share)}
    raise refusal(HTTPNotFound, f"profile={profile!r}: no process has it; each keeps its last {_KEPT} requests")


def _process(answer: dict[str, Any]) -> dict[str, str]:
    return {"process": f"{answer.get('hostname', socket.gethostname())}/{answer.get('pid', os.getpid())}"}


VIEWS = (
    View(
        path="`C2C_PROFILER_PATH`",
        route=_ROUTE,
        enabled=lambda settings: bool(settings.section(ApplicationSettings).profiler_path),
        view=view,
        title="CPU profiler",
        doc="A page (HTML) of the last requests of all processes: call trees, flame graphs, time by package and route.",
        parameters=(ENABLE, PROFILE, FORMAT),
        protected=True,
        changes_state=lambda request: ENABLE(request) is not None,
        at=lambda settings: settings.section(ApplicationSettings).profiler_path,
        page=True,
        navigation="Profiler",
        channels=_CHANNELS,
        install=install,
    ),
)
