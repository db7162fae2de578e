"""Errors, CORS services and views over real HTTP, from gunicorn with two workers (contract, sections 5 and 9)."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.servers.gunicorn import Gunicorn
from tests.servers.local import HOST, wait_until

SECRET = "pä ss"
ORIGIN = "https://other.example"


@pytest.fixture
def server(gunicorn: Callable[..., Gunicorn]) -> Gunicorn:
    return gunicorn("tests.apps.errors_and_services:main()", env={"C2C_SECRET": SECRET, "C2C_SHOW_ERRORS": "1"})


def cors(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in sorted(answer.headers.items()) if name.startswith("Access-Control")}


def ask(server: Gunicorn, path: str, verb: str = "GET", **rest: Any) -> requests.Response:
    return requests.request(verb, server.url + path, timeout=10, **rest)


def test_errors_are_json_and_what_is_logged_holds_no_secret(server: Gunicorn) -> None:
    answer = ask(server, "/fail?secret=wr0ng")
    request_id = answer.headers["X-Request-ID"]
    message = f"no answer from {server.url}/fail?secret=REDACTED"
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/json")
    assert answer.json() == {"message": message, "request_id": request_id, "status": 500}
    assert cors(answer) == {"Access-Control-Allow-Origin": "*"}
    busy = ask(server, "/fail?busy=1")
    assert (busy.status_code, busy.headers["Retry-After"], busy.json()["message"]) == (429, "3", "slower")
    missing = ask(server, "/n%C3%B6pe", headers={"X-Request-ID": "mine"})
    assert missing.json() == {"message": "/nöpe", "request_id": "mine", "status": 404}
    head = ask(server, "/fail", "HEAD")
    assert (head.status_code, head.content, head.headers["Content-Type"]) == (500, b"", "application/json")
    logged = {event["request_id"]: event for event in server.events() if event["logger_name"] == "c2cotel_views.errors"}
    assert logged[request_id]["level_name"] == "ERROR"
    assert logged[request_id]["msg"] == f"GET /fail was answered with 500: {message} (request {request_id})"
    assert "ValueError: no answer" in logged[request_id]["full_message"]
    assert (logged["mine"]["level_name"], logged["mine"]["path"]) == ("WARNING", "/n%C3%B6pe")
    assert "wr0ng" not in server.output()


@pytest.mark.parametrize("log_format", ['%(r)s "%(f)s"', "%(m)s %(U)s?%(q)s %(f)s"])
def test_the_access_log_of_gunicorn_holds_no_secret(gunicorn: Callable[..., Gunicorn], log_format: str) -> None:
    options = ("--access-logfile=-", "--access-logformat", log_format)
    server = gunicorn("tests.apps.errors_and_services:main()", *options, env={"C2C_SECRET": "s3cr3t"})
    referrer = {"Referer": "http://x/?secret=s3cr3t"}
    assert ask(server, "/nowhere?a=b&secret=s3cr3t", headers=referrer).status_code == 404
    server.terminate()
    (line,) = (line for line in server.output().splitlines() if "/nowhere?" in line and "http://x/" in line)
    assert "a=b&secret=REDACTED" in line
    assert "s3cr3t" not in server.output()


def test_the_error_log_of_gunicorn_holds_no_secret(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn("tests.apps.errors_and_services:main()", env={"C2C_DISABLE_EXCEPTION_HANDLING": "1"})
    assert ask(server, "/fail?a=b&secret=s3cr3t").status_code == 500
    server.terminate()
    assert "Error handling request GET /fail?a=b&secret=REDACTED" in server.output()
    assert "ValueError: no answer from" in server.output()
    assert "s3cr3t" not in server.output()


def test_the_secret_as_query_or_header_shows_the_stack_trace(server: Gunicorn) -> None:
    shown = [
        ask(server, "/fail", params={"secret": SECRET}),
        ask(server, "/fail", headers={"X-API-Key": SECRET.encode()}),
    ]
    for answer in shown:
        assert answer.status_code == 500
        assert answer.json()["stacktrace"].startswith("Traceback (most recent call last):\n")
    refused = [{"secret": "wrong"}, {"secret": ""}, {"secret": [SECRET, SECRET]}, {}]
    assert all("stacktrace" not in ask(server, "/fail", params=params).json() for params in refused)
    assert "stacktrace" not in ask(server, "/fail", headers={"X-API-Key": b"\xff\xfe"}).json()


def test_a_service_answers_scripts_of_other_origins_from_every_worker(server: Gunicorn) -> None:
    allowed = {"Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Origin": ORIGIN}
    pids = set()

    def both() -> bool:
        answer = ask(server, "/thing", headers={"Origin": ORIGIN})
        assert cors(answer) == allowed
        assert answer.headers["Cache-Control"] == "max-age=0, must-revalidate, no-cache, no-store"
        pid = answer.json()["pid"]
        assert answer.text == f'{{\n  "1": 18446744073709551616,\n  "pid": {pid}\n}}'
        pids.add(pid)
        return len(pids) > 1

    wait_until(both, "both workers answer")
    assert pids == server.children()
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-A"}
    preflight = ask(server, "/thing", "OPTIONS", headers=asked)
    found = cors(preflight)
    assert set(found.pop("Access-Control-Allow-Methods").split(",")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert found == {**allowed, "Access-Control-Allow-Headers": "X-A", "Access-Control-Max-Age": "86400"}
    plain = ask(server, "/fail?busy=1", "OPTIONS", headers=asked)
    assert (plain.status_code, plain.content) == (200, b"")
    assert cors(plain) == {
        "Access-Control-Allow-Headers": "X-A",
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Max-Age": "86400",
    }


def test_a_bad_parameter_is_a_400_that_names_it(server: Gunicorn) -> None:
    answer = ask(server, "/c2c/stats.json?reset=x")
    assert (answer.status_code, answer.json()) == (
        400,
        {"message": "reset='x': expected 1 or 0", "request_id": answer.headers["X-Request-ID"], "status": 400},
    )
    assert "no-cache" in answer.headers["Cache-Control"]


def test_a_client_that_goes_away_while_it_sends_is_logged_as_info(server: Gunicorn) -> None:
    with socket.create_connection((HOST, int(server.url.rpartition(":")[2])), 10) as connection:
        connection.sendall(b"POST /thing HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf")

    def told() -> list[dict[str, Any]]:
        return [event for event in server.events() if event.get("path") == "/thing"]

    wait_until(told, "the log tells of it")
    assert [(event["level_name"], event["method"]) for event in told()] == [("INFO", "POST")]
    assert "was answered with 400: The client disconnected" in told()[0]["msg"]
    assert json.loads(ask(server, "/thing", "POST", data=b"whole").text) == 5
