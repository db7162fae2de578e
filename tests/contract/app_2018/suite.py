"""The acceptance tests of the application, in the style of 2018; `BASE_URL` says where it runs."""

import os
import subprocess

import c2cotel.compat  # the one line that is new: before the first import of c2cwsgiutils
import pytest
from c2cwsgiutils.acceptance import retry, utils
from c2cwsgiutils.acceptance.composition import Composition
from c2cwsgiutils.acceptance.connection import CacheExpected, Connection

BASE_URL = os.environ["BASE_URL"]
HERE = os.path.dirname(os.path.abspath(__file__))
SECRET = {"secret": "changeme"}
WORKERS = int(os.environ["WORKERS"])


@pytest.fixture(scope="session")
def composition(request):
    result = Composition(request, "app2018", os.path.join(HERE, "docker-compose.yml"))
    utils.wait_url(BASE_URL + "api/hello")
    return result


@pytest.fixture
def app_connection(composition):
    return Connection(base_url=BASE_URL, origin="http://example.com/")


# ---- the application ----


def test_ok(app_connection):
    assert app_connection.put_json("api/hello", json={"value": "suite"}) == {"saved": True}

    @retry(AssertionError, tries=6, delay=0.2)
    def replicated():
        assert "suite" in app_connection.get_json("api/hello")["hello"]

    replicated()


def test_reads_use_the_slave(app_connection):
    assert app_connection.get_json("api/engine") == {"slave": True}
    assert app_connection.put_json("api/engine") == {"slave": False}
    assert app_connection.post_json("api/hello") == {"slave": True}, "forced"


def test_subrequest(app_connection):
    assert "first" in app_connection.get_json("api/around")["around"]


def test_headers_by_position(app_connection):
    response = app_connection.get_raw("api/hello", 200, {"X-Request-ID": "from the suite"})
    assert response.headers["X-Request-ID"] == "from the suite"


def test_tracking(app_connection):
    answer = app_connection.get_json("api/tracking/1", headers={"X-Request-ID": "42 is the answer"})
    assert answer == {"request_id": "42 is the answer", "nested": {"request_id": "42 is the answer"}}


def test_broadcast(app_connection):
    @retry(AssertionError, tries=6, delay=0.2)
    def all_workers():
        answers = app_connection.get_json("api/broadcast", params={"word": "hello"})
        assert [answer["word"] for answer in answers] == ["hello"] * WORKERS
        assert len({answer["pid"] for answer in answers}) == WORKERS

    all_workers()


# ---- errors ----


def test_not_found(app_connection):
    answer = app_connection.get_json("api/nowhere", 404)
    assert answer["status"] == 404


def test_forbidden(app_connection):
    answer = app_connection.get_json("api/errors/forbidden", 403)
    assert (answer["message"], answer["status"]) == ("not you", 403)


def test_redirect(app_connection):
    response = app_connection.get_raw("api/errors/redirect", 302, allow_redirects=False)
    assert response.headers["Location"] == "http://shop.example/"


def test_no_content(app_connection):
    assert app_connection.get_raw("api/errors/empty", 204).text == ""


def test_broken(app_connection):
    answer = app_connection.get_json("api/errors/broken", 500)
    assert answer["message"] == "broken"
    assert "stacktrace" not in answer
    assert "ValueError" in str(app_connection.get_json("api/errors/broken", 500, params=SECRET)["stacktrace"])


@pytest.mark.parametrize("kind", ["null", "type"])
def test_refused_by_the_database(app_connection, kind):
    answer = app_connection.put_json("api/errors/" + kind, 400)
    assert answer["status"] == 400
    assert "no number" not in str(answer)


# ---- the views of the library ----


def test_ping(app_connection):
    assert app_connection.get_json("api/c2c/health_check?max_level=0") == {
        "failures": {},
        "status": 200,
        "successes": {},
    }


def test_health(app_connection):
    answer = app_connection.get_json("api/c2c/health_check", params={"max_level": "3"})
    assert answer["failures"] == {}
    (alembic,) = [name for name in answer["successes"] if name.startswith("alembic_")]
    names = {"db_engine_sqlalchemy", "db_engine_sqlalchemy_slave", "url", "store", "version", "custom", alembic}
    assert set(answer["successes"]) == {*names, os.environ["C2C_REDIS_URL"]}
    assert answer["successes"][alembic]["result"] == "4a8c1bb4e775"
    assert answer["successes"]["version"]["result"] == "abc"
    assert answer["successes"]["custom"]["result"] == "happy"


def test_unhealthy(app_connection):
    answer = app_connection.get_json("api/c2c/health_check", 500, params={"max_level": "4", "checks": "unhappy,other"})
    assert answer["failures"]["unhappy"]["message"] == "I'm not happy"
    assert answer["failures"]["unhappy"]["result"] == {"because": ["it", "rains"]}


def test_versions(app_connection):
    assert app_connection.get_json("api/c2c/versions.json")["main"] == {"git_hash": "abc", "git_tag": "v1"}


def test_logging(app_connection):
    app_connection.get_json("api/c2c/logging/level", 403)
    answer = app_connection.get_json("api/c2c/logging/level", params={**SECRET, "name": "suite", "level": "DEBUG"})
    assert answer["level"] == "DEBUG"
    assert app_connection.get_json("api/c2c/logging/level", params=SECRET)["overrides"]["suite"] == "DEBUG"


def test_sql_profiler(app_connection):
    assert app_connection.get_json("api/c2c/sql_profiler", params={**SECRET, "enable": "1"})["enabled"]
    app_connection.get_json("api/hello")
    assert not app_connection.get_json("api/c2c/sql_profiler", params={**SECRET, "enable": "0"})["enabled"]


def test_stacks(app_connection):
    grouped = app_connection.get_json("api/c2c/debug/stacks", params=SECRET)
    assert len({name.split("/")[1] for group in grouped for name in group["threads"]}) == WORKERS


def test_index(app_connection):
    assert "/api/c2c/health_check" in app_connection.get_raw("api/c2c", cors=False).text


def test_stats(app_connection):
    tags = os.environ["STATSD_USE_TAGS"] == "1"
    route = "route/group=2/method=GET/route=hello/status=200" if tags else "route/GET/hello/200"
    app_connection.get_json("api/c2c/stats.json?reset=1&scope=all", cache_expected=CacheExpected.NO)
    app_connection.get_json("api/hello")

    @retry(AssertionError, tries=6, delay=0.2)
    def counted():
        timers = app_connection.get_json("api/c2c/stats.json?scope=all")["timers"]
        assert {name.replace("method=GET/", "") for name in timers} >= {route.replace("method=GET/", "")}
        assert timers["toto/tutu"]["nb"] == 1
        assert timers["titi/tata/success=1" if tags else "titi/tata/success"]["nb"] == 1
        assert [name for name in timers if name.startswith("sql/SELECT FROM hello" if not tags else "sql/query=SELECT")]

    counted()


# ---- what runs beside the application ----


def test_alembic(composition):
    assert "4a8c1bb4e775" in composition.exec("app", "alembic", "-c", os.path.join(HERE, "alembic.ini"), "current")


def test_cron(composition):
    composition.exec("app", "python", os.path.join(HERE, "cron.py"))
    with pytest.raises(subprocess.CalledProcessError):
        composition.exec("app", "python", os.path.join(HERE, "cron.py"), "fail")


@utils.skipIfCI
def test_not_on_ci():
    pass
