"""Checks of databases: that they answer, and that their schema is the one of the code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyramid.request import Request

from c2cotel import stats
from c2cotel.plugin import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_ALEMBIC = "alembic"


def engines(session: Any, model: Any = None) -> list[Engine]:
    """The engines behind a session: of c2cotel's own the master and the slave.

    Raises:
        TypeError: it is no session, or one that is bound to nothing.
    """
    from sqlalchemy.exc import UnboundExecutionError  # noqa: PLC0415  # who checks a database has it
    from sqlalchemy.orm import Session, scoped_session, sessionmaker  # noqa: PLC0415

    if hasattr(session, "c2c_rw_bind"):
        return list(dict.fromkeys((session.c2c_rw_bind, session.c2c_ro_bind)))
    if isinstance(session, (scoped_session, sessionmaker)):
        made = session.session_factory() if isinstance(session, scoped_session) else session()
    elif isinstance(session, Session):
        made = session
    else:
        raise TypeError(f"session={session!r}: expected a Session, a sessionmaker or a scoped_session of SQLAlchemy")
    try:
        bind = made.get_bind(model) if model is not None else made.get_bind()
    except UnboundExecutionError:
        raise TypeError(f"session={session!r}: expected one that is bound to an engine") from None
    finally:
        if made is not session:
            made.close()
    return [getattr(bind, "engine", bind)]


def engine_name(engine: Engine) -> str:
    """What an engine is called in names of checks and of metrics."""
    given: str | None = getattr(engine, "c2c_name", None)
    return given or engine.url.set(query={}).render_as_string(hide_password=True)


def engine_check(
    session: Any, engine: Engine, query: Callable[[Any], Any], *, tagged: bool
) -> Callable[[Request], Any]:
    """A check that runs a query over one engine."""
    tags = {"con": engine_name(engine)}

    def check(_: Request) -> None:
        with bound(session, engine) as used, _timing("db", tags, tagged=tagged):
            query(used)

    return check


def default_query(model: Any) -> Callable[[Any], Any]:
    """The query that a check makes when it is given none: for one record of a model, or for nothing at all."""
    from sqlalchemy import select, text  # noqa: PLC0415  # who checks a database has it

    if model is None:
        return lambda session: session.execute(text("SELECT 1")).scalar()

    def query(session: Any) -> None:
        if session.execute(select(model).limit(1)).first() is None:
            raise LookupError(f"No record of {model.__name__} was found")

    return query


@contextmanager
def bound(session: Any, engine: Engine) -> Iterator[Any]:
    """The session of the current thread, which uses one engine only; it is gone afterwards."""
    from sqlalchemy.orm import Session, scoped_session, sessionmaker  # noqa: PLC0415  # as above

    if isinstance(session, scoped_session) and not session.registry.has():
        session(bind=engine)
        try:
            yield session
        finally:
            session.remove()
        return
    # Of a session that other threads see, too, only the kind is used.
    factory: Any = session.session_factory if isinstance(session, scoped_session) else session
    with factory(bind=engine) if isinstance(factory, sessionmaker) else Session(bind=engine) as made:
        yield made


class Alembic:
    """The schema that the code wants, as an alembic ini file tells it.

    Args:
        path: of the ini file; ``%(ENV_NAME)s`` in it is the environment variable NAME.
        section: of the ini; ``alembic`` where the ini has none of that name.
        schema: of the table with the revision; the ini's `version_table_schema`, if None.
        table: with the revision; the ini's `version_table` or alembic's own, if None.

    Raises:
        SettingsError: the file is not there, or does not lead to any revisions.
    """

    def __init__(self, path: str, section: str, schema: str | None, table: str | None) -> None:
        try:
            from alembic.config import Config  # noqa: PLC0415  # an extra
            from alembic.script import ScriptDirectory  # noqa: PLC0415
            from alembic.util import CommandError  # noqa: PLC0415
        except ImportError as error:
            raise SettingsError(f"add_alembic_check: expected pip install 'c2cotel[alembic]' ({error})") from error
        if not Path(path).is_file():
            raise SettingsError(f"alembic_ini_path={path!r}: there is no such file")
        environment: Any = {f"ENV_{name}": value.replace("%", "%%") for name, value in os.environ.items()}
        config = Config(path, ini_section=section, config_args=environment)
        if not config.file_config.has_section(section):
            config = Config(path, ini_section=_ALEMBIC, config_args=environment)
        self._schema = schema or config.get_main_option("version_table_schema")
        self._table = table or config.get_main_option("version_table") or "alembic_version"
        try:
            self.heads = set(ScriptDirectory.from_config(config).get_heads())
        except CommandError as error:
            raise SettingsError(f"alembic_ini_path={path!r}: {error}") from error

    def check(self, session: Any, path: str, *, tagged: bool) -> Callable[[Request], Any]:
        """A check that every engine of a session has that schema; its result is the revision."""
        names = {engine: engine_name(engine) for engine in engines(session)}

        def check(_: Request) -> str:
            for engine, name in names.items():
                with _timing(_ALEMBIC, {"conf": path, "con": name}, tagged=tagged):
                    revisions = self._revisions(engine)
                if revisions != self.heads:
                    raise ValueError(
                        f"Invalid alembic version in {name}: {_listed(revisions)}, expected {_listed(self.heads)}"
                    )
            return _listed(self.heads)

        return check

    def _revisions(self, engine: Engine) -> set[str]:
        from alembic.runtime.migration import MigrationContext  # noqa: PLC0415  # an extra
        from sqlalchemy import column, select, table  # noqa: PLC0415  # who checks a database has it
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # as above

        versions = table(self._table, schema=self._schema)
        try:
            with engine.connect() as connection:
                return set(connection.execute(select(column("version_num")).select_from(versions)).scalars())
        except SQLAlchemyError:
            pass  # maybe there is no such table: alembic looks first, by a statement with a name of 300 characters
        options = {"version_table_schema": self._schema, "version_table": self._table}
        with engine.connect() as connection:
            return set(MigrationContext.configure(connection, opts=options).get_current_heads())


def _timing(what: str, tags: dict[str, str], *, tagged: bool) -> stats.Timing:
    """A timer whose details are tags, or parts of its name."""
    key = ("sql", "manual", "health_check", what)
    return stats.timer_context(key, tags) if tagged else stats.timer_context((*key, *tags.values()))


def _listed(revisions: set[str]) -> str:
    return ", ".join(sorted(revisions)) or "none"
