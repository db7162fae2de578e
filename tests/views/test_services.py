"""CORS services (contract, section 9; README, "CORS")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cornice import Service
from cornice.service import clear_services
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPUnauthorized
from pyramid.request import Request
from webtest import TestApp

from c2cotel_views import services
from tests.apps.application import Application

ORIGIN = "https://elsewhere.example"


@pytest.fixture(autouse=True)
def messages_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of unexpected exceptions go to everybody, as in 2018: these tests are about the messages."""
    monkeypatch.setenv("C2C_SHOW_ERRORS", "1")


@pytest.fixture(autouse=True)
def no_services() -> Iterator[None]:
    yield
    clear_services()


def application(service: Service, *more: Service, ini: dict[str, str] | None = None) -> TestApp[Any]:
    def configure(config: Configurator) -> None:
        for each in (service, *more):
            config.add_cornice_service(each)

    return Application(ini, configure).http


def hello_service(**kwargs: Any) -> Service:
    service = services.create("hello", "/hello", **kwargs)

    def hello(request: Request) -> dict[Any, Any]:
        match request.GET.get("how"):
            case "http":
                raise HTTPUnauthorized("who?", headers=[("WWW-Authenticate", "Basic")])
            case "error":
                raise KeyError("lost")
        return {"hello": True, 1: 2**64}

    service.add_view("GET", hello)
    return service


def cors(answer: Any) -> dict[str, str]:
    return {name: value for name, value in sorted(answer.headers.items()) if name.startswith("Access-Control")}


def test_the_readmes_service_answers_json_that_is_not_cached() -> None:
    answer = application(hello_service(cors_credentials=True)).get("/hello", headers={"Origin": ORIGIN})
    assert answer.body == b'{\n  "1": 18446744073709551616,\n  "hello": true\n}'
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "max-age=0, must-revalidate, no-cache, no-store"
    assert cors(answer) == {"Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Origin": ORIGIN}


def test_without_credentials_every_origin_is_allowed_alike() -> None:
    http = application(hello_service())
    assert cors(http.get("/hello", headers={"Origin": ORIGIN})) == {"Access-Control-Allow-Origin": "*"}
    assert cors(http.get("/hello")) == {}


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, {"Access-Control-Allow-Origin": "*"}),
        (
            {"cors_credentials": True},
            {"Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Origin": ORIGIN},
        ),
    ],
)
def test_a_preflight(kwargs: dict[str, Any], expected: dict[str, str]) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-A"}
    answer = application(hello_service(**kwargs)).options("/hello", headers=headers)
    found = cors(answer)
    assert answer.status_int == 200
    assert set(found.pop("Access-Control-Allow-Methods").split(",")) == {"GET", "HEAD", "OPTIONS"}
    assert found == {"Access-Control-Allow-Headers": "X-A", "Access-Control-Max-Age": "86400", **expected}


@pytest.mark.parametrize(("how", "status", "message"), [("http", 401, "who?"), ("error", 500, "'lost'")])
@pytest.mark.parametrize("credentials", [False, True])
def test_an_error_of_a_service_has_its_cors_headers(how: str, status: int, message: str, *, credentials: bool) -> None:
    http = application(hello_service(cors_credentials=credentials))
    answer = http.get(f"/hello?how={how}", headers={"Origin": ORIGIN}, status=status)
    assert answer.json == {"message": message, "status": status, "request_id": answer.headers["X-Request-ID"]}
    assert answer.headers.get("WWW-Authenticate") == ("Basic" if how == "http" else None)
    assert cors(answer) == (
        {"Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Origin": ORIGIN}
        if credentials
        else {"Access-Control-Allow-Origin": "*"}
    )


def test_an_error_for_an_origin_that_the_service_refuses_allows_nothing() -> None:
    http = application(hello_service(cors_origins=("https://friend.example",)))
    answer = http.get("/hello", headers={"Origin": ORIGIN}, status=400)
    assert answer.json == {
        "errors": [{"description": f"{ORIGIN} not allowed", "location": "header", "name": "Origin"}],
        "status": "error",
    }
    assert cors(answer) == {}
    friend = http.get("/hello?how=error", headers={"Origin": "https://friend.example"}, status=500)
    assert cors(friend) == {"Access-Control-Allow-Origin": "https://friend.example"}


def test_what_is_given_wins_over_the_defaults() -> None:
    answer = application(hello_service(http_cache=60, renderer="json", cors_origins=(ORIGIN,))).get(
        "/hello", headers={"Origin": ORIGIN}
    )
    assert answer.headers["Cache-Control"] == "max-age=60"
    assert cors(answer) == {"Access-Control-Allow-Origin": ORIGIN}


def test_a_verb_that_a_service_does_not_know_is_a_json_405() -> None:
    answer = application(hello_service()).post("/hello", headers={"Origin": ORIGIN}, status=405)
    assert answer.json["status"] == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_service_is_found_by_scanning_the_module_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "readme_services.py").write_text(
        "from c2cotel_views import services\n"
        'hello_service = services.create("scanned", "/scanned", cors_credentials=True)\n'
        "@hello_service.get()\n"
        "def hello_get(request):\n"
        '    return {"hello": True}\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    http = Application(configure=lambda config: config.scan("readme_services")).http
    assert http.get("/scanned").json == {"hello": True}


def test_an_error_elsewhere_keeps_working_beside_services() -> None:
    http = application(hello_service())
    answer = http.get("/nowhere", status=404)
    assert answer.json == {"message": "/nowhere", "status": 404, "request_id": answer.headers["X-Request-ID"]}
    assert cors(answer) == {"Access-Control-Allow-Origin": "*"}


@pytest.mark.parametrize("first", [False, True], ids=["after setup", "before setup"])
def test_an_application_that_includes_cornice_itself_has_json_errors_too(*, first: bool) -> None:
    service = hello_service(cors_credentials=True)
    with Configurator() as config:
        if first:
            config.include("cornice")
        config.include("c2cotel")
        if not first:
            config.include("cornice")
        config.add_cornice_service(service)
    http = TestApp(config.make_wsgi_app())
    for path, status, message in (
        ("/hello?how=error", 500, "'lost'"),
        ("/hello?how=http", 401, "who?"),
        ("/nowhere", 404, "/nowhere"),
    ):
        answer = http.get(path, headers={"Origin": ORIGIN}, status=status)
        assert answer.json == {"message": message, "status": status, "request_id": answer.headers["X-Request-ID"]}
        assert answer.headers["Access-Control-Allow-Origin"] == ("*" if status == 404 else ORIGIN)


def test_the_secret_shows_the_stack_trace_of_a_services_error() -> None:
    http = application(hello_service(), ini={"c2c.secret": "s3cr3t"})
    answer = http.get("/hello?how=error&secret=s3cr3t", status=500)
    assert answer.json["stacktrace"].endswith("KeyError: 'lost'")
    assert "stacktrace" not in http.get("/hello?how=error&secret=wrong", status=500).json


def test_not_found_raised_by_a_service_is_its_own() -> None:
    service = services.create("thing", "/thing/{id}")

    def thing(request: Request) -> None:
        raise HTTPNotFound(f"no thing {request.matchdict}")

    service.add_view("GET", thing)
    answer = application(service).get("/thing/7", headers={"Origin": ORIGIN}, status=404)
    assert answer.json["message"] == "no thing {'id': '7'}"
    assert cors(answer) == {"Access-Control-Allow-Origin": "*"}
