"""The helpers of acceptance tests, against real HTTP and a `docker` that records (contract, section 11)."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import requests
import yaml
from lxml import etree
from webob import Request, Response
from webob.dec import wsgify

from c2cotel.acceptance import retry, utils
from c2cotel.acceptance.composition import Composition
from c2cotel.acceptance.connection import CacheExpected, Connection
from tests.servers.local import HOST, free_tcp_port, wait_until

ORIGIN = "https://shop.example"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""


class Api:
    """A REST API over HTTP; `answers` has what each path answers."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Request], Response]] = {}
        self.server = make_server(HOST, 0, wsgify(self._answer), handler_class=_Quiet)
        self.url = f"http://{HOST}:{self.server.server_port}/api"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, request: Request) -> Response:
        return self.answers[request.path](request)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    served = Api()
    yield served
    served.close()


@pytest.fixture
def connection(api: Api) -> Iterator[Connection]:
    connected = Connection(api.url, ORIGIN)
    with connected.session:
        yield connected


def answer(
    body: str = "", status: int = 200, content_type: str = "text/plain", headers: dict[str, str] | None = None
) -> Response:
    """With headers that allow any origin and no caching; an empty one takes a header away."""
    given = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache", **(headers or {})}
    response = Response(body, status=status, content_type=content_type, charset="utf-8")
    for name, value in given.items():
        if value:
            response.headers[name] = value
    return response


def as_json(held: Any) -> Response:
    return answer(json.dumps(held), content_type="application/json")


# ---- Connection ----


@pytest.mark.parametrize("path", ["hello", "/hello"])
def test_a_get_gives_its_text_and_sends_origin_and_headers(api: Api, connection: Connection, path: str) -> None:
    api.answers["/api/hello"] = lambda request: answer(f"é {request.headers['Origin']} {request.headers['X-Me']}")
    assert connection.get(path, headers={"X-Me": "1"}) == f"é {ORIGIN} 1"


def test_a_raw_get_gives_the_response_and_query_parameters_go_out(api: Api, connection: Connection) -> None:
    api.answers["/api/hello"] = lambda request: answer(request.query_string)
    response = connection.get_raw("hello", params={"a": "b"})
    assert isinstance(response, requests.Response)
    assert response.text == "a=b"


def test_json_is_read_and_anything_else_refused(api: Api, connection: Connection) -> None:
    api.answers["/api/hello"] = lambda _: as_json({"hello": ["é"]})
    api.answers["/api/problem"] = lambda _: answer("{}", content_type="application/problem+json")
    api.answers["/api/text"] = lambda _: answer("{}")
    assert connection.get_json("hello") == {"hello": ["é"]}
    assert connection.get_json("problem") == {}
    with pytest.raises(AssertionError, match="expected JSON, not 'text/plain'"):
        connection.get_json("text")


def test_xml_is_read_and_checked_by_its_schema(api: Api, connection: Connection, tmp_path: Path) -> None:
    schema = tmp_path / "schema.xsd"
    schema.write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="a" type="xs:integer"/></xs:schema>'
    )
    api.answers["/api/good"] = lambda _: answer(
        "<?xml version='1.0' encoding='utf-8'?><a>1</a>", content_type="text/xml"
    )
    api.answers["/api/bad"] = lambda _: answer("<b/>", content_type="text/xml")
    assert connection.get_xml("good", schema=str(schema)).findtext(".") == "1"
    assert connection.get_xml("bad").getroot().tag == "b"
    with pytest.raises(etree.DocumentInvalid):
        connection.get_xml("bad", schema=str(schema))


