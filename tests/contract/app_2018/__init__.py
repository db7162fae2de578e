"""An application made of the snippets of the 2018 README, under its import names; one line is new."""

from __future__ import annotations

import os

import c2cotel.compat  # the one line that is new: before the first import of c2cwsgiutils
import c2cwsgiutils.pyramid
import redis
import requests
from c2cwsgiutils import broadcast, services, stats
from c2cwsgiutils.db import setup_session
from c2cwsgiutils.health_check import HealthCheck, JsonCheckException
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPNoContent
from pyramid.request import Request
from sqlalchemy import text

from tests.contract.app_2018 import models

HERE = os.path.dirname(os.path.abspath(__file__))

hello_service = services.create("hello", "/hello", cors_credentials=True)
errors_service = services.create("errors", "/errors/{kind}", cors_credentials=True)
engine_service = services.create("engine", "/engine", cors_credentials=True)
around_service = services.create("around", "/around", cors_credentials=True)
broadcast_service = services.create("broadcast", "/broadcast", cors_credentials=True)
tracking_service = services.create("tracking", "/tracking/{depth}", cors_credentials=True)


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


@hello_service.post()
def hello_post(request):
    return is_slave(request)


@engine_service.get()
@engine_service.put()
def is_slave(request):
    return {"slave": models.DBSession.execute(text("SELECT pg_is_in_recovery()")).scalar()}


@errors_service.get()
def error_get(request):
    kind = request.matchdict["kind"]
    if kind == "forbidden":
        raise HTTPForbidden("not you")
    if kind == "redirect":
        raise HTTPFound(location="http://shop.example/")
    if kind == "empty":
        raise HTTPNoContent()
    raise ValueError("broken")


@errors_service.put()
def error_put(request):
    """Data that the database refuses."""
    if request.matchdict["kind"] == "null":
        models.DBSession.add(models.Hello(value=None))
    else:
        models.DBSession.execute(text("SELECT CAST(:value AS integer)"), {"value": "no number"})
    models.DBSession.flush()
    return {}


@around_service.get()
def around(request):
    """The answer of another view of the application."""
    return {"around": request.invoke_subrequest(Request.blank("/api/hello")).json["hello"]}


@broadcast.decorator(expect_answers=True)
def shout(word):
    return {"word": word}


@broadcast_service.get()
def broadcast_get(request):
    return shout(word=request.params["word"])


@tracking_service.get()
def tracking(request):
    depth = int(request.matchdict["depth"])
    answer = {"request_id": request.c2c_request_id}
    if depth:
        answer["nested"] = requests.get(f"{request.application_url}/api/tracking/{depth - 1}", timeout=10).json()
    redis.Redis.from_url(os.environ["C2C_REDIS_URL"]).incr("tracked")
    return answer


def custom_check(request):
    return "happy"


def unhappy(request):
    raise JsonCheckException("I'm not happy", {"because": ["it", "rains"]})


def init(config):
    models.DBSession = setup_session(config, "sqlalchemy", "sqlalchemy_slave", force_slave=["POST /api/hello"])[0]
    health_check = HealthCheck(config)
    health_check.add_db_session_check(models.DBSession, at_least_one_model=models.Hello)
    health_check.add_url_check(lambda request: request.route_url("hello"), name="url")
    health_check.add_redis_check(os.environ["C2C_REDIS_URL"], name="store")
    health_check.add_alembic_check(models.DBSession, f"{HERE}/alembic.ini", 3)
    health_check.add_custom_check("custom", custom_check, 2)
    health_check.add_custom_check("unhappy", unhappy, 4)


def main(_, **settings):
    config = Configurator(settings=settings, route_prefix="/api")
    config.include(c2cwsgiutils.pyramid.includeme)
    init(config)
    config.scan("tests.contract.app_2018", ignore=[f"tests.contract.app_2018.{name}" for name in ("suite", "cron")])
    return config.make_wsgi_app()
