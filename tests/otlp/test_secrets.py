"""The table of secrets, over every way out of the process (contract, sections 4 to 9)."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from opentelemetry import trace
from pyramid.request import Request

import c2cotel
from c2cotel.logs import JsonFormatter
from c2cotel_views.health import HealthCheck
from tests.apps.application import Application, view
from tests.servers.otlp import OtlpReceiver
from tests.servers.sentry import Sentry
from tests.unit.secrets_table import SAMPLES, SECRET

TEXTS = [sample.text for sample in SAMPLES]


def fail(text: str, variable: Any) -> None:
    """Raise with a variable in the stack."""
    raise ValueError(text)


def test_the_table_has_at_least_sixty_inputs() -> None:
    assert len(TEXTS) >= 60
    assert all(isinstance(text, str) for text in TEXTS)


def test_no_secret_leaves_in_spans_and_log_records(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    telemetry = c2cotel.setup()
    tracer, logger = trace.get_tracer("test"), logging.getLogger("app")
    for text in TEXTS:
        span = tracer.start_span(text, attributes={"text": text, "texts": [text]})
        span.add_event(text, {"text": text})
        span.set_status(trace.Status(trace.StatusCode.ERROR, text))
        span.end()
        tracer.start_span("simple", attributes={"text": text}).end()
        logger.warning("%s", text, extra={"extra": text, "deep": {"list": [text]}})
        logger.error("raised", exc_info=ValueError(text))
    telemetry.close(timeout=20)
    sent = "".join(str(received.item) for received in (*otlp.spans, *otlp.logs))
    assert len(otlp.spans) == 2 * len(TEXTS)
    assert SECRET not in sent


def test_no_secret_is_in_a_json_line() -> None:
    for text in TEXTS:
        record = logging.makeLogRecord({"name": "app", "msg": "%s", "args": (text,), "levelno": 20, "extra": text})
        assert SECRET not in JsonFormatter().format(record), text


def test_no_secret_leaves_to_sentry(monkeypatch: pytest.MonkeyPatch) -> None:
    sentry = Sentry()
    monkeypatch.setenv("SENTRY_URL", sentry.url)
    telemetry = c2cotel.setup()
    for text in TEXTS:
        variable = {"list": [text], "headers": {"Authorization": text}}
        try:
            fail(text, variable)
        except ValueError:
            logging.getLogger("app").exception("%s", variable)
    telemetry.close(timeout=20)
    assert sentry.events
    assert [event for event in sentry.events if SECRET in json.dumps(event)] == []
    sentry.close()


@pytest.mark.parametrize("shown", ["0", "1"])
def test_no_secret_is_in_an_error_body(shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_SHOW_ERRORS", shown)
    texts = iter(TEXTS)

    def failing(request: Request) -> None:
        raise ValueError(next(texts))

    app = Application({"c2c.secret": "opens"}, configure=view(failing))
    for _ in TEXTS:  # those with the secret see SQL and its values
        assert SECRET not in app.http.get("/hello", status=500).text


def test_no_secret_is_in_a_health_report() -> None:
    def raises(text: str) -> Any:
        def check(_: Request) -> None:
            raise ValueError(text)

        return check

    def returns(text: str) -> Any:
        return lambda _: {"list": [text]}

    def configure(config: Any) -> None:
        health_check = HealthCheck(config)
        for number, text in enumerate(TEXTS):
            health_check.add_custom_check(f"raises {number}", raises(text))
            health_check.add_custom_check(f"returns {number}", returns(text))

    app = Application({"c2c.base_path": "/c2c", "c2c.secret": "opens"}, configure)
    report = app.http.get("/c2c/health_check", status=500)
    assert report.json["failures"].keys() == {f"raises {number}" for number in range(len(TEXTS))}
    assert SECRET not in report.text