def test_what_is_posted_put_and_deleted_arrives(api: Api, connection: Connection) -> None:
    def echo(request: Request) -> Response:
        return as_json([request.method, request.content_type.partition(";")[0], request.body.decode()])

    def form(request: Request) -> Response:
        fields: Any = request.POST
        return as_json([fields["name"], fields["file"].file.read().decode()])

    api.answers["/api/echo"] = echo
    api.answers["/api/form"] = form
    api.answers["/api/gone"] = lambda _: answer(status=204)
    assert json.loads(connection.post("echo", data="text", headers={"Content-Type": "text/plain"})) == [
        "POST",
        "text/plain",
        "text",
    ]
    assert connection.post_json("echo", json={"a": 1}) == ["POST", "application/json", '{"a": 1}']
    assert connection.put_json("echo", json={"a": 1}) == ["PUT", "application/json", '{"a": 1}']
    assert connection.post_files("form", data={"name": "n"}, files={"file": ("f.txt", b"held")}) == ["n", "held"]
    assert connection.post_json("gone", expected_status=204) is None
    assert connection.delete("gone").status_code == 204


def test_another_status_than_expected_shows_the_response(api: Api, connection: Connection) -> None:
    api.answers["/api/hello"] = lambda _: answer("what went wrong", status=404)
    with pytest.raises(AssertionError, match=r"GET .*/api/hello answered 404: expected status 200\nwhat went wrong"):
        connection.get("hello")
    with pytest.raises(AssertionError, match="expected status 400 or 403"):
        connection.get("hello", expected_status=(400, 403))
    assert connection.get("hello", expected_status=(400, 404)) == "what went wrong"


@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ({"Access-Control-Allow-Origin": "*"}, None),
        ({"Access-Control-Allow-Origin": ORIGIN, "Access-Control-Allow-Credentials": "true"}, None),
        ({"Access-Control-Allow-Origin": ""}, None),
        ({"Access-Control-Allow-Origin": ORIGIN}, None),
        ({"Access-Control-Allow-Credentials": "true"}, f"'\\*', expected '{ORIGIN}'"),
    ],
)
def test_cors_is_checked_where_the_answer_allows_credentials(
    api: Api, connection: Connection, headers: dict[str, str], wrong: str | None
) -> None:
    api.answers["/api/hello"] = lambda _: answer(headers=headers)
    if wrong is None:
        connection.get("hello")
    else:
        with pytest.raises(AssertionError, match=f"Access-Control-Allow-Origin is {wrong}"):
            connection.get("hello")


def test_arguments_by_position_are_in_the_order_of_2018(api: Api, connection: Connection) -> None:
    def echo(request: Request) -> Response:
        shown = as_json([request.method, request.headers.get("X-Me"), "Origin" in request.headers])
        shown.status_int = 201
        return shown

    api.answers["/api/echo"] = echo
    for method in ("get_json", "post_json", "post_files", "put_json"):
        verb = method.partition("_")[0].upper()
        ask = getattr(connection, method)
        assert ask("echo", 201, {"X-Me": "1"}) == [verb, "1", True]
        assert ask("echo", [200, 201], None, False, CacheExpected.NO) == [verb, None, False]
    assert json.loads(connection.get("echo", 201, {"X-Me": "1"})) == ["GET", "1", True]
    assert json.loads(connection.post("echo", 201, {"X-Me": "1"}, data="x")) == ["POST", "1", True]
    assert connection.get_raw("echo", 201, {"X-Me": "1"}).json() == ["GET", "1", True]
    assert connection.delete("echo", 201, {"X-Me": "1"}).json() == ["DELETE", "1", True]


def test_without_cors_no_origin_is_sent_and_nothing_checked(api: Api, connection: Connection) -> None:
    api.answers["/api/hello"] = lambda request: answer(
        str("Origin" in request.headers), headers={"Access-Control-Allow-Origin": ""}
    )
    assert connection.get("hello", cors=False) == "False"


