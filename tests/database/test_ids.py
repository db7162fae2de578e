"""The ids of one request, wherever something is told about it (contract, sections 2, 4, 6 and 9)."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import requests

from tests.servers.databases import PostgresPair
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, plain
from tests.servers.sentry import Sentry
from tests.servers.udp import UdpListener

pytestmark = pytest.mark.server

ID = "42 is the answer"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_everything_told_of_a_request_has_its_id_and_its_trace(
    gunicorn: Callable[..., Gunicorn], postgres: PostgresPair, otlp: OtlpReceiver, udp_listener: UdpListener
) -> None:
    with closing(Sentry()) as sentry:
        env = {
            "IDENTIFIED_DB": postgres.master.dsn("postgresql+psycopg2"),
            "IDENTIFIED_SYSLOG": udp_listener.address,
            "IDENTIFIED_BEHIND": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "C2C_SQL_REQUEST_ID": "1",
        }
        behind = gunicorn("tests.apps.two_services:application()", env=env)
        front_env = {**env, "IDENTIFIED_BEHIND": behind.url, "SENTRY_URL": sentry.url}
        front = gunicorn("tests.apps.two_services:application()", env=front_env)
        answer = requests.get(
            f"{front.url}/front",
            headers={"X-Request-ID": ID, "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
            timeout=30,
        )
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, ID)
        wait_until(lambda: sentry.events, "the event")
        front.terminate()
        behind.terminate()

    def told(events: list[dict[str, Any]], message: str) -> tuple[str, str]:
        (event,) = [event for event in events if event["msg"] == message]
        return event["request_id"], event["trace_id"]

    assert told(front.events(), "in front") == (ID, TRACE)
    assert told(behind.events(), "behind") == (ID, TRACE), "the service behind"

    datagrams = [each for each in udp_listener.datagrams if b'"in front"' in each]
    (datagram,) = datagrams
    start, end = b"<14>: @cee: ", b"\0"
    assert datagram.startswith(start)
    assert datagram.endswith(end)
    assert told([json.loads(datagram.removeprefix(start).removesuffix(end))], "in front") == (ID, TRACE)

    (record,) = [each.item for each in otlp.logs if each.item.body.string_value == "in front"]
    assert (plain(record.attributes)["c2c.request_id"], record.trace_id.hex()) == (ID, TRACE)

    (span,) = [each.item for each in otlp.spans if each.item.name == "GET /front"]
    assert span.trace_id.hex() == TRACE
    assert ID in plain(span.attributes).values()

    (event,) = sentry.events
    assert (event["tags"]["request_id"], event["contexts"]["trace"]["trace_id"]) == (ID, TRACE)

    applications = {each.application for each in postgres.master.statements() if "identified" in each.sql}
    assert applications == {ID}
