"""Settings that can be understood and still do harm, alone or together."""

from __future__ import annotations

import argparse
import configparser
import shlex
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any, NoReturn, TypeVar

from c2cotel.config.declare import Settings
from c2cotel.config.settings import (
    ApplicationSettings,
    FlightRecorderSettings,
    OtelSettings,
    RunnerSettings,
    SentrySettings,
    StatsdSettings,
)
from c2cotel.doctor._report import Problem
from c2cotel.errors import SettingsError
from c2cotel.runtime.exporters import exporter_factory, exporter_names

T = TypeVar("T")

_SHORTEST_SECRET = 12
_LONG_SECRET = 20
"""A random text of that many characters may begin with a word that is guessed first."""
_FEWEST_CHARACTERS = 6
_GUESSED_FIRST = ("changeme", "changeit", "secret", "password", "passwort", "c2c", "admin", "test", "default", "12345")
_CONTRIB_TWEEN = "opentelemetry.instrumentation.pyramid"
_CONTRIB_MIDDLEWARE = "opentelemetry.instrumentation.wsgi"
_AUTO = "opentelemetry/instrumentation/auto_instrumentation"
_OLD = "c2cwsgiutils"


def hazards(settings: Settings, ini_text: str, tweens: Sequence[str]) -> Iterator[Problem]:
    """All of them; a section that cannot be read is left out, others tell that."""
    yield from _secret(settings)
    yield from _exporters(settings)
    yield from _sentry(settings)
    yield from _twice(settings, ini_text, tweens)
    yield from _gunicorn(settings)
    yield from _uwsgi(ini_text)


def readable(settings: Settings, section: type[T]) -> T | None:
    """The section, or None when one of its settings cannot be understood."""
    try:
        return settings.section(section)
    except SettingsError:
        return None


def _secret(settings: Settings) -> Iterator[Problem]:
    application = readable(settings, ApplicationSettings)
    if application is None:
        return
    switches = {
        "C2C_LOG_VIEW_ENABLED": application.log_view,
        "C2C_SQL_PROFILER_ENABLED": application.sql_profiler,
        "C2C_DEBUG_VIEW_ENABLED": application.debug_view,
        "C2C_PROFILER_PATH": bool(application.profiler_path),
    }
    recorder = readable(settings, FlightRecorderSettings)
    if recorder is not None and recorder.enabled:
        switches["C2C_FLIGHT_RECORDER"] = True
        if not application.base_path:
            yield Problem(
                "C2C_BASE_PATH", "not set, so no page shows what C2C_FLIGHT_RECORDER keeps: expected /c2c or so"
            )
    secret = application.secret
    if secret is None:
        wanted = ", ".join(name for name, on in switches.items() if on)
        empty = "C2C_SECRET" in settings.environ or "c2c.secret" in settings.ini
        if wanted:
            yield Problem("C2C_SECRET", f"{'empty' if empty else 'not set'}, so the views of {wanted} are not served")
        elif empty:
            yield Problem("C2C_SECRET", "empty, which counts as unset: no protected view is served")
        return
    word = secret.strip().lower()
    if len(secret) < _SHORTEST_SECRET:
        yield Problem("C2C_SECRET", f"shorter than {_SHORTEST_SECRET} characters: expected a long random one")
    elif len(set(word)) < _FEWEST_CHARACTERS or (len(word) < _LONG_SECRET and word.startswith(_GUESSED_FIRST)):
        yield Problem("C2C_SECRET", "easy to guess: expected a long random one")


def _exporters(settings: Settings) -> Iterator[Problem]:
    otel, statsd = readable(settings, OtelSettings), readable(settings, StatsdSettings)
    if otel is None or otel.disabled:
        return
    from opentelemetry.sdk.metrics.export import MetricExporter  # noqa: PLC0415  # slow to import
    from opentelemetry.sdk.trace.export import SpanExporter  # noqa: PLC0415  # slow to import

    from c2cotel.logs.export import EXPORTER  # noqa: PLC0415  # slow to import

    bases: list[tuple[Any, type[Any]]] = [("traces", SpanExporter), ("metrics", MetricExporter), ("logs", EXPORTER)]
    for signal, base in bases:
        for name in exporter_names(otel, signal):
            if (signal, name) == ("metrics", "statsd"):
                continue
            try:
                exporter_factory(otel, name, signal, base)
            except SettingsError as error:
                subject, _, message = str(error).partition(": ")
                yield Problem(subject, message)
    if statsd is not None and statsd.address and otel.statsd_endpoint and statsd.address != otel.statsd_endpoint:
        yield Problem("OTEL_EXPORTER_STATSD_ENDPOINT", "not used, because STATSD_ADDRESS says where to send")


