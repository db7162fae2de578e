"""Errors sent to Sentry (contract, sections 1 and 9): a server of the test receives the envelopes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request

import c2cotel
from c2cotel import sentry
from c2cotel.errors import SettingsError
from tests.apps.application import Application, start_response
from tests.servers.local import HOST
from tests.servers.otlp import OtlpReceiver
from tests.servers.sentry import Sentry

LOGGER = logging.getLogger("app.part")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sentry]:
    with closing(Sentry()) as server:
        monkeypatch.setenv("SENTRY_URL", server.url)
        yield server


def views(config: Configurator) -> None:
    def fails(request: Request) -> Any:
        password = "s3cret-in-a-variable"  # noqa: F841  # Sentry shows variables
        db_password = "s3cret-in-another"  # noqa: F841
        raise ValueError("no connection to postgresql://me:s3cret@db/x")

    def forbidden(_: Request) -> Any:
        raise HTTPForbidden("not you")

    def logs(_: Request) -> Any:
        LOGGER.error("it failed, secret=%s", "s3cret")
        return {}

    for view in (fails, forbidden, logs):
        config.add_route(view.__name__, f"/{view.__name__}/{{x}}")
        config.add_view(view, route_name=view.__name__, renderer="json")


def values(event: dict[str, Any]) -> list[str]:
    return [f"{each['type']}: {each['value']}" for each in event["exception"]["values"]]


def test_an_exception_answered_with_500_is_sent_once_with_its_trace(
    server: Sentry, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    app = Application(configure=views)
    headers = {"X-Request-ID": "42 is the answer", "Authorization": "Bearer s3cret", "Cookie": "session=s3cret"}
    app.http.get("/fails/1?secret=s3cret&q=1", headers=headers, status=500)
    app.finish()
    (event,) = server.events
    assert values(event) == ["ValueError: no connection to postgresql://me:REDACTED@db/x"]
    assert event["tags"]["request_id"] == "42 is the answer"
    assert event["transaction"] == "fails"
    assert event["request"] == {
        "method": "GET",
        "url": "http://localhost/fails/1",
        "query_string": "secret=REDACTED&q=1",
    }
    (span,) = (received.item for received in otlp.spans if received.item.name == "GET /fails/{x}")
    assert event["contexts"]["trace"]["trace_id"] == event["tags"]["trace_id"] == span.trace_id.hex()
    assert event["contexts"]["trace"]["span_id"] == span.span_id.hex()
    assert not any(b"s3cret" in body for body in server.bodies)


def test_an_exception_that_nobody_answers_is_sent(server: Sentry) -> None:
    app = Application({"c2c.disable_exception_handling": "1"}, views)
    with pytest.raises(ValueError, match="no connection"):
        app.http.get("/fails/1")
    app.finish()
    assert len(server.events) == 1


def test_a_path_that_is_no_utf8_costs_no_event(server: Sentry) -> None:
    app = Application(configure=views)
    list(app.wsgi(Request.blank("/logs/1").environ | {"SCRIPT_NAME": "/\xff"}, start_response))
    app.finish()
    (event,) = server.events
    assert event["request"]["url"] == "http://localhost/\ufffd/logs/1"


def test_4xx_are_not_sent(server: Sentry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_LEVEL", "WARNING")
    app = Application(configure=views)
    app.http.get("/forbidden/1", status=403)
    app.http.get("/nowhere", status=404)
    app.finish()
    assert server.events == []


def test_log_records_of_the_level_are_sent_and_excluded_loggers_are_not(
    server: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_EXCLUDES", "app.noisy:other")
    app = Application(configure=views)
    app.http.get("/logs/1", headers={"X-Request-ID": "7"})
    LOGGER.warning("too low")
    logging.getLogger("app.noisy.part").error("not this")
    logging.getLogger("other").error("nor this")
    app.finish()
    (event,) = server.events
    assert event["logger"] == "app.part"
    assert event["level"] == "error"
    assert event["tags"]["request_id"] == "7"
    assert not any(b"s3cret" in body for body in server.bodies)


@pytest.mark.parametrize(
    ("variables", "release"),
    [
        ({"GIT_HASH": "abc"}, "abc"),
        ({"GIT_HASH": "abc", "SENTRY_CLIENT_RELEASE": "1.2"}, "1.2"),
        ({"GIT_HASH": "abc", "SENTRY_CLIENT_RELEASE": "latest"}, "abc"),
    ],
)
def test_release_environment_and_tags(
    server: Sentry, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], release: str
) -> None:
    monkeypatch.setenv("SENTRY_CLIENT_ENVIRONMENT", "int")
    monkeypatch.setenv("SENTRY_TAG_SERVICE", "shop")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    telemetry = c2cotel.setup()
    LOGGER.error("x")
    telemetry.close()
    (event,) = server.events
    assert (event["release"], event["environment"], event["tags"]["service"]) == (release, "int", "shop")


def test_a_script_sends_what_it_raises_and_ignores_what_it_is_told(
    server: Sentry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_CLIENT_IGNORE_EXCEPTIONS", "KeyError, SystemExit")
    telemetry = c2cotel.setup()
    with pytest.raises(ZeroDivisionError), sentry.capture_exceptions():
        1 / 0  # noqa: B018  # that is the test
    with pytest.raises(KeyError), sentry.capture_exceptions():
        dict[str, int]()["x"]
    telemetry.close()
    with pytest.raises(ZeroDivisionError), sentry.capture_exceptions():
        1 / 0  # noqa: B018
    LOGGER.error("after the end")
    assert [values(event) for event in server.events] == [["ZeroDivisionError: division by zero"]]


def test_without_a_dsn_nothing_is_captured() -> None:
    telemetry = c2cotel.setup()
    with pytest.raises(ZeroDivisionError), sentry.capture_exceptions():
        1 / 0  # noqa: B018
    telemetry.close()


def test_the_ini_may_name_it(server: Sentry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENTRY_URL")
    for name in ("c2c.sentry_url", "c2c.sentry.url"):
        app = Application({name: server.url, "c2c.sentry.excludes": "a,b", "c2c.sentry_level": "critical"}, views)
        LOGGER.error("too low")
        LOGGER.critical("sent")
        app.finish()
    assert [event["logentry"]["formatted"] for event in server.events] == ["sent", "sent"]


@pytest.mark.parametrize(
    ("name", "held", "message"),
    [
        ("SENTRY_URL", "nothing", "SENTRY_URL: expected the DSN of a Sentry project"),
        ("SENTRY_URL", "https://key@host:80x/1", "SENTRY_URL: expected the DSN of a Sentry project"),
        ("SENTRY_LEVEL", "LOUD", "SENTRY_LEVEL='LOUD': expected one of DEBUG, INFO"),
        ("SENTRY_TRACES_SAMPLE_RATE", "2", "SENTRY_TRACES_SAMPLE_RATE='2': expected a number from 0 to 1"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, held: str, message: str
) -> None:
    monkeypatch.setenv("SENTRY_URL", f"http://key@{HOST}:9/1")
    monkeypatch.setenv(name, held)
    with pytest.raises(SettingsError, match=re.escape(message)):
        c2cotel.setup()


def test_a_server_that_is_away_costs_nothing_but_the_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_URL", f"http://key@{HOST}:9/1")
    app = Application(configure=views)
    for _ in range(50):
        app.http.get("/fails/1", status=500)
    app.finish()
