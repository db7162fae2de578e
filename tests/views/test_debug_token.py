"""Tokens that ask for everything about one request (contract, section 16)."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from c2cotel.cli import main
from c2cotel.host.records import Record
from c2cotel.runtime.flight import tokens
from tests.apps.application import Application, view
from tests.servers.databases import Valkey
from tests.servers.otlp import OtlpReceiver

SECRET = "a secret of some length"
log = logging.getLogger("quiet.module")


@pytest.fixture(autouse=True)
def recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    monkeypatch.setenv("C2C_SECRET", SECRET)
    monkeypatch.setenv("C2C_BASE_PATH", "/c2c")
    monkeypatch.setattr(log, "level", logging.INFO)
    log.manager._clear_cache()  # type: ignore[attr-defined]  # `setLevel` does it


def hello(_: Request) -> Response:
    log.debug("a quiet line")
    return Response("x")


def ask(app: Application, token: str, path: str = "/hello") -> Any:
    return app.http.get(path, headers={tokens.HEADER: token})


def record(app: Application, answer: Any) -> Record:
    app.telemetry.flush()
    flight = app.telemetry.flight
    assert flight is not None
    store: Any = flight.store
    (kept,) = store.get(answer.headers["X-Request-ID"])
    assert isinstance(kept, Record)
    return kept


def test_a_token_keeps_its_request_with_everything(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")

    def slowly(_: Request) -> Response:
        log.debug("a quiet line")
        time.sleep(0.6)
        return Response("x")

    app = Application(configure=view(slowly))
    answer = ask(app, tokens.make(SECRET, 60))
    assert answer.headers["X-C2C-Record"] == f"/c2c/requests/{answer.headers['X-Request-ID']}"
    kept = record(app, answer)
    assert (kept.kept, kept.reason) == (("debug",), "asked for by a token")
    assert [(each["message"], each["buffered"]) for each in kept.logs] == [("a quiet line", True)]
    assert kept.profile is not None
    assert kept.profile["samples"] >= 3
    app.http.get("/hello")
    app.finish()
    assert list(otlp.span_names().elements()) == ["GET /hello"]


def test_the_record_is_at_the_address_of_the_answer() -> None:
    app = Application(configure=view(hello))
    answer = ask(app, tokens.make(SECRET, 60))
    app.telemetry.flush()
    shown = app.http.get(f"{answer.headers['X-C2C-Record']}.json", headers={"X-API-Key": SECRET}).json
    assert shown["id"] == answer.headers["X-Request-ID"]


def _forged(token: str) -> str:
    head, _, signature = token.rpartition(".")
    return f"{head}.{signature[::-1]}"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "x" * 1_000_000,
        "1.1.1.1",
        _forged(tokens.make(SECRET, 60)),
        tokens.make("another secret of length", 60),
        tokens.make(SECRET, -1),
        tokens.make(SECRET, 60, route="other"),
        tokens.make(SECRET, 60, uses=0),
        tokens.make(SECRET, 60).replace(".1.", ".900.", 1),
        "\xff\ud800",
    ],
    ids=["empty", "short", "long", "form", "forged", "secret", "expired", "route", "none", "uses", "bytes"],
)
def test_other_tokens_have_no_effect(token: str) -> None:
    app = Application(configure=view(hello))
    environ = {tokens.ENVIRON_KEY: token}
    answer = app.http.get("/hello", extra_environ=environ)
    assert "X-C2C-Record" not in answer.headers
    kept = record(app, answer)
    assert kept.kept == ("recent",)
    assert kept.logs == []


def test_a_token_is_for_its_route() -> None:
    def other(_: Request) -> Response:
        return Response("x")

    def both(config: Configurator) -> None:
        view(hello)(config)
        view(other, "/other")(config)

    app = Application(configure=both)
    token = tokens.make(SECRET, 60, route="hello", uses=2)
    assert "X-C2C-Record" not in ask(app, token, "/other").headers
    assert "X-C2C-Record" in ask(app, token).headers


@pytest.mark.server
@pytest.mark.parametrize("with_redis", [False, True], ids=["host", "Redis"])
def test_one_use_makes_one_of_many_requests_verbose(
    with_redis: bool, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_redis:
        monkeypatch.setenv("C2C_REDIS_URL", valkey.url)
    app = Application(configure=view(hello))
    token = tokens.make(SECRET, 60)
    verbose = []

    def run() -> None:
        answer = ask(app, token)
        verbose.append("X-C2C-Record" in answer.headers)

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(verbose), sum(verbose)) == (50, 1)


def test_uses_are_counted_by_the_host_while_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_REDIS_URL", "redis://127.0.0.1:1/0")
    app = Application(configure=view(hello))
    token = tokens.make(SECRET, 60)
    assert ["X-C2C-Record" in ask(app, token).headers for _ in range(3)] == [True, False, False]


def test_calls_to_other_services_carry_a_token_of_their_own(otlp: OtlpReceiver) -> None:
    def calling(_: Request) -> Response:
        prepared = requests.Request("GET", f"{otlp.url}/x").prepare()
        seen: list[str | None] = []
        with requests.Session() as session:
            answer = session.send(prepared, timeout=5)
            seen.append(answer.request.headers.get(tokens.HEADER))
        return Response(json_body=seen)

    app = Application(configure=view(calling))
    token = tokens.make(SECRET, 60)
    (sent,) = ask(app, token).json
    assert sent != token
    assert tokens.read(SECRET, sent) is not None
    assert app.http.get("/hello").json == [None]


def test_without_the_recorder_tokens_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("C2C_FLIGHT_RECORDER")
    app = Application(configure=view(hello))
    assert "X-C2C-Record" not in ask(app, tokens.make(SECRET, 60)).headers


def test_the_command_makes_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["debug-token", "--minutes", "5", "--route", "hello", "--uses", "3"])
    assert result.exit_code == 0
    token = tokens.read(SECRET, result.stdout.strip())
    assert token is not None
    assert (token.route, token.uses) == ("hello", 3)
    assert 290 < token.until - time.time() <= 300
    monkeypatch.setenv("C2C_SECRET", "short")
    assert "use 16 or more" in CliRunner().invoke(main, ["debug-token"]).stderr
    monkeypatch.delenv("C2C_SECRET")
    assert "C2C_SECRET is not set" in CliRunner().invoke(main, ["debug-token"]).output


def test_the_view_makes_a_token_for_those_with_the_secret() -> None:
    app = Application(configure=view(hello))
    assert app.http.post("/c2c/debug_token", {"route": "hello"}, status=403).json["status"] == 403
    answer = app.http.post("/c2c/debug_token", {"route": "hello", "uses": "2"}, headers={"X-API-Key": SECRET}).json
    assert (answer["header"], answer["route"], answer["uses"]) == (tokens.HEADER, "hello", 2)
    assert "X-C2C-Record" in ask(app, answer["token"]).headers