def _sentry(settings: Settings) -> Iterator[Problem]:
    sentry = readable(settings, SentrySettings)
    if sentry is None or sentry.url is None:
        return
    try:
        from sentry_sdk.utils import Dsn  # noqa: PLC0415  # an extra
    except ImportError:
        yield Problem("SENTRY_URL", "set, but sentry-sdk is not installed: expected pip install 'c2cotel[sentry]'")
        return
    try:
        Dsn(sentry.url)
    except ValueError as error:  # Sentry's BadDsn, or urllib's of a port that is none
        yield Problem("SENTRY_URL", f"no DSN ({error}): expected https://key@host/project")


def _twice(settings: Settings, ini_text: str, tweens: Sequence[str]) -> Iterator[Problem]:
    """What would measure or trace each request a second time."""
    listed = str(settings.ini.get("pyramid.tweens") or "").split()
    included = str(settings.ini.get("pyramid.includes") or "").split()
    again = "each request has two spans and two metrics: take it out, c2cotel measures requests"
    if any(name.startswith(_CONTRIB_TWEEN) for name in (*listed, *included, *tweens)):
        yield Problem(_CONTRIB_TWEEN, f"beside c2cotel, {again}")
    if _CONTRIB_MIDDLEWARE in ini_text:
        yield Problem(_CONTRIB_MIDDLEWARE, f"beside c2cotel, {again}")
    disabled = settings.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if (
        _AUTO in settings.environ.get("PYTHONPATH", "")
        and "pyramid" not in [name.strip() for name in disabled.split(",")]
        and find_spec(_CONTRIB_TWEEN) is not None
    ):
        yield Problem(
            "opentelemetry-instrument",
            f"beside c2cotel, {again}; set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=pyramid",
        )
    try:
        distribution(_OLD)
        yield Problem(_OLD, "the library of 2018 is installed beside c2cotel: uninstall it, or both time each request")
    except PackageNotFoundError:
        pass


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _gunicorn(settings: Settings) -> Iterator[Problem]:
    runner = readable(settings, RunnerSettings)
    if runner is None:
        return
    parser = _Options(add_help=False, allow_abbrev=False)
    parser.add_argument("-k", "--worker-class", default="sync")
    parser.add_argument("--preload", action="store_true")
    parser.add_argument("--reload", action="store_true")
    name = "GUNICORN_CMD_ARGS"
    words = []
    try:
        words += shlex.split(settings.environ.get(name, ""))
        name = "GUNICORN_PARAMS"
        words += shlex.split(runner.gunicorn)
        given, _ = parser.parse_known_args(words)
    except ValueError as error:
        yield Problem(name, f"expected options as in a shell ({error})")
        return
    worker = given.worker_class.rpartition(".")[2].lower()
    if given.preload and ("gevent" in worker or "eventlet" in worker):
        yield Problem(
            name,
            f"--preload with the worker class {given.worker_class}: the application makes its locks and threads before "
            "the worker replaces them, and hangs. Take out one of the two",
        )
    if given.preload and given.reload:
        yield Problem(name, "--reload has no effect on what --preload has loaded. Take out one of the two")


def _uwsgi(ini_text: str) -> Iterator[Problem]:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(ini_text)
    except configparser.Error:
        return
    if not parser.has_section("uwsgi"):
        return

    def on(*options: str) -> bool:
        return any((parser.get("uwsgi", name, fallback="0") or "1").lower() in ("1", "true", "yes") for name in options)

    if not on("enable-threads", "threads") and not parser.get("uwsgi", "threads", fallback="").strip():
        yield Problem("[uwsgi]", "without enable-threads = true, nothing that c2cotel does in the background runs")
    if not on("lazy-apps", "lazy", "py-call-uwsgi-fork-hooks"):
        yield Problem(
            "[uwsgi]",
            "the application is loaded before the fork, and uWSGI tells Python nothing of it: workers send nothing. "
            "Expected lazy-apps = true or py-call-uwsgi-fork-hooks = true",
        )
