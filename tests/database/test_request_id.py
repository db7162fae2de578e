"""The request's id in PostgreSQL, whatever a transaction begins with (contract, sections 2 and 3)."""

from __future__ import annotations

from typing import Any

import pytest
from pyramid.request import Request
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from tests.apps.application import Application, view
from tests.servers.databases import PostgresPair

pytestmark = pytest.mark.server

NAME = text("SELECT current_setting('application_name'), current_setting('transaction_isolation')")


@pytest.fixture
def engine(postgres: PostgresPair, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("C2C_SQL_REQUEST_ID", "1")
    return create_engine(postgres.master.dsn("postgresql+psycopg2"))


def told(engine: Engine, *begin: str) -> list[Any]:
    """What PostgreSQL knows in two transactions of one request, the first begun by some statements."""

    def hello(_: Request) -> dict[str, Any]:
        with Session(engine) as session:
            for statement in begin:
                session.execute(text(statement))
            first = list(session.execute(NAME).one())
            session.rollback()
            return {"told": [first, list(session.execute(NAME).one())]}

    app = Application(configure=view(hello, renderer="json"))
    found: list[Any] = app.http.get("/hello", headers={"X-Request-ID": "the-id"}).json["told"]
    return found


@pytest.mark.parametrize(
    "first",
    [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "  set transaction isolation level serializable, read only",
        "/* ours */ SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ],
)
def test_set_transaction_stays_the_first_statement(engine: Engine, first: str) -> None:
    assert told(engine, first) == [["the-id", "serializable"], ["the-id", "read committed"]]


def test_two_settings_may_come_before_the_first_query(engine: Engine) -> None:
    statements = ("SET LOCAL statement_timeout = 1000", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert told(engine, *statements)[0] == ["the-id", "repeatable read"]


def test_without_such_a_statement_the_id_is_there_from_the_first_query_on(engine: Engine) -> None:
    assert told(engine) == [["the-id", "read committed"]] * 2
