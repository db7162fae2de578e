"""An application made of the snippets of the 2018 README, under its import names; one line is new."""

from __future__ import annotations

import c2cotel.compat  # the one line that is new: before the first import of c2cwsgiutils
import c2cwsgiutils.pyramid
from c2cwsgiutils import services, stats
from c2cwsgiutils.db import setup_session
from c2cwsgiutils.health_check import HealthCheck
from pyramid.config import Configurator

from tests.contract.app_2018 import models

hello_service = services.create("hello", "/api/hello", cors_credentials=True)


@hello_service.get()
def hello_get(request):
    with stats.timer_context(["toto", "tutu"]):
        rows = models.DBSession.query(models.Hello).order_by(models.Hello.id).all()
    with stats.outcome_timer_context(["titi", "tata"]):
        pass
    return {"hello": [row.value for row in rows]}


@hello_service.put()
def hello_put(request):
    """Committed by pyramid_tm, which the library of 2018 brought along."""
    models.DBSession.add(models.Hello(value=request.json["value"]))
    return {"saved": True}


def custom_check(request):
    raise Exception("I'm not happy")


def init(config):
    models.DBSession = setup_session(config, "sqlalchemy", "sqlalchemy_slave", force_slave=["POST /api/hello"])[0]
    health_check = HealthCheck(config)
    health_check.add_db_session_check(models.DBSession, at_least_one_model=models.Hello)
    health_check.add_custom_check("custom", custom_check, 2)


def main(_, **settings):
    config = Configurator(settings=settings)
    config.include(c2cwsgiutils.pyramid.includeme)
    init(config)
    config.scan("tests.contract.app_2018", ignore=["tests.contract.app_2018.models", "tests.contract.app_2018.suite"])
    return config.make_wsgi_app()
