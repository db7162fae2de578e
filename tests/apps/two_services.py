"""A service and the service behind it, for gunicorn; what they say goes wherever a log can go."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import requests
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import text

import c2cotel
from c2cotel.db import create_session
from c2cotel.logs import JsonLogHandler, PyramidCeeSysLogHandler

_logger = logging.getLogger("identified")


def application() -> Any:
    """``/front`` asks the database, then ``/back`` of the service behind, and fails."""
    host, port = os.environ["IDENTIFIED_SYSLOG"].split(":")
    handlers = [JsonLogHandler(sys.stdout), PyramidCeeSysLogHandler((host, int(port)))]
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    with Configurator(settings={}) as config:
        c2cotel.setup(config)
        session = create_session(config, "identified", os.environ["IDENTIFIED_DB"])

        def front(_: Request) -> Any:
            _logger.info("in front")
            session.execute(text("SELECT 'identified'"))
            requests.get(os.environ["IDENTIFIED_BEHIND"] + "/back", timeout=20)
            raise ValueError("on purpose")

        def back(_: Request) -> Any:
            _logger.info("behind")
            return {}

        for view in (front, back):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__, renderer="json")
    return config.make_wsgi_app()
