"""`c2cotel stats-db`: how many rows the tables of a database have, and how large they are, as gauges."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click
from click.termui import progressbar

from c2cotel import redaction, stats
from c2cotel.config.declare import Settings, unless_set
from c2cotel.errors import SettingsError
from c2cotel.otel.sdk_private import suppressed

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

Report = Callable[[list[str], float], None]
_MAX_SERIES = "1000000"
"""A database has as many tables as it has; the default protects applications from names without an end."""


@click.command()
@click.option("--db", required=True, metavar="URL", help="Of the database, as SQLAlchemy has it.")
@click.option("--schema", "schemas", multiple=True, required=True, help="Whose tables are counted; more than once.")
@click.option(
    "--extra", "extras", multiple=True, metavar="SQL", help="Gives rows of a name (dots are levels) and a number."
)
@click.option("--statsd-address", "--statsd_address", metavar="HOST:PORT", help="Default: STATSD_ADDRESS.")
@click.option("--statsd-prefix", "--statsd_prefix", default="c2c", show_default=True)
@click.option("--verbosity", expose_value=False, help="Accepted, as in 2018; has no effect.")
@click.pass_context
def command(
    ctx: click.Context,
    db: str,
    schemas: tuple[str, ...],
    extras: tuple[str, ...],
    statsd_address: str | None,
    statsd_prefix: str,
) -> None:
    """Send the number of rows and the size of each table as gauges, once.

    They go where the settings say: to statsd, to OpenTelemetry by OTLP, or to both; to the standard output if the
    settings name nothing. A query that fails is told and counted, the others go on, and the exit code is 1.
    """
    if statsd_address is not None:
        os.environ["STATSD_ADDRESS"] = statsd_address
    os.environ["STATSD_PREFIX"] = statsd_prefix
    unless_set("STATSD_MAX_SERIES", _MAX_SERIES)
    engine = _engine(db)
    import c2cotel  # noqa: PLC0415  # after what it reads is set

    try:
        telemetry = c2cotel.setup()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    try:
        run = _Run(_print if not telemetry.measures else _to_stats)
        run.all(engine, schemas, extras)
    finally:
        sent = telemetry.flush()
        telemetry.close()
        engine.dispose()
    refused = list(_refused(telemetry.settings))
    if not sent:
        refused.append("Not everything could be sent in time")
    for message in refused:
        click.echo(message, err=True)
    ctx.exit(1 if run.failed or refused else 0)


def _refused(settings: Settings) -> Iterator[str]:
    """What is wrong with the servers that the values went to, as far as they or the network tell."""
    from c2cotel.doctor import examine  # noqa: PLC0415  # slow to import

    environ = {name: text for name, text in settings.environ.items() if name.startswith(("STATSD_", "OTEL_"))}
    for problem in examine(Settings(environ)).problems:
        if problem.subject == "STATSD_ADDRESS" or problem.subject.endswith("_ENDPOINT"):
            yield f"The values did not arrive: {problem.subject}: {problem.message}"


def _engine(db: str) -> Engine:
    if find_spec("sqlalchemy") is None:
        raise click.ClickException("SQLAlchemy is not installed: expected pip install 'c2cotel[sqlalchemy]'")
    from sqlalchemy import create_engine  # noqa: PLC0415  # an extra
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        return create_engine(db)
    except ImportError as error:
        raise click.ClickException(f"{error}: expected the database's driver to be installed") from None
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        raise click.BadParameter(
            f"{redaction.url(db)!r}: expected a URL such as postgresql://user:password@host/database", param_hint="--db"
        ) from None


class _Run:
    """Asks the database and reports.

    Args:
        report: takes the parts of a gauge's name and its value.

    Attributes:
        failed: whether anything did.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self.failed = False

    def all(self, engine: Engine, schemas: Iterable[str], extras: Iterable[str]) -> None:
        """Every table of the schemas, and the extra statements."""
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # an extra

        # What is asked here is no traffic of an application: it has no timers of its own.
        with suppressed(), ExitStack() as stack:
            try:
                connection = stack.enter_context(engine.connect()).execution_options(isolation_level="AUTOCOMMIT")
                jobs = [*self._tables(connection, schemas), *self._extras(connection, extras)]
            except SQLAlchemyError as error:
                self._fail(["connection"], "The database cannot be reached", error)
                return
            for name, what, job in stack.enter_context(_progress(jobs)):
                try:
                    job()
                except (SQLAlchemyError, ValueError, TypeError) as error:
                    self._fail(name, what, error)

    def _tables(self, connection: Connection, schemas: Iterable[str]) -> Iterator[tuple[list[str], str, Any]]:
        from sqlalchemy import inspect  # noqa: PLC0415  # an extra

        inspector = inspect(connection)
        existing = inspector.get_schema_names()
        for schema in dict.fromkeys(schemas):
            if schema not in existing:
                self._fail([schema], f"There is no schema {schema}", f"expected one of {', '.join(existing)}")
                continue
            for table in sorted(inspector.get_table_names(schema=schema)):
                what = f"The table {schema}.{table} cannot be measured"
                yield [schema, table], what, lambda schema=schema, table=table: self._table(connection, schema, table)

    def _table(self, connection: Connection, schema: str, table: str) -> None:
        from sqlalchemy import text  # noqa: PLC0415  # an extra

        quote = connection.dialect.identifier_preparer.quote_identifier
        name = f"{quote(schema)}.{quote(table)}"
        rows = connection.execute(text(f"SELECT count(*) FROM {_escaped(name)}"))  # noqa: S608  # quoted
        self._report(["count", schema, table], rows.scalar_one())
        size = _SIZES.get(connection.dialect.name)
        if size is not None:
            size_in_bytes = connection.execute(text(size), {"name": name, "schema": schema, "table": table}).scalar()
            self._report(["size", schema, table], size_in_bytes or 0)

    def _extras(self, connection: Connection, extras: Iterable[str]) -> Iterator[tuple[list[str], str, Any]]:
        for number, extra in enumerate(extras, start=1):
            what = f"The extra statement {number} failed"
            yield ["extra", str(number)], what, lambda extra=extra: self._extra(connection, extra)

    def _extra(self, connection: Connection, extra: str) -> None:
        rows = connection.exec_driver_sql(extra)
        if not rows.returns_rows or len(rows.keys()) < 2:  # noqa: PLR2004  # a name and a number
            raise ValueError("expected rows of a name and a number")
        for name, value, *_ in rows:
            self._report(["count", *str(name).split(".")], float(value) if not isinstance(value, int) else value)

    def _fail(self, name: list[str], what: str, error: object) -> None:
        self.failed = True
        stats.increment_counter(["error", *name])
        reason = getattr(error, "orig", None) or error
        click.echo(redaction.anywhere(f"{what}: {' '.join(str(reason).split())}"), err=True)


_SIZES = {
    "postgresql": "SELECT pg_total_relation_size(CAST(:name AS regclass))",
    "sqlite": "SELECT sum(pgsize) FROM dbstat(:schema) WHERE name = :table",
}
"""Bytes of a table, by database; of others the size is not known."""


def _escaped(name: str) -> str:
    """A colon in a name is no parameter."""
    return name.replace(":", "\\:")


def _to_stats(name: list[str], value: float) -> None:
    stats.set_gauge(name, value)


def _print(name: list[str], value: float) -> None:
    click.echo(f"{'.'.join(name)}: {value}")


def _progress(jobs: list[Any]) -> Any:
    return progressbar(jobs, label="Measuring", file=sys.stderr, hidden=not sys.stderr.isatty())
