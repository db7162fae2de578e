"""Which engine a request uses: the servers themselves are asked."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg.errors
import psycopg2.errors
import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.scripting import prepare
from sqlalchemy.exc import InternalError

from c2cotel.db import create_session
from tests.apps.database import MASTER, REPLICA, SERVER, Hello, HelloRequest, Hellos, asked
from tests.servers.databases import PostgresPair

pytestmark = pytest.mark.server

Start = Callable[..., Hellos]
DRIVERS = {"psycopg2": psycopg2.errors.ReadOnlySqlTransaction, "psycopg": psycopg.errors.ReadOnlySqlTransaction}


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_written_through_the_master_is_read_from_the_replica(
    start: Start, postgres: PostgresPair, driver: str
) -> None:
    hellos = start(driver)
    written = hellos.http.post("/hello", {"say": f"through {driver}"})
    assert written.headers["X-Server"] == MASTER
    postgres.wait_replicated()
    read = hellos.http.get("/hello")
    assert read.headers["X-Server"] == REPLICA
    assert f"through {driver}" in read.json


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_replica_refuses_what_a_get_writes(start: Start, driver: str) -> None:
    hellos = start(driver)
    with pytest.raises(InternalError) as caught:
        hellos.http.get("/hello", {"say": "never"})
    assert isinstance(caught.value.orig, DRIVERS[driver])
    assert "never" not in hellos.saved()
    assert hellos.ask("GET", "/server") == REPLICA


@pytest.mark.parametrize("verb", ["GET", "HEAD", "OPTIONS"])
def test_a_verb_that_reads_uses_the_replica(hellos: Hellos, verb: str) -> None:
    assert hellos.ask(verb, "/server") == REPLICA


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_any_other_verb_uses_the_master(hellos: Hellos, verb: str) -> None:
    assert hellos.ask(verb, "/server") == MASTER


@pytest.mark.parametrize(
    ("force_master", "force_slave", "verb", "path", "expected"),
    [
        (None, ["POST /api/server"], "POST", "/api/server", REPLICA),
        (None, ["POST /api/server"], "POST", "/server", MASTER),
        (None, ["POST /api/server"], "PUT", "/api/server", MASTER),
        (["GET /api/server"], None, "GET", "/api/server", MASTER),
        (["GET /api/server"], None, "GET", "/server", REPLICA),
        (["GET /api/server"], None, "HEAD", "/api/server", REPLICA),
        (["POST /server"], ["POST /server"], "POST", "/server", MASTER),
        (["GET /nothing", "GET /ser"], None, "GET", "/server?a=b", MASTER),
        (["/server"], None, "GET", "/server", REPLICA),
        (None, ["/server"], "POST", "/server", MASTER),
        (None, [".* /server$"], "POST", "/server?a=b", REPLICA),
        (None, [re.compile("post /SERVER", re.IGNORECASE)], "POST", "/server", REPLICA),
        (None, iter(["POST /server"]), "POST", "/server", REPLICA),
    ],
)
def test_regular_expressions_have_their_way(
    start: Start, force_master: Any, force_slave: Any, verb: str, path: str, expected: str
) -> None:
    hellos = start(force_master=force_master, force_slave=force_slave)
    assert [hellos.ask(verb, path) for _ in range(2)] == [expected] * 2


def test_the_path_begins_where_the_application_is_mounted(start: Start) -> None:
    hellos = start(force_slave=["POST /mounted/server"])
    assert hellos.ask("POST", "/server", SCRIPT_NAME="/mounted") == REPLICA
    assert hellos.ask("POST", "/server") == MASTER


def test_the_path_is_percent_encoded(start: Start) -> None:
    def add(config: Configurator) -> None:
        config.add_route("été", "/été")
        config.add_view(lambda request: request.invoke_subrequest(Request.blank("/server")), route_name="été")

    assert start(configure=add, force_master=["GET /%C3%A9t%C3%A9$"]).ask("GET", "/%C3%A9t%C3%A9") == MASTER


def test_a_path_that_is_not_utf_8_does_not_break_the_session(start: Start) -> None:
    def add(config: Configurator) -> None:
        def show(request: HelloRequest) -> Any:
            request.response.headers["X-Server"] = asked(request.dbsession)
            return request.response

        config.add_exception_view(show, context=UnicodeDecodeError)

    assert start(configure=add, force_master=["GET /x"]).ask("GET", "/%ff") == MASTER


def test_a_good_request_commits(hellos: Hellos) -> None:
    hellos.http.post("/hello", {"say": "kept"})
    assert "kept" in hellos.saved()


def test_an_exception_rolls_back(hellos: Hellos) -> None:
    with pytest.raises(ZeroDivisionError):
        hellos.http.post("/break_off", {"say": "lost"})
    hellos.http.post("/refuse", {"say": "lost"}, status=409)
    assert "lost" not in hellos.saved()
    assert hellos.http.post("/hello", {"say": "alive"}).headers["X-Server"] == MASTER


def test_two_requests_at_once_keep_their_engines(start: Start) -> None:
    """Each asks before and after the other has begun its transaction."""
    both = threading.Barrier(2)

    def add(config: Configurator) -> None:
        def twice(request: HelloRequest) -> list[str]:
            both.wait(10)
            first = asked(request.dbsession)
            both.wait(10)
            return [first, asked(request.dbsession)]

        config.add_route("twice", "/twice")
        config.add_view(twice, route_name="twice", renderer="json")

    hellos = start(configure=add)

    def run(verb: str) -> set[str]:
        return {
            name for _ in range(200) for name in Request.blank("/twice", method=verb).get_response(hellos.wsgi).json
        }

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(run, ["GET", "POST"])) == [{REPLICA}, {MASTER}]


def test_fifty_threads_use_no_wrong_engine_and_give_all_connections_back(hellos: Hellos) -> None:
    before = len(hellos.saved())

    def run(thread: int) -> Counter[tuple[str, str]]:
        seen: Counter[tuple[str, str]] = Counter()
        for number in range(100):
            verb = "POST" if (thread + number) % 4 == 0 else "GET"
            path = "/hello?say=x" if number == thread else "/server"
            if number == thread:
                verb = "POST"
            response = Request.blank(path, method=verb).get_response(hellos.wsgi)
            seen[verb, response.headers["X-Server"]] += 1
        return seen

    with ThreadPoolExecutor(50) as threads:
        seen = sum(threads.map(run, range(50)), Counter[tuple[str, str]]())
    assert set(seen) == {("GET", REPLICA), ("POST", MASTER)}
    assert seen.total() == 5_000
    assert len(hellos.saved()) == before + 50
    assert [engine.pool.checkedout() for engine in (hellos.rw, hellos.ro)] == [0, 0]  # type: ignore[attr-defined]


def test_outside_of_a_request_the_master_is_used(hellos: Hellos) -> None:
    assert asked(hellos.session) == MASTER
    hellos.session.remove()


def test_after_a_request_the_thread_is_back_at_the_master(start: Start) -> None:
    late: list[str] = []

    def add(config: Configurator) -> None:
        def leave(request: HelloRequest) -> Any:
            request.add_finished_callback(lambda _: late.append(asked(request.dbsession)))
            return request.invoke_subrequest(Request.blank("/server"))

        config.add_route("leave", "/leave")
        config.add_view(leave, route_name="leave")

    hellos = start(configure=add)
    assert [hellos.ask("GET", "/leave"), *late, asked(hellos.session)] == [REPLICA, MASTER, MASTER]


@pytest.mark.parametrize("hook", [None, "pyramid_tm.explicit_manager"])
def test_a_script_with_a_blank_request_writes_to_the_master(start: Start, hook: str | None) -> None:
    """`pyramid.paster.bootstrap` gives a script such a request, and its verb is GET."""
    hellos = start(settings={"tm.manager_hook": hook})
    with prepare(registry=hellos.wsgi.registry) as script, script["request"].tm:
        hellos.session.add(Hello(value=f"of a script, {hook}"))
    assert f"of a script, {hook}" in hellos.saved()


def test_a_manager_for_each_request_works_too(start: Start) -> None:
    hellos = start(settings={"tm.manager_hook": "pyramid_tm.explicit_manager"})
    assert hellos.http.post("/hello", {"say": "explicitly"}).headers["X-Server"] == MASTER
    assert "explicitly" in hellos.saved()
    with pytest.raises(ZeroDivisionError):
        hellos.http.post("/break_off", {"say": "lost explicitly"})
    assert "lost explicitly" not in hellos.saved()
    assert hellos.ask("GET", "/server") == REPLICA
    assert [engine.pool.checkedout() for engine in (hellos.rw, hellos.ro)] == [0, 0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("hook", [None, "pyramid_tm.explicit_manager"])
@pytest.mark.parametrize("tweens", [False, True])
@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("GET", "GET", [REPLICA, REPLICA]),
        ("POST", "GET", [MASTER, MASTER]),
        ("GET", "POST", [MASTER, MASTER]),
        ("POST", "POST", [MASTER, MASTER]),
    ],
)
def test_a_sub_request_never_brings_a_writer_to_the_replica(
    start: Start, hook: str | None, tweens: bool, outer: str, inner: str, expected: list[str]
) -> None:
    """It may share the transaction of the request around it."""

    def add(config: Configurator) -> None:
        def around(request: HelloRequest) -> list[str]:
            blank = Request.blank("/server", method=inner)
            first = request.invoke_subrequest(blank, use_tweens=tweens).headers["X-Server"]
            return [first, asked(request.dbsession)]

        config.add_route("around", "/around")
        config.add_view(around, route_name="around", renderer="json")

    hellos = start(configure=add, settings={"tm.manager_hook": hook})
    answer = hellos.http.request("/around", method=outer).json
    if tweens and (outer, inner) == ("GET", "POST"):
        expected = [MASTER, REPLICA]  # it had a transaction of its own
    assert answer == expected
    assert [engine.pool.checkedout() for engine in (hellos.rw, hellos.ro)] == [0, 0]  # type: ignore[attr-defined]


def test_a_transaction_never_changes_its_engine(start: Start) -> None:
    def add(config: Configurator) -> None:
        def changing(request: HelloRequest) -> list[str]:
            seen = [asked(request.dbsession)]
            request.method = "POST"
            with request.dbsession.begin_nested():
                seen.append(asked(request.dbsession))
            seen.append(asked(request.dbsession))
            request.tm.commit()
            request.tm.begin()
            return [*seen, asked(request.dbsession)]

        config.add_route("changing", "/changing")
        config.add_view(changing, route_name="changing", renderer="json")

    assert start(configure=add).http.get("/changing").json == [REPLICA, REPLICA, REPLICA, MASTER]


def test_an_engine_given_by_hand_comes_first(start: Start) -> None:
    def add(config: Configurator) -> None:
        def by_hand(request: HelloRequest) -> list[str]:
            session = request.dbsession
            one = session.execute(SERVER, bind_arguments={"bind": session.c2c_rw_bind}).scalar_one()
            request.tm.abort()
            session.bind = session.c2c_rw_bind
            two = asked(session)
            session.remove()
            return [one, two, asked(session)]

        config.add_route("by_hand", "/by_hand")
        config.add_view(by_hand, route_name="by_hand", renderer="json")

    assert start(configure=add).http.get("/by_hand").json == [MASTER, MASTER, REPLICA]


def test_without_a_configurator_there_is_only_the_master(postgres: PostgresPair) -> None:
    scheme = "postgresql+psycopg2"
    session = create_session(None, "script", postgres.master.dsn(scheme), postgres.replica.dsn(scheme))
    assert session.c2c_rw_bind is session.c2c_ro_bind
    assert asked(session) == MASTER
    session.remove()
    session.c2c_rw_bind.dispose()


def test_create_session_splits_like_setup_session(postgres: PostgresPair) -> None:
    scheme = "postgresql+psycopg2"
    with Configurator() as config:
        session = create_session(
            config,
            "db",
            postgres.master.dsn(scheme),
            postgres.replica.dsn(scheme),
            ["GET /m"],
            ["POST /s"],
            pool_size=3,
        )

        def show(request: HelloRequest) -> Any:
            request.response.text = asked(session)
            return request.response

        config.add_route("any", "/*path")
        config.add_view(show, route_name="any")
    app = config.make_wsgi_app()
    requests = [("GET", "/"), ("GET", "/m"), ("POST", "/"), ("POST", "/s")]
    answers = [Request.blank(path, method=verb).get_response(app).text for verb, path in requests]
    assert answers == [REPLICA, MASTER, MASTER, REPLICA]
    for engine in (session.c2c_rw_bind, session.c2c_ro_bind):
        assert engine.pool.size() == 3  # type: ignore[attr-defined]
        engine.dispose()
