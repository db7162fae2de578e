"""One variant of a Pyramid view that does an ORM SELECT on PostgreSQL and a Redis GET, in a process of its own.

``python -m tests.bench.db VARIANT``: as `tests.bench.hello`. Whatever instruments SQLAlchemy and Redis does so first.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import redis
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.bench import hello


class Base(DeclarativeBase):
    """The tables of the bench."""


class Greeting(Base):
    """A table with one row."""

    __tablename__ = "bench_greeting"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def prepare(url: str) -> None:
    """Make the table and its row."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.merge(Greeting(id=1, text="hello"))
        session.commit()
    engine.dispose()


def _instrument_as_opentelemetry_does(config: Configurator, *, traces: bool) -> hello.Flush:
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    flush = hello.otel(config, traces=traces)
    SQLAlchemyInstrumentor().instrument(skip_dep_check=True)
    RedisInstrumentor().instrument(skip_dep_check=True)
    return flush


def _otel_metrics(config: Configurator) -> hello.Flush:
    return _instrument_as_opentelemetry_does(config, traces=False)


def _otel_traces(config: Configurator) -> hello.Flush:
    return _instrument_as_opentelemetry_does(config, traces=True)


VARIANTS = {
    **hello.VARIANTS,
    "OpenTelemetry metrics": _otel_metrics,
    "OpenTelemetry traces + metrics": _otel_traces,
}


def _use_servers(config: Configurator) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(os.environ["BENCH_POSTGRES"])  # by now whoever wraps it has done so
    client = redis.Redis.from_url(os.environ["BENCH_REDIS"])
    statement = select(Greeting).where(Greeting.id == 1)

    def view(_: Request) -> dict[str, Any]:
        with Session(engine) as session:
            greeting = session.scalars(statement).one()
            return {"hello": greeting.text, "redis": client.get("bench") is not None}

    config.add_view(view, route_name="hello", renderer="json")


if __name__ == "__main__":
    hello.serve(VARIANTS[sys.argv[1]], _use_servers)
