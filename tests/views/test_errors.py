"""Errors as JSON (contract, section 9; README, "Exception handling")."""

from __future__ import annotations

import http.client
import logging
import sys
from collections.abc import Callable
from io import BufferedReader, RawIOBase
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyramid import httpexceptions
from pyramid.config import Configurator
from pyramid.interfaces import IExceptionResponse
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from webob import exc

from c2cotel.logs import JsonFormatter
from tests.apps.application import Application, view
from tests.servers.otlp import OtlpReceiver, plain

SECRET = "s3cr3t"
UNCACHEABLE = "max-age=0, must-revalidate, no-cache, no-store"
LOGGER = "c2cotel_views.errors"
ALL = {"Access-Control-Allow-Origin": "*"}


@pytest.fixture(autouse=True)
def messages_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of unexpected exceptions go to everybody, as in 2018: these tests are about the messages."""
    monkeypatch.setenv("C2C_SHOW_ERRORS", "1")


def failing(error: BaseException, ini: dict[str, Any] | None = None, **options: Any) -> Application:
    """An application whose view raises an error."""

    def hello(request: Request) -> None:
        raise error

    return Application(ini, view(hello, **options))


def whole(answer: Any, status: int, message: str) -> None:
    """The answer is JSON with nothing more than that, and open to scripts of every origin."""
    assert answer.status_int == status
    assert answer.content_type == "application/json"
    assert answer.json == {"message": message, "request_id": answer.headers["X-Request-ID"], "status": status}
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What was logged: level and message without the request's id."""
    records = [record for record in caplog.records if record.name == LOGGER]
    return [(record.levelname, record.getMessage().rpartition(" (request ")[0]) for record in records]