@pytest.mark.parametrize(
    ("said", "expected", "holds"),
    [
        ("no-cache", CacheExpected.NO, True),
        ("max-age=0, must-revalidate, no-cache, no-store", CacheExpected.NO, True),
        ("public, max-age=3600", CacheExpected.NO, False),
        ("", CacheExpected.NO, False),
        ("public, max-age=3600", CacheExpected.YES, True),
        ("no-cache", CacheExpected.YES, False),
        ("", CacheExpected.YES, False),
        ("max-age=0", CacheExpected.YES, False),
        ("no-cache", CacheExpected.DONT_CARE, True),
        ("", CacheExpected.DONT_CARE, True),
    ],
)
def test_whether_an_answer_may_be_cached_is_checked(
    api: Api, connection: Connection, said: str, expected: CacheExpected, holds: bool
) -> None:
    api.answers["/api/hello"] = lambda _: answer("fine", headers={"Cache-Control": said})
    if holds:
        assert connection.get("hello", cache_expected=expected) == "fine"
    else:
        with pytest.raises(AssertionError, match="Cache-Control"):
            connection.get("hello", cache_expected=expected)


# ---- utils ----


def test_a_url_is_waited_for_until_it_answers_200(api: Api) -> None:
    statuses = iter([503, 404, 200])
    api.answers["/api/late"] = lambda _: answer(status=next(statuses))
    utils.wait_url(f"{api.url}/late", interval=0.01)
    assert list(statuses) == []


def test_a_url_that_never_answers_200_says_why(api: Api) -> None:
    api.answers["/api/bad"] = lambda _: answer(status=503)
    with pytest.raises(AssertionError, match=r"Not within 0.05 s, at last AssertionError: .*/api/bad answered 503"):
        utils.wait_url(f"{api.url}/bad", timeout=0.05, interval=0.01)
    with pytest.raises(AssertionError, match="ConnectionError"):
        utils.wait_url(f"http://{HOST}:{free_tcp_port()}/", timeout=0.05, interval=0.01)


def test_a_function_is_called_until_it_returns_something_true() -> None:
    values = iter([0, "", "here"])
    assert utils.retry_timeout(lambda: next(values), interval=0.001) == "here"
    with pytest.raises(AssertionError, match="at last it returned False"):
        utils.retry_timeout(lambda: False, timeout=0.01, interval=0.001)


