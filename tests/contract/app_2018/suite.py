"""The acceptance tests of the application, in the style of 2018; `BASE_URL` says where it runs."""

import os

import c2cotel.compat  # the one line that is new: before the first import of c2cwsgiutils
import pytest
from c2cwsgiutils.acceptance import retry, utils
from c2cwsgiutils.acceptance.connection import CacheExpected, Connection

SECRET = {"secret": "changeme"}


@pytest.fixture(scope="session")
def app_connection():
    utils.wait_url(os.environ["BASE_URL"] + "api/hello")
    return Connection(base_url=os.environ["BASE_URL"], origin="http://example.com/")


def test_ok(app_connection):
    assert app_connection.put_json("api/hello", json={"value": "suite"}) == {"saved": True}

    @retry(AssertionError, tries=6, delay=0.2)
    def replicated():
        assert "suite" in app_connection.get_json("api/hello")["hello"]

    replicated()


def test_headers_by_position(app_connection):
    response = app_connection.get_raw("api/hello", 200, {"X-Request-ID": "from the suite"})
    assert response.headers["X-Request-ID"] == "from the suite"


def test_not_found(app_connection):
    answer = app_connection.get_json("api/nowhere", 404)
    assert answer["status"] == 404


def test_health(app_connection):
    answer = app_connection.get_json("c2c/health_check", 500, params={"max_level": "2", "checks": "custom,unknown"})
    assert list(answer["failures"]) == ["custom"]


def test_ping(app_connection):
    assert app_connection.get_json("c2c/health_check?max_level=0")["status"] == 200


def test_logging(app_connection):
    app_connection.get_json("c2c/logging/level", 403)
    answer = app_connection.get_json("c2c/logging/level", params={**SECRET, "name": "suite", "level": "DEBUG"})
    assert answer["level"] == "DEBUG"


def test_stats_may_be_reset(app_connection):
    app_connection.get_json("c2c/stats.json?reset=1", cache_expected=CacheExpected.NO)


@utils.skipIfCI
def test_not_on_ci():
    pass
