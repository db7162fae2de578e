"""`/config`: what `c2cotel doctor` tells, of a running application."""

from __future__ import annotations

from typing import Any

import pytest
from pyramid.config import Configurator

from tests.apps.application import Application
from tests.servers.local import HOST, free_udp_port

SECRET = "k7Jq-2mVx-9fLw-0sTz"
KEY = {"X-API-Key": SECRET}
INI = {"c2c.base_path": "/c2c", "c2c.secret": SECRET, "c2c.statsd_prefix": "shop"}


def settings(answer: Any) -> dict[str, Any]:
    return {item["name"]: item for item in answer.json["settings"]}


def test_settings_are_shown_with_their_origin_to_who_has_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_MAX_SERIES", "7")
    app = Application(INI)
    assert app.http.get("/c2c/config", status=403).json["status"] == 403
    answer = app.http.get("/c2c/config", headers=KEY)
    assert (answer.json["status"], answer.json["problems"]) == (200, [])
    assert SECRET not in answer.text
    assert settings(answer)["C2C_SECRET"]["value"] == "REDACTED"
    assert settings(answer)["STATSD_PREFIX"] == {
        "name": "STATSD_PREFIX",
        "value": "shop",
        "origin": "ini",
        "ini": "c2c.statsd_prefix",
    }
    assert settings(answer)["STATSD_MAX_SERIES"]["origin"] == "env"
    assert settings(answer)["STATSD_USE_TAGS"]["origin"] == "default"


def test_servers_are_tried_unless_one_wishes_otherwise() -> None:
    app = Application({**INI, "c2c.statsd_address": f"{HOST}:{free_udp_port()}"})
    (problem,) = app.http.get("/c2c/config", headers=KEY).json["problems"]
    assert problem["subject"] == "STATSD_ADDRESS"
    assert "refused" in problem["message"]
    assert app.http.get("/c2c/config?connect=0", headers=KEY).json["problems"] == []


def test_a_tween_of_contrib_in_the_running_application_is_found() -> None:
    def configure(config: Configurator) -> None:
        config.add_tween("opentelemetry.instrumentation.pyramid.trace_tween_factory")

    (problem,) = Application(INI, configure).http.get("/c2c/config", headers=KEY).json["problems"]
    assert problem["subject"] == "opentelemetry.instrumentation.pyramid"


@pytest.mark.parametrize("missing", ["c2c.base_path", "c2c.secret"])
def test_without_a_place_or_a_secret_it_is_not_there(missing: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Application({name: value for name, value in INI.items() if name != missing})
    app.http.get("/c2c/config", headers=KEY, status=404)
    app.http.get("/config", headers=KEY, status=404)
    assert "C2C_SECRET is not set" not in caplog.text
