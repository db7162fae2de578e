"""Servers that do not do what they should."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.servers.local import HOST, free_tcp_port, free_udp_port
from tests.servers.otlp import OtlpReceiver

FAULTS = ["absent", "unresolvable", "slow", "refusing"]


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of an application whose statsd server and OTLP collector both have one fault."""
    statsd, collector = f"{HOST}:{free_udp_port()}", f"http://{HOST}:{free_tcp_port()}"
    with closing(OtlpReceiver()) as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        if request.param == "unresolvable":
            statsd, collector = "nowhere.invalid:8125", "http://nowhere.invalid:4318"
        elif request.param == "slow":
            receiver.delay = 30
            deaf.bind((HOST, 0))
            statsd, collector = f"{HOST}:{deaf.getsockname()[1]}", receiver.url
        elif request.param == "refusing":
            receiver.status = 503
            collector = receiver.url
        yield {"STATSD_ADDRESS": statsd, "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
