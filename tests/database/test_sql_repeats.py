"""Statements that a request sends again and again, and slow ones (contract, section 16)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import ForeignKey, create_engine, event, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
from sqlalchemy.pool import StaticPool

from c2cotel import stats
from tests.apps.application import Application
from tests.servers.otlp import OtlpReceiver


class Base(DeclarativeBase):
    """The tables of these tests."""


class Author(Base):
    """Has books."""

    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship()


class Book(Base):
    """Has an author."""

    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _add_sleep)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Author(id=n, books=[Book(), Book()]) for n in range(1, 41)])
        session.commit()
        session.expunge_all()
        yield session
    engine.dispose()


def _add_sleep(connection: Any, _: Any) -> None:
    def sleep(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    connection.create_function("sleep", 1, sleep)


View = Callable[[Request], Response]


def serve(function: Callable[[], object], **routes: Callable[[], object]) -> Application:
    def made(work: Callable[[], object]) -> View:
        def run(_: Request) -> Response:
            work()
            return Response("x")

        return run

    def configure(config: Configurator) -> None:
        for name, work in {"hello": function, **routes}.items():
            config.add_route(name, f"/{name}")
            config.add_view(made(work), route_name=name)

    return Application(configure=configure)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "c2cotel.sql"]


def test_lazy_loads_in_a_loop_are_told_with_their_line(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    def lazily() -> None:
        for author in session.scalars(select(Author)):
            len(author.books)  # the line

    app = serve(lazily)
    app.http.get("/hello")
    (warning,) = warnings(caplog)
    line = lazily.__code__.co_firstlineno + 2
    assert warning.startswith("GET /hello (route hello) sent the same statement 40 times, ")
    assert f"from {__file__}:{line} in lazily: " in warning
    session.expunge_all()
    app.http.get("/hello")
    assert len(warnings(caplog)) == 1, "once an hour"


def test_clean_endpoints_are_silent(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    def eagerly() -> None:
        for author in session.scalars(select(Author).options(selectinload(Author.books))):
            len(author.books)

    def batch() -> None:
        session.add_all([Book(author_id=1) for _ in range(200)])
        session.flush()
        session.rollback()

    def pages() -> None:
        for n in range(20):
            session.execute(select(Book).order_by(Book.id).limit(2).offset(2 * n)).all()

    @stats.repeats_sql
    def meant() -> None:
        for n in range(20):
            session.get(Author, n)

    def few() -> None:
        for n in range(9):
            session.execute(text("SELECT 1 FROM books WHERE id = :n"), {"n": n})

    app = serve(eagerly, batch=batch, pages=pages, meant=meant, few=few)
    for name in ("hello", "batch", "pages", "meant", "few", "few", "few"):
        session.expunge_all()
        app.http.get(f"/{name}")
    assert warnings(caplog) == []


def test_statements_may_stand_between(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    def interleaved() -> None:
        for n in range(12):
            session.execute(text("SELECT id FROM authors WHERE id = :n"), {"n": n})
            session.execute(text("SELECT id FROM books WHERE id = :n"), {"n": n})

    serve(interleaved).http.get("/hello")
    assert len(warnings(caplog)) == 2


def test_repeats_are_on_span_record_and_counter(
    session: Session, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")

    def lazily() -> None:
        for author in session.scalars(select(Author)):
            len(author.books)

    app = serve(lazily)
    app.http.get("/hello")
    app.telemetry.flush()
    assert app.telemetry.flight is not None
    store: Any = app.telemetry.flight.store
    (record,) = store.get(store.find()[0][0]["id"])
    (repeated,) = record.attributes["c2c.sql.repeats"]
    assert (repeated["n"], repeated["file"]) == (40, __file__)
    assert repeated["line"] == lazily.__code__.co_firstlineno + 2
    attributes = record.spans[0]["attributes"]
    assert (attributes["c2c.sql.repeats"], attributes["code.file.path"]) == (40, __file__)
    assert (record.sql["n"], len([span for span in record.spans if span["kind"] == "client"])) == (41, 41)
    app.finish()
    counter = [metric.item for metric in otlp.metrics if metric.item.name == "c2c.sql.repeats"][-1]
    assert [point.as_double or point.as_int for point in counter.sum.data_points] == [40]


def test_a_limit_of_zero_counts_nothing(
    session: Session, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2C_SQL_REPEATS", "0")

    def often() -> None:
        for n in range(50):
            session.execute(text("SELECT id FROM authors WHERE id = :n"), {"n": n})

    serve(often).http.get("/hello")
    assert warnings(caplog) == []


def test_own_packages_say_which_line_counts(
    session: Session, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2C_OWN_PACKAGES", "tests.apps")

    def often() -> None:
        for n in range(12):
            session.execute(text("SELECT id FROM authors WHERE id = :n"), {"n": n})

    serve(often).http.get("/hello")
    (warning,) = warnings(caplog)
    assert "from a line that is not the application's" in warning


def test_a_slow_statement_is_told_once_with_its_line(
    session: Session, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2C_SLOW_SQL", "50ms")

    def slowly() -> None:
        session.execute(text("SELECT sleep(0.06), 'password=hunter2'"))

    app = serve(slowly)
    app.http.get("/hello")
    app.http.get("/hello")
    (warning,) = warnings(caplog)
    assert warning.startswith("A statement took 0.")
    assert "in slowly (C2C_SLOW_SQL=0.05s" in warning
    assert "SELECT sleep(0.06), 'password=REDACTED'" in warning
