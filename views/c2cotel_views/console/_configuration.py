"""What the application is set to, and first what is wrong with that."""

from __future__ import annotations

from pyramid.interfaces import ITweens
from pyramid.request import Request
from pyramid.response import Response

from c2cotel import doctor
from c2cotel.plugin import settings_of
from c2cotel_views._formats import Texts
from c2cotel_views._frame import framed
from c2cotel_views._parameters import flag
from c2cotel_views._tables import FILTER

__all__ = ["CONNECT", "FILTER", "ROUTE", "page"]

ROUTE = "c2c_configuration"
CONNECT = flag("connect", "Whether to try to reach statsd, OTLP, Redis and databases; takes up to 5 s.", default=False)


def page(request: Request) -> Response:
    """Problems first, then the settings that were given, then all others."""
    tweens = request.registry.queryUtility(ITweens)
    names = [] if tweens is None else [name for name, _ in tweens.explicit or tweens.implicit()]
    connect = CONNECT(request)
    report = doctor.as_json(doctor.examine(settings_of(request.registry), tweens=names, connect=connect))
    texts = Texts()
    wanted = FILTER(request).strip().lower()
    rows = [
        {name: texts.line(each[name] or "", 300) for name in ("name", "value", "origin", "ini")}
        for each in report["settings"]
        if wanted in f"{each['name']} {each['ini']} {each['value']}".lower()
    ]
    return framed(
        request,
        "configuration.html",
        ROUTE,
        title="Configuration",
        problems=[
            {name: texts.line(each[name], 500) for name in ("subject", "message")} for each in report["problems"]
        ],
        given=[each for each in rows if each["origin"] != "default"],
        defaults=[each for each in rows if each["origin"] == "default"],
        filter=FILTER(request),
        connect=connect,
        connect_url=request.route_path(ROUTE, _query={"connect": "1"}),
    )