def test_retry_waits_longer_each_time_and_raises_the_last_error(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    @retry((ValueError, KeyError), tries=3, delay=1, backoff=10)
    def fail(number: int) -> None:
        """Fails."""
        calls.append(number)
        raise ValueError(len(calls))

    with pytest.raises(ValueError, match="3"):
        fail(7)
    assert (calls, waits, fail.__doc__) == ([7, 7, 7], [1, 10], "Fails.")


def test_retry_returns_the_first_success_and_lets_other_errors_through() -> None:
    outcomes: Iterator[Exception | str] = iter([ValueError(), "fine", TypeError()])

    @retry(ValueError, delay=0)
    def next_outcome() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert next_outcome() == "fine"
    with pytest.raises(TypeError):
        next_outcome()


def test_numbers_deep_inside_are_compared_nearly() -> None:
    assert utils.approx({"a": [1.0, {"b": 2}], "c": "x"}) == {"a": [1.0000001, {"b": 2}], "c": "x"}
    assert utils.approx({"a": [1.0]}) != {"a": [1.1]}
    assert utils.approx({"a": 1.0}, abs=0.2) == {"a": 1.1}


def test_inside_a_container_the_host_is_behind_the_default_route(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text("Iface\tDestination\tGateway\tFlags\neth0\t0011AC00\t00000000\t1\neth0\t00000000\t010011AC\t3\n")
    assert utils.docker_gateway(routes) == "172.17.0.1"
    assert utils.DOCKER_GATEWAY == "localhost"


# ---- Composition ----

DOCKER = """#!/bin/sh
printf '%s\\n' "$PWD|$DOCKER_TAG|$*" >> "$RECORD"
case "$*" in
  *" up "*) printf '%s\\n' "$DOCKER_TAG|$DOCKER_IP|$TEST_IP|$DOCKER_CB_HOST" > "$RECORD.env" ;;
esac
for word in "$@"; do
  case "$word$*" in --file=*" up "*) cp "${word#--file=}" "$RECORD.yml" ;; esac
done
case "$*" in
  *logs*--follow*) echo "web | started"; exec sleep 60 ;;
  *" exec "*) echo "from inside" ;;
  *" run "*) exit "${RUN_FAILS:-0}" ;;
esac
"""


class FixtureRequest:
    """What a fixture's `request` is to a `Composition`."""

    def __init__(self) -> None:
        self.finalizers: list[Callable[[], object]] = []

    def addfinalizer(self, finalizer: Callable[[], object]) -> None:
        self.finalizers.append(finalizer)

    def finish(self) -> None:
        while self.finalizers:
            self.finalizers.pop()()


class Docker:
    """Knows which commands there were."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.record = directory / "record"
        self.compose_file = directory / "docker-compose.yml"
        self.compose_file.write_text("services: {}\n")

    def calls(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []

    def commands(self) -> list[str]:
        """The calls of docker compose, without what is in front of all of them."""
        before = f"compose --file={self.compose_file} --project-name=shop "
        return [call.split("|")[2].removeprefix(before) for call in self.calls()]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    executable = tmp_path / "bin" / "docker"
    executable.parent.mkdir()
    executable.write_text(DOCKER)
    executable.chmod(0o755)
    recorded = Docker(tmp_path)
    monkeypatch.setenv("PATH", f"{executable.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(recorded.record))
    for name in ("docker_start", "docker_stop", "DOCKER_TAG", "DOCKER_IP", "TEST_IP", "DOCKER_CB_HOST", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    return recorded


@pytest.fixture
def fixture_request() -> Iterator[FixtureRequest]:
    made = FixtureRequest()
    yield made
    made.finish()


UP = ["stop", "rm --force", "build", "up --detach"]
LOGS = "logs --follow --no-color"


def test_a_composition_starts_and_stops_with_its_fixture(
    docker: Docker, fixture_request: FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    Composition(fixture_request, "shop", docker.compose_file)
    wait_until(lambda: LOGS in docker.commands(), "the logs are followed")
    wait_until(lambda: "web | started" in capfd.readouterr().out, "what the containers say")
    fixture_request.finish()
    assert docker.commands() == [*UP, LOGS, "stop"]
    assert {call.split("|")[0] for call in docker.calls()} == {str(docker.directory)}
    assert {call.split("|")[1] for call in docker.calls()} == {"latest"}


def test_the_variables_of_a_compose_file_of_2018_are_set(
    docker: Docker, fixture_request: FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def variables() -> list[str]:
        Composition(fixture_request, "shop", docker.compose_file)
        return Path(f"{docker.record}.env").read_text().strip().split("|")

    tag, docker_ip, test_ip, cb_host = variables()
    assert (tag, cb_host) == ("latest", "localhost")
    assert docker_ip == test_ip == utils.docker_ip()
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", docker_ip)
    monkeypatch.setenv("TEST_IP", "10.0.0.7")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    assert variables() == ["latest", "127.0.0.1", "10.0.0.7", "127.0.0.1"], "the caller's own wins"
    monkeypatch.delenv("TEST_IP")
    assert variables() == ["latest", "127.0.0.1", "127.0.0.1", "127.0.0.1"]


def test_the_host_is_the_first_address_of_dockers_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    routes = tmp_path / "route"
    routes.write_text("Iface\tDestination\tGateway\ndocker0\t0000A8C0\t00000000\n")
    assert utils.docker_ip(routes) == "192.168.0.1"
    routes.write_text("Iface\tDestination\tGateway\n")
    assert utils.docker_ip(routes) == "172.17.0.1"
    assert utils.docker_ip(tmp_path / "missing") == "172.17.0.1"


def test_a_compose_file_of_version_1_is_read_as_version_2(docker: Docker, fixture_request: FixtureRequest) -> None:
    docker.compose_file.write_text("---\nweb:\n  image: web\n  command: |\n    a\n    b\ndb: {image: db}\n")
    Composition(fixture_request, "shop", docker.compose_file)
    read = yaml.safe_load(Path(f"{docker.record}.yml").read_text())
    assert read == {"services": {"web": {"image": "web", "command": "a\nb\n"}, "db": {"image": "db"}}}
    assert all(f"--project-directory={docker.directory}" in call for call in docker.calls())
    (file,) = {re.findall(r"--file=(\S+)", call)[0] for call in docker.calls()}
    fixture_request.finish()
    assert not Path(file).exists()


@pytest.mark.parametrize("text", ["# nothing\n", None])
def test_a_compose_file_that_names_no_service_is_an_error(
    docker: Docker, fixture_request: FixtureRequest, text: str | None
) -> None:
    file = docker.directory / "other.yml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=r"other.yml: .*[eE]xpected a compose file"):
        Composition(fixture_request, "shop", file)


def test_one_service_is_stopped_started_restarted_and_run_in(docker: Docker, fixture_request: FixtureRequest) -> None:
    composition = Composition(fixture_request, "shop", str(docker.compose_file))
    wait_until(lambda: LOGS in docker.commands(), "the logs are followed")
    composition.stop("db")
    composition.start("db")
    composition.restart("web")
    composition.run("web", "ls", "-l /")
    assert composition.exec("web", "hostname") == "from inside\n"
    composition.logs("web")
    assert docker.commands()[len(UP) + 1 :] == [
        "stop db",
        "start db",
        "restart web",
        "run --rm -T web ls -l /",
        "exec -T web hostname",
        "logs --no-color --no-log-prefix web",
    ]


def test_a_command_that_fails_fails_the_test(
    docker: Docker, fixture_request: FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_FAILS", "3")
    composition = Composition(fixture_request, "shop", docker.compose_file)
    with pytest.raises(Exception, match="exit status 3"):
        composition.run("web", "false")


def test_a_composition_that_runs_already_is_taken_and_left(
    docker: Docker, fixture_request: FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("docker_start", "0")
    monkeypatch.setenv("docker_stop", "0")
    monkeypatch.setenv("DOCKER_TAG", "7")
    Composition(fixture_request, "shop", docker.compose_file)
    wait_until(lambda: docker.commands() == [LOGS], "the logs are followed")
    fixture_request.finish()
    assert [call.split("|")[1:] for call in docker.calls()] == [["7", docker.calls()[0].split("|")[2]]]


def test_coverage_is_fetched_from_stopped_containers(docker: Docker, fixture_request: FixtureRequest) -> None:
    reports = docker.directory / "reports"
    Composition(
        fixture_request,
        "shop",
        docker.compose_file,
        coverage_paths=["shop_web_1:/cov", "other:/cov"],
        coverage_directory=reports,
    )
    fixture_request.finish()
    assert docker.commands()[-3:] == ["stop", f"cp shop-web-1:/cov {reports}", f"cp other:/cov {reports}"]
    assert reports.is_dir()


def test_the_names_of_2018_give_these_modules() -> None:
    from tests.contract.test_2018 import python

    code = (
        "import c2cotel.compat\n"
        "from c2cwsgiutils.acceptance import retry, utils\n"
        "from c2cwsgiutils.acceptance.connection import CacheExpected, Connection\n"
        "from c2cwsgiutils.acceptance.composition import Composition\n"
        "print(Composition.__module__, Connection.__module__, utils.__name__, retry.__module__)\n"
    )
    done = python(code)
    assert done.stdout.split() == [
        f"c2cotel.acceptance.{name}" for name in ("composition", "connection", "utils", "utils")
    ]