class SilentError(Exception):
    """An exception that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("went wrong"), "went wrong"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "'x'"),
        (ValueError("a\nb\r\x00é€"), "a\nb\r\x00é€"),
        (ValueError("\ud800"), None),
        (SilentError(), "SilentError"),
        (ValueError("x" * 1_000_000), "x" * 10_000),
        (ValueError("postgresql://u:pw@host/db?password=pw"), "postgresql://u:REDACTED@host/db?password=REDACTED"),
        (ValueError("no answer from http://h/?secret=s3cr3t"), "no answer from http://h/?secret=REDACTED"),
        (ConnectionResetError(104, "a server of ours hung up"), "[Errno 104] a server of ours hung up"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_any_exception_is_a_json_500(error: Exception, message: str | None, caplog: pytest.LogCaptureFixture) -> None:
    answer = failing(error).http.get("/hello", status=500)
    if message is not None:
        whole(answer, 500, message)
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert answer.headers["X-Request-ID"] in record.getMessage()
    assert len(record.getMessage().splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status", "message", "level"),
    [
        (httpexceptions.HTTPBadRequest("bad é"), 400, "bad é", "INFO"),
        (httpexceptions.HTTPUnauthorized("who?"), 401, "who?", "INFO"),
        (httpexceptions.HTTPForbidden(), 403, "Access was denied to this resource.", "WARNING"),
        (httpexceptions.HTTPNotFound("a\nb"), 404, "a\nb", "WARNING"),
        (httpexceptions.HTTPLengthRequired(json_body={"other": 1}), 411, "Content-Length header required.", "WARNING"),
        (httpexceptions.HTTPServiceUnavailable("later"), 503, "later", "ERROR"),
        (httpexceptions.exception_response(501), 501, "Not Implemented", "ERROR"),
        (exc.HTTPConflict("webob's"), 409, "webob's", "WARNING"),
    ],
    ids=repr,
)
def test_http_errors_keep_status_and_message(
    error: Exception, status: int, message: str, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole(failing(error).http.get("/hello", status=status), status, message)
    shown = message.replace("\n", "\\n")
    assert lines(caplog) == [(level, f"GET /hello was answered with {status}: {shown}")]


def test_http_errors_keep_their_headers_but_not_those_of_their_body() -> None:
    error = httpexceptions.HTTPUnauthorized(
        headers=[
            ("WWW-Authenticate", "Basic"),
            ("WWW-Authenticate", "Bearer"),
            ("Retry-After", "3"),
            ("Content-Encoding", "gzip"),
            ("Access-Control-Allow-Origin", "https://only.example"),
        ],
        body=b"compressed",
    )
    answer = failing(error).http.get("/hello", status=401)
    assert answer.headers.getall("WWW-Authenticate") == ["Basic", "Bearer"]
    assert answer.headers["Retry-After"] == "3"
    assert answer.headers.getall("Access-Control-Allow-Origin") == ["https://only.example"]
    assert "Content-Encoding" not in answer.headers
    assert len(answer.headers.getall("Content-Length")) == len(answer.headers.getall("Content-Type")) == 1
    assert answer.json["status"] == 401


@pytest.mark.parametrize(
    "error",
    [
        httpexceptions.HTTPFound("/there"),
        httpexceptions.HTTPNotModified(),
        httpexceptions.HTTPNoContent(),
        httpexceptions.HTTPOk("fine"),
        exc.HTTPSeeOther(location="/there"),
    ],
    ids=repr,
)
def test_redirections_and_successes_pass(error: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    answer = Request.blank("/hello").get_response(failing(error).wsgi)
    assert answer.status == error.status
    assert answer.content_type != "application/json"
    assert answer.headers.get("Location", "").endswith(error.location or "")
    assert lines(caplog) == []


def test_what_is_not_there_is_json_too(caplog: pytest.LogCaptureFixture) -> None:
    app = failing(ValueError(), request_method="POST", accept="application/json")
    whole(app.http.get("/n%C3%B6pe?secret=s3cr3t", status=404), 404, "/nöpe")
    answer = app.http.get("/hello", status=404)
    assert answer.json["message"].startswith("predicate mismatch for view hello")
    assert lines(caplog)[0] == ("WARNING", "GET /nöpe was answered with 404: /nöpe")


def test_a_path_that_is_no_utf8_is_a_400(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    environ = Request.blank("/hello").environ | {"PATH_INFO": "/\xff\n"}
    answer = Request(environ).get_response(Application().wsgi)
    assert (answer.status_int, answer.json["status"]) == (400, 400)
    (line,) = lines(caplog)
    assert line[0] == "INFO"
    assert line[1].startswith("GET /�\\n was answered with 400: 'utf-8' codec")


def test_head_has_the_headers_alone() -> None:
    answer = failing(httpexceptions.HTTPGone("away")).http.head("/hello", status=410)
    assert (answer.body, answer.content_type) == (b"", "application/json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_preflight_of_a_plain_view_is_answered() -> None:
    asked = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "X-One, content-type",
    }
    app = failing(httpexceptions.HTTPForbidden())
    for path in ("/hello", "/nowhere"):
        answer = app.http.options(path, headers=asked)
        found = {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}
        assert (answer.status_int, answer.body) == (200, b"")
        assert found == {
            "Access-Control-Allow-Headers": "X-One, content-type",
            "Access-Control-Allow-Methods": "PUT",
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Max-Age": "86400",
        }
    assert app.http.options("/hello").headers["Access-Control-Allow-Origin"] == "*"
    odd = {"Access-Control-Request-Method": "<x>\xe9", "Access-Control-Request-Headers": ", ,"}
    allowed = Request.blank("/hello", method="OPTIONS", headers=odd).get_response(app.wsgi).headers
    assert allowed["Access-Control-Allow-Methods"] == "x"
    assert "Access-Control-Allow-Headers" not in allowed
    whole(failing(ValueError("x")).http.options("/hello", status=500), 500, "x")


@pytest.mark.parametrize("given", ["query", "header", "development"])
def test_with_the_secret_or_in_development_the_stack_trace_is_told(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if given == "development":
        monkeypatch.setenv("DEVELOPMENT", "1")
    app = failing(ValueError("at postgresql://u:pw@h/db"), {"c2c.secret": SECRET})
    query = f"?secret={SECRET}" if given == "query" else ""
    headers = {"X-API-Key": SECRET} if given == "header" else {}
    answer = app.http.get("/hello" + query, headers=headers, status=500)
    assert set(answer.json) == {"message", "request_id", "stacktrace", "status"}
    assert answer.json["stacktrace"].startswith("Traceback (most recent call last):\n")
    assert answer.json["stacktrace"].endswith("\nValueError: at postgresql://u:REDACTED@h/db")
    assert answer.headers["Cache-Control"] == UNCACHEABLE
    assert "stacktrace" in app.http.get("/no" + query, headers=headers, status=404).json


@pytest.mark.parametrize("query", ["", "?secret=", "?secret=wrong", "?secret=%ff", "?secret=s3cr3t&secret=s3cr3t"])
@pytest.mark.parametrize("ini", [{"c2c.secret": SECRET}, {}])
def test_without_the_right_secret_it_is_not(query: str, ini: dict[str, str]) -> None:
    whole(failing(ValueError("x"), ini).http.get("/hello" + query, status=500), 500, "x")


def test_the_body_of_the_application_is_not_read_to_find_a_secret() -> None:
    class Body:
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

    environ = Request.blank("/hello", method="POST").environ
    environ |= {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": "9", "wsgi.input": Body()}
    answer = Request(environ).get_response(failing(ValueError("x"), {"c2c.secret": SECRET}).wsgi)
    whole(answer, 500, "x")


class Sql:
    """An application whose view does `work` with a SQLite database."""

    def __init__(self, work: Callable[[Any], None], ini: dict[str, str] | None = None) -> None:
        engine = create_engine("sqlite://")

        def hello(request: Request) -> None:
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE customer (name TEXT UNIQUE)"))
                work(connection)

        self.http = Application(ini, view(hello)).http


VALUE = "private"


def twice(connection: Any) -> None:
    for _ in range(2):
        connection.execute(text("INSERT INTO customer (name) VALUES (:name)"), {"name": VALUE})


def misspelt(connection: Any) -> None:
    connection.execute(text("SELECT misspelt FROM customer WHERE name = :name"), {"name": VALUE})


@pytest.mark.parametrize(
    ("work", "status", "message", "said"),
    [
        (twice, 400, "IntegrityError: UNIQUE constraint failed: customer.name", "INSERT INTO"),
        (misspelt, 500, "OperationalError", "SELECT misspelt"),
    ],
)
def test_sql_errors_show_statement_and_values_to_the_secret_only(
    work: Callable[[Any], None], status: int, message: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole(Sql(work).http.get("/hello", status=status), status, message)
    assert lines(caplog) == [
        ("INFO" if status == 400 else "ERROR", f"GET /hello was answered with {status}: {message}")
    ]
    shown = Sql(work, {"c2c.secret": SECRET}).http.get("/hello", headers={"X-API-Key": SECRET}, status=status).json
    for told in (shown["message"], shown["stacktrace"]):
        assert said in told
        assert VALUE in told
    formatted = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert VALUE not in formatted


class RefusalError(Exception):
    """What a database driver raises."""


@pytest.mark.parametrize(
    ("orig", "message"),
    [
        (
            'duplicate key value violates unique constraint "customer_name_key"\nDETAIL:  Key (name)=(private) already',
            'IntegrityError: duplicate key value violates unique constraint "customer_name_key"',
        ),
        (
            'invalid input syntax for type integer: "private"\nLINE 1: SELECT private',
            "IntegrityError: invalid input syntax for type integer: …",
        ),
        (
            'value "private" is out of range for type integer',
            "IntegrityError: value … is out of range for type integer",
        ),
        ("Duplicate entry 'private' for key 'name'", "IntegrityError: Duplicate entry … for key …"),
        ("", "IntegrityError: "),
    ],
)
def test_what_a_database_says_of_refused_data_loses_its_values(orig: str, message: str) -> None:
    error = IntegrityError("INSERT INTO private", {"name": "private"}, RefusalError(orig))
    whole(failing(error).http.get("/hello", status=400), 400, message)


def test_a_statement_in_the_text_of_another_exception_is_hidden_too() -> None:
    inner = ProgrammingError("SELECT private", {"name": "private"}, RefusalError("no such thing"))
    error = RuntimeError(f"could not be saved: {inner}")
    message = failing(error).http.get("/hello", status=500).json["message"]
    assert message.startswith("could not be saved: ")
    assert message.endswith("no such thing")


@pytest.mark.parametrize(
    ("response", "status", "level"),
    [
        ({"ResponseMetadata": {"HTTPStatusCode": 404}}, 404, "WARNING"),
        ({"ResponseMetadata": {"HTTPStatusCode": 503}}, 503, "ERROR"),
        ({"ResponseMetadata": {"HTTPStatusCode": 200}}, 500, "ERROR"),
        ({"ResponseMetadata": {"HTTPStatusCode": None}}, 500, "ERROR"),
        ({}, 500, "ERROR"),
    ],
)
def test_an_error_of_aws_has_its_status(
    response: dict[str, Any], status: int, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    error: Any = ClientError({"Error": {"Code": "NoSuchKey", "Message": "no key"}, **response}, "GetObject")
    message = "An error occurred (NoSuchKey) when calling the GetObject operation: no key"
    whole(failing(error).http.get("/hello", status=status), status, message)
    assert lines(caplog) == [(level, f"GET /hello was answered with {status}: {message}")]


def test_a_client_that_goes_away_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    class Half(RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: Any) -> int:
            return 0

    def hello(request: Request) -> Response:
        return Response(request.body)

    app = Application(configure=view(hello))
    environ = Request.blank("/hello", method="POST").environ
    environ |= {"CONTENT_LENGTH": "8", "wsgi.input": BufferedReader(Half())}
    environ.pop("webob.is_body_seekable", None)
    answer = Request(environ).get_response(app.wsgi)
    assert answer.status_int == 400
    ((level, message),) = lines(caplog)
    assert level == "INFO"
    assert message.startswith("POST /hello was answered with 400: The client disconnected while sending the body")


@pytest.mark.parametrize("context", [Exception, ValueError])
@pytest.mark.parametrize("included", [False, True], ids=["root", "include"])
def test_the_applications_own_exception_views_win(context: type, *, included: bool) -> None:
    def own(config: Configurator) -> None:
        config.add_exception_view(lambda error, _: Response(f"own {error}", status=418), context=context)
        config.add_notfound_view(lambda _: Response("own 404", status=404))

    def hello(request: Request) -> None:
        raise ValueError("x") if "x" in request.GET else httpexceptions.HTTPConflict("ours")

    def configure(config: Configurator) -> None:
        view(hello)(config)
        if included:
            config.include(own)
        else:
            own(config)

    app = Application(configure=configure)
    assert app.http.get("/hello?x=", status=418).text == "own x"
    assert app.http.get("/nowhere", status=404).text == "own 404"
    whole(app.http.get("/hello", status=409), 409, "ours")


def test_an_error_view_of_the_application_wins_where_it_applies() -> None:
    def hello(request: Request) -> None:
        raise ValueError("x") if "x" in request.GET else httpexceptions.HTTPConflict("own")

    def configure(config: Configurator) -> None:
        view(hello)(config)
        config.add_view(lambda error, _: Response(f"{error} {error.code}"), context=IExceptionResponse)
        config.add_exception_view(lambda *_: Response("post"), context=Exception, request_method="POST")

    app = Application(configure=configure)
    assert app.http.get("/hello").text == "own 409"
    assert app.http.post("/hello?x=").text == "post"
    whole(app.http.get("/hello?x=", status=500), 500, "x")


def test_setup_twice_and_inclusion_beside_it_do_not_conflict() -> None:
    def configure(config: Configurator) -> None:
        config.include("c2cotel")
        config.include(lambda inner: inner.include("c2cotel"), route_prefix="/api")

    whole(Application(configure=configure).http.get("/x", status=404), 404, "/x")


def failing_tween(handler: Callable[[Request], Any], _: Any) -> Callable[[Request], Any]:
    def tween(request: Request) -> Any:
        handler(request)
        raise ValueError("in a tween")

    return tween


@pytest.mark.parametrize("over", [None, "pyramid.tweens.excview_tween_factory"])
def test_an_error_in_any_tween_is_json(over: str | None) -> None:
    def configure(config: Configurator) -> None:
        view(lambda _: Response("answered"), "/hello")(config)
        place = {"over": over} if over else {"under": "pyramid.tweens.excview_tween_factory"}
        config.add_tween(f"{__name__}.failing_tween", **place)

    whole(Application(configure=configure).http.get("/hello", status=500), 500, "in a tween")


def test_an_error_at_commit_is_a_400() -> None:
    """pyramid_tm commits outside of Pyramid's exception tween."""

    def hello(request: Request) -> str:
        request.tm.get().addBeforeCommitHook(refuse)  # type: ignore[attr-defined]
        return "saved"

    def refuse() -> None:
        raise IntegrityError("INSERT", {}, RefusalError("FOREIGN KEY constraint failed"))

    def configure(config: Configurator) -> None:
        config.include("pyramid_tm")
        view(hello, renderer="string")(config)

    answer = Application(configure=configure).http.get("/hello", status=400)
    whole(answer, 400, "IntegrityError: FOREIGN KEY constraint failed")


