"""An application that fits into one image: one view that answers at once, and one that takes its time."""

from __future__ import annotations

import logging
import time
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

import c2cotel
from c2cotel_views.health import HealthCheck

logger = logging.getLogger(__name__)


def hello(_request: Request) -> dict[str, str]:
    return {"hello": "container"}


def slow(_request: Request) -> dict[str, str]:
    logger.info("A slow request began")
    time.sleep(3)
    return {"slow": "answered"}


def main(_global_config: dict[str, str], **settings: Any) -> Any:
    with Configurator(settings=settings) as config:
        c2cotel.setup(config)
        HealthCheck(config)
        for view in (hello, slow):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__, renderer="json")
        return config.make_wsgi_app()
