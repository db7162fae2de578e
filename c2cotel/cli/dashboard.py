"""`c2cotel dashboard`: a Grafana dashboard, and alert rules for Prometheus, for the routes of an application."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click

from c2cotel import ini
from c2cotel.cli import _grafana
from c2cotel.cli._imports import look_here
from c2cotel.errors import SettingsError


@click.command()
@click.option("--config", "file", metavar="INI", help="The ini of the application, if not that of C2COTEL_CONFIG.")
@click.option("--names", type=click.Choice(["prometheus", "graphite"]), default="prometheus", show_default=True)
@click.option("--prefix", default="stats.timers.", show_default=True, help="What graphite has before each name.")
@click.option("--title", help="Title of the dashboard, if not the name of the application.")
@click.option(
    "--alerts", type=click.Path(path_type=Path, dir_okay=False), help="Write alert rules for Prometheus there."
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write there, not to the output.")
def command(
    file: str | None, names: str, prefix: str, title: str | None, alerts: Path | None, output: Path | None
) -> None:
    """Write a Grafana dashboard with a row for each route of the application.

    The application is made as for serving it, so run this with its environment. Its modules are looked for in the
    current directory, too. Import what comes out in Grafana: Dashboards, New, Import. The alert rules are in YAML's
    form of JSON, for `rule_files` of Prometheus.
    """
    look_here()
    file = file or ini.path()
    try:
        registry = _registry(file)
    except (SettingsError, ImportError, OSError, LookupError) as error:
        raise click.ClickException(f"{file}: {error}") from None
    title = title or getattr(registry, "package_name", None) or Path(ini.file_of(file)).stem
    routes = _routes(registry)
    panels = _grafana.prometheus_panels(routes) if names == "prometheus" else _grafana.graphite_panels(routes, prefix)
    text = json.dumps(_grafana.dashboard(title, panels, names), indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
    if alerts is not None:
        _write(alerts, json.dumps(_grafana.alert_rules(title), indent=2) + "\n")


def _registry(file: str) -> Any:
    import plaster  # noqa: PLC0415  # likewise

    from c2cotel.loader import Loader  # noqa: PLC0415  # brings PasteDeploy along

    logging.disable(logging.CRITICAL)  # the output is the dashboard
    try:
        application = Loader(plaster.parse_uri(f"c2c://{file}")).get_wsgi_app()
    finally:
        logging.disable(logging.NOTSET)
    registry = getattr(application, "registry", None)
    if registry is None:
        raise LookupError("expected a Pyramid application, whose routes can be read")
    return registry


def _routes(registry: Any) -> list[tuple[str, str]]:
    from pyramid.interfaces import IRoutesMapper  # noqa: PLC0415  # an application is there

    mapper = registry.queryUtility(IRoutesMapper)
    routes = [] if mapper is None else mapper.get_routes()
    return [(route.name, route.pattern) for route in routes if not route.name.startswith(("c2c_", "__"))]


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror or error}") from None
