"""What `setup_session` and `create_session` make of their arguments; no server is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import transaction
from pyramid.config import Configurator
from pyramid.interfaces import ITweens
from pyramid.request import Request
from sqlalchemy import select

import c2cotel
from c2cotel.db import create_session, setup_session
from c2cotel.errors import SettingsError
from tests.apps.database import Base, Hello

URL = "postgresql+psycopg2://user:hunter2@db.example:5432/app"
SLAVE_URL = URL.replace("db.example", "replica.example")


def tweens(config: Configurator) -> list[str]:
    config.commit()
    return [name for name, _ in config.registry.getUtility(ITweens).implicit()]


def test_each_prefix_describes_its_engine() -> None:
    settings = {
        "sqlalchemy.url": URL,
        "sqlalchemy.pool_recycle": "30",
        "sqlalchemy.pool_size": "5",
        "sqlalchemy.max_overflow": "25",
        "sqlalchemy.echo": "false",
        "sqlalchemy_slave.url": SLAVE_URL,
        "sqlalchemy_slave.pool_size": "7",
        "sqlalchemy.other.url": "not ours",
        "sqlalchemyx.url": "not ours either",
    }
    with Configurator(settings=settings) as config:
        session, rw, ro = setup_session(config, "sqlalchemy", "sqlalchemy_slave")
    assert (rw.url.host, ro.url.host) == ("db.example", "replica.example")
    pools: Any = rw.pool, ro.pool
    assert [pool.size() for pool in pools] == [5, 7]
    assert pools[0]._recycle == 30
    assert [engine.c2c_name for engine in (rw, ro)] == ["sqlalchemy", "sqlalchemy_slave"]  # type: ignore[attr-defined]
    assert (session.c2c_rw_bind, session.c2c_ro_bind) == (rw, ro)
    assert (session().c2c_rw_bind, session().c2c_ro_bind) == (rw, ro)
    assert session.get_bind() is rw


@pytest.mark.parametrize("slave", [{}, {"slave.url": ""}, {"slave.url": URL}, {"slave.pool_size": "3"}])
@pytest.mark.parametrize("prefix", [None, "slave"])
def test_without_another_url_the_slave_is_the_master(slave: dict[str, str], prefix: str | None) -> None:
    with Configurator(settings={"sqlalchemy.url": URL, **slave}) as config:
        session, rw, ro = setup_session(config, "sqlalchemy", prefix)
    assert rw is ro is session.c2c_ro_bind
    assert rw.c2c_name == "sqlalchemy"  # type: ignore[attr-defined]


@pytest.mark.parametrize("slave_url", [None, "", URL])
def test_an_engine_without_a_slave_has_the_plain_name(slave_url: str | None) -> None:
    with Configurator() as config:
        session = create_session(config, "db", URL, slave_url)
    assert session.c2c_rw_bind is session.c2c_ro_bind
    assert session.c2c_rw_bind.c2c_name == "db"  # type: ignore[attr-defined]


def test_engines_of_a_split_have_a_suffix() -> None:
    with Configurator() as config:
        session = create_session(config, "db", URL, SLAVE_URL, pool_size=3)
    engines = session.c2c_rw_bind, session.c2c_ro_bind
    assert [engine.c2c_name for engine in engines] == ["db_master", "db_slave"]  # type: ignore[attr-defined]


def test_pyramid_tm_is_included_for_a_session_and_only_then() -> None:
    name = "pyramid_tm.tm_tween_factory"
    with Configurator() as config:
        c2cotel.setup(config)
        assert name not in tweens(config)
        create_session(None, "script", URL)
        assert name not in tweens(config)
        create_session(config, "db", URL)
        assert tweens(config).count(name) == 1


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("autocommit", [False, True])
def test_pyramid_tm_may_be_there_already_or_come_later(committed: bool, autocommit: bool) -> None:
    with Configurator(autocommit=autocommit) as config:
        config.include("pyramid_tm")
        if committed:
            config.commit()
        create_session(config, "db", URL)
        create_session(config, "other", URL)
        config.include("pyramid_tm")
        assert tweens(config).count("pyramid_tm.tm_tween_factory") == 1


def test_sqlite_works(tmp_path: Path) -> None:
    files = {name: f"sqlite:///{tmp_path / name}" for name in ("master", "slave")}

    with Configurator() as config:
        session = create_session(config, "db", files["master"], files["slave"])
        Base.metadata.create_all(session.c2c_rw_bind)
        Base.metadata.create_all(session.c2c_ro_bind)

        def hello(request: Request) -> Any:
            session.add(Hello(value=request.method))
            session.flush()
            return list(session.scalars(select(Hello.value)))

        config.add_route("hello", "/")
        config.add_view(hello, route_name="hello", renderer="json")
    app = config.make_wsgi_app()
    answers = [Request.blank("/", method=verb).get_response(app).json for verb in ("POST", "GET", "PUT", "OPTIONS")]
    assert answers == [["POST"], ["GET"], ["POST", "PUT"], ["GET", "OPTIONS"]]


def test_a_script_commits_with_transaction(tmp_path: Path) -> None:
    session = create_session(None, "script", f"sqlite:///{tmp_path / 'db'}")
    Base.metadata.create_all(session.c2c_rw_bind)
    with transaction.manager:
        session.add(Hello(value="kept"))
    session.add(Hello(value="lost"))
    transaction.abort()
    assert list(session.scalars(select(Hello.value))) == ["kept"]
    session.remove()


@pytest.mark.parametrize("held", [{}, {"sqlalchemy.url": ""}, {"sqlalchemy_slave.url": URL}])
def test_a_missing_url_is_named(held: dict[str, str]) -> None:
    with Configurator(settings=held) as config, pytest.raises(SettingsError, match=r"^sqlalchemy\.url is not set: "):
        setup_session(config, "sqlalchemy", "sqlalchemy_slave")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql//user:hunter2@db/app", "sqlalchemy_slave.url='postgresql//user:REDACTED@db/app': expected a URL"),
        ("postgresql:/user:hun/t@er2@db/app", "sqlalchemy_slave.url='postgresql:REDACTED@db/app': expected a URL"),
        ("postgresql://user:hunter2@db:port/app", "sqlalchemy_slave.url='postgresql:REDACTED@db:port/app': expected"),
        ("nonsense?password=hunter2", "sqlalchemy_slave.url='nonsense?password=REDACTED': expected a URL"),
        ("oops://user:hunter2@db/app", "sqlalchemy_slave.url=oops://user:REDACTED@db/app: Can't load plugin"),
        (
            "mysql://user:hun/ter2@db/app",
            "sqlalchemy_slave.url=mysql://user:REDACTED@db/app: No module named 'MySQLdb'",
        ),
    ],
)
def test_a_bad_url_is_named_and_shows_no_password(url: str, shown: str) -> None:
    settings = {"sqlalchemy.url": URL, "sqlalchemy_slave.url": url}
    with Configurator(settings=settings) as config, pytest.raises(SettingsError) as caught:
        setup_session(config, "sqlalchemy", "sqlalchemy_slave")
    assert str(caught.value).startswith(shown)
    for secret in ("hun", "er2"):
        assert secret not in str(caught.value)
    with Configurator() as config, pytest.raises(SettingsError, match=r"^slave_url="):
        create_session(config, "db", URL, url)


@pytest.mark.parametrize(
    ("option", "held", "shown"),
    [
        ("pool_size", "many", "sqlalchemy.pool_size=many: invalid literal for int()"),
        ("pool_sice", "5", "sqlalchemy.pool_sice=5: Invalid argument(s) 'pool_sice'"),
        ("password", "hunter2", "sqlalchemy.password=REDACTED: Invalid argument(s) 'password'"),
        ("connect_args", "{'password': 'hunter2'}", "sqlalchemy.connect_args=REDACTED: "),
    ],
)
def test_a_bad_engine_setting_is_named(option: str, held: str, shown: str) -> None:
    settings = {"sqlalchemy.url": URL, "sqlalchemy.pool_recycle": "30", f"sqlalchemy.{option}": held}
    with Configurator(settings=settings) as config, pytest.raises(SettingsError) as caught:
        setup_session(config, "sqlalchemy")
    assert str(caught.value).startswith(shown)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("argument", ["force_master", "force_slave"])
def test_a_bad_regular_expression_is_named(argument: str) -> None:
    rest: dict[str, Any] = {argument: ["GET /good", "GET /(bad"]}
    with Configurator() as config, pytest.raises(SettingsError, match=rf"^{argument}='GET /\(bad': expected a regular"):
        create_session(config, "db", URL, SLAVE_URL, **rest)
    rest = {argument: "POST /api/hello"}
    with (
        Configurator() as config,
        pytest.raises(SettingsError, match=rf"^{argument}='POST /api/hello': expected a list"),
    ):
        create_session(config, "db", URL, SLAVE_URL, **rest)


@pytest.mark.parametrize("missing", ["sqlalchemy", "zope.sqlalchemy", "pyramid_tm"])
def test_a_missing_package_is_named_with_what_installs_it(missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; import c2cotel.db"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: c2cotel.db needs ")
    assert "pip install 'c2cotel[sqlalchemy]'" in last
    assert missing in last