def test_an_error_view_of_the_application_that_fails_is_answered() -> None:
    def broken(error: Exception, request: Request) -> Response:
        raise RuntimeError("the view for errors failed")

    def configure(config: Configurator) -> None:
        view(lambda _: 1 / 0, "/hello")(config)
        config.add_exception_view(broken, context=ZeroDivisionError)

    whole(Application(configure=configure).http.get("/hello", status=500), 500, "the view for errors failed")


def test_the_exception_stays_visible_to_those_who_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Watching(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((record.exc_info and record.exc_info[1], sys.exc_info()[1]))

    logger = logging.getLogger(LOGGER)
    watching = Watching()
    logger.addHandler(watching)
    error = ValueError("x")

    def watch(handler: Callable[[Request], Any], _: Any) -> Callable[[Request], Any]:
        def tween(request: Request) -> Any:
            response = handler(request)
            seen.append((request.exception, request.exc_info and request.exc_info[1]))
            return response

        return tween

    monkeypatch.setattr(f"{__name__}.failing_tween", watch)

    def configure(config: Configurator) -> None:
        def hello(request: Request) -> None:
            raise error

        view(hello)(config)
        config.add_tween(f"{__name__}.failing_tween", over="pyramid.tweens.excview_tween_factory")

    try:
        Application(configure=configure).http.get("/hello", status=500)
    finally:
        logger.removeHandler(watching)
    assert seen == [(error, error), (error, error)]


def test_the_span_of_an_answered_error_still_records_it(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    app = failing(ValueError("lost secret=abc"), {"c2c.secret": SECRET})
    app.http.get(f"/hello?secret={SECRET}&x=1", status=500)
    app.finish()
    (span,) = [received.item for received in otlp.spans]
    (event,) = span.events
    assert plain(event.attributes)["exception.message"] == "lost secret=REDACTED"
    assert plain(span.attributes)["url.query"] == "secret=REDACTED&x=1"
    assert SECRET not in str(span)


def test_a_log_line_of_an_error_holds_no_secret_whatever_handler_writes_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    error = ValueError("url http://h/?secret=s3cr3t")
    error.__cause__ = OSError("amqp://u:s3cr3t@h/")
    app = failing(error, {"c2c.secret": SECRET})
    answer = app.http.get(f"/hello?secret={SECRET}", headers={"X-API-Key": SECRET}, status=500)
    assert "s3cr3t" not in answer.text
    records = [record for record in caplog.records if record.name == LOGGER]
    assert len(records) == 1
    for formatter in (JsonFormatter(), logging.Formatter()):
        formatted = formatter.format(records[0])
        assert "REDACTED" in formatted
        assert "Traceback (most recent call last)" in formatted
        assert "s3cr3t" not in formatted


def test_the_secret_and_the_error_views_belong_to_each_application() -> None:
    one = failing(ValueError("x"), {"c2c.secret": "one"})
    two = failing(ValueError("x"), {"c2c.secret": "two"})
    three = failing(ValueError("x"), {"c2c.disable_exception_handling": "1"})
    assert "stacktrace" in one.http.get("/hello?secret=one", status=500).json
    assert "stacktrace" in two.http.get("/hello?secret=two", status=500).json
    whole(one.http.get("/hello?secret=two", status=500), 500, "x")
    with pytest.raises(ValueError, match="x"):
        three.http.get("/hello?secret=one")


def test_with_the_handling_disabled_errors_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_DISABLE_EXCEPTION_HANDLING", "1")
    app = failing(ValueError("x"))
    with pytest.raises(ValueError, match="x"):
        app.http.get("/hello")
    assert app.http.get("/nowhere", status=404).content_type == "text/plain"


def test_pyramid_debugtoolbar_works_with_the_readmes_ini() -> None:
    ini = {
        "pyramid.includes": "pyramid_debugtoolbar",
        "debugtoolbar.enabled": "true",
        "debugtoolbar.hosts": "0.0.0.0/0",
        "debugtoolbar.intercept_exc": "debug",
        "debugtoolbar.show_on_exc_only": "true",
        "c2c.disable_exception_handling": "1",
    }
    app = failing(ValueError("seen in the debugger"), ini)
    environ = {"REMOTE_ADDR": "192.0.2.1"}
    answer = app.http.get("/hello", status=http.client.INTERNAL_SERVER_ERROR, extra_environ=environ)
    assert answer.content_type == "text/html"
    assert "seen in the debugger" in answer.text
    assert "pyramid_debugtoolbar" in answer.text
    toolbar = app.http.get("/_debug_toolbar/", extra_environ=environ)
    assert toolbar.status_int == 200


@pytest.mark.parametrize("ini", [{"c2c.secret": SECRET}, {}])
def test_others_are_not_told_what_went_wrong(ini: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("C2C_SHOW_ERRORS")
    app = failing(ValueError("row 7 of customer"), ini)
    whole(app.http.get("/hello", status=500), 500, "Internal Server Error")
    assert app.http.get("/hello", status=500).body.endswith(b"}\n")


def test_the_secret_is_told_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("C2C_SHOW_ERRORS")
    app = failing(ValueError("row 7 of customer"), {"c2c.secret": SECRET})
    assert app.http.get("/hello", headers={"X-API-Key": SECRET}, status=500).json["message"] == "row 7 of customer"


def test_an_http_error_keeps_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("C2C_SHOW_ERRORS")
    whole(failing(httpexceptions.HTTPConflict("taken")).http.get("/hello", status=409), 409, "taken")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (httpexceptions.HTTPFound("/there"), 302),
        (httpexceptions.HTTPNoContent(), 204),
        (httpexceptions.HTTPForbidden(), 403),
        (httpexceptions.HTTPInternalServerError(), 500),
        (ValueError("x"), 500),
    ],
)
def test_what_is_raised_is_not_cached_as_in_2018(error: Exception, status: int) -> None:
    answer = failing(error).http.get("/hello", status=status)
    assert answer.headers.getall("Cache-Control") == [UNCACHEABLE]


def test_what_an_application_says_of_its_redirect_stays() -> None:
    error = httpexceptions.HTTPMovedPermanently("/there", headers={"Cache-Control": "max-age=60"})
    assert failing(error).http.get("/hello", status=301).headers.getall("Cache-Control") == ["max-age=60"]
