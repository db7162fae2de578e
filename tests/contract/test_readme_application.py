"""The application of the 2018 README does what that README says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyramid.paster import get_app
from webtest import TestApp

from c2cotel.runtime.telemetry import running
from tests.contract import app as application
from tests.servers.udp import UdpListener

INI = Path(__file__).parent / "app" / "production.ini"


@pytest.fixture
def app(udp_listener: UdpListener, tmp_path: Path) -> TestApp:
    options = {"STATSD_TEST_ADDRESS": udp_listener.address, "TEST_DATABASES": str(tmp_path)}
    return TestApp(get_app(str(INI), options=options))


def test_the_documented_names_arrive_at_the_statsd_server(app: TestApp, udp_listener: UdpListener) -> None:
    answer = app.get("/hello", headers={"X-Correlation-ID": "from the caller"})
    assert answer.json == {"hello": True, "request_id": "from the caller"}
    telemetry = running()
    assert telemetry is not None
    telemetry.close()
    udp_listener.settle(0.1)
    assert dict(udp_listener.counts()) == {
        "contract.route.GET.hello.200": 1,
        "contract.render.GET.hello.200": 1,
        "contract.toto.tutu": 1,
        "contract.toto.tutu.success": 1,
    }


def test_the_documented_view_shows_the_same(app: TestApp) -> None:
    app.get("/hello")
    assert set(app.get("/c2c/stats.json").json["timers"]) == {
        "route/GET/hello/200",
        "render/GET/hello/200",
        "toto/tutu",
        "toto/tutu/success",
    }


def test_reading_uses_the_slave_and_writing_the_master(app: TestApp) -> None:
    assert app.get("/api/other").json == {"engine": "sqlalchemy_slave"}
    assert app.post("/api/other").json == {"engine": "sqlalchemy"}
    assert app.post("/api/hello").json == {"engine": "sqlalchemy_slave"}


def test_the_cors_view_answers_other_origins_with_credentials(app: TestApp) -> None:
    headers = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}
    for answer in (app.get("/hello", headers=headers), app.options("/hello", headers=headers)):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://other.example"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert app.options("/hello", headers=headers).headers["Access-Control-Max-Age"] == "86400"


def test_data_that_the_database_refuses_at_the_commit_are_a_json_400(app: TestApp) -> None:
    answer = app.post("/error", status=400)
    assert answer.json == {
        "message": "IntegrityError: UNIQUE constraint failed: hello.value",
        "request_id": answer.headers["X-Request-ID"],
        "status": 400,
    }


def test_all_the_details_are_sent_with_the_secret_in_the_query(app: TestApp) -> None:
    shown = app.post("/error?secret=s3cr3t", status=400).json
    for text in (shown["message"], shown["stacktrace"]):
        assert "INSERT INTO hello" in text
        assert "toto" in text


@pytest.mark.parametrize(("held", "told"), [("1", True), ("0", False), ("", False)])
def test_all_the_details_are_sent_in_development(
    held: str, told: bool, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("DEVELOPMENT", held)
    app: TestApp = request.getfixturevalue("app")
    assert ("stacktrace" in app.get("/nowhere", status=404).json) is told


def test_the_health_checks_tell_what_is_well_and_what_is_not(app: TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    report = app.get("/c2c/health_check?max_level=2", status=500).json  # there is no table yet
    assert report["status"] == 500
    assert report["successes"]["custom"]["result"] == "happy"
    assert set(report["failures"]) == {"db_engine_sqlalchemy", "db_engine_sqlalchemy_slave"}
    report = app.get("/c2c/health_check", status=500).json
    assert "custom" not in {*report["successes"], *report["failures"]}
    monkeypatch.setattr(application, "not_happy", True)
    assert app.get("/c2c/health_check?max_level=2", status=500).json["failures"]["custom"]["message"] == "I'm not happy"
