"""Names that are nearly those of settings."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from importlib import import_module

from c2cotel.config.declare import Settings, declarations
from c2cotel.config.settings import APPLICATION, PROCESS, RunnerSettings
from c2cotel.doctor._report import Problem

_NEAR = 0.84
"""How alike two names are of which one is the other misspelt; `difflib.SequenceMatcher.ratio`."""

_PREFIX = re.compile(r"(?:C2C|C2COTEL|STATS|STATSD|SENTRY|OTEL|GUNICORN)_", re.IGNORECASE)
_OTHERS = frozenset(
    {
        "GUNICORN_CMD_ARGS",
        "SENTRY_DEBUG",
        "SENTRY_DSN",
        "SENTRY_ENVIRONMENT",
        "SENTRY_RELEASE",
        "SENTRY_SAMPLE_RATE",
        "SENTRY_SPOTLIGHT",
        "SENTRY_TRACE",
    }
)
"""Variables of the same families that other programs read."""
_OTHER_FAMILIES = ("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_", "OTEL_EXPORTER_STATSD_", "OTEL_SEMCONV_")


def misspelt(settings: Settings, ini_text: str) -> Iterator[Problem]:
    """Variables and names in the ini that are no settings, and look like one.

    Args:
        settings: to look through.
        ini_text: what it uses as ``%(NAME)s`` is the application's own.
    """
    every = [declared for section in (*APPLICATION, *PROCESS, RunnerSettings) for _, declared in declarations(section)]
    families = tuple(declared.env.removesuffix("{NAME}") for declared in every if "{NAME}" in declared.env)
    declared_names = (
        {declared.env for declared in every if "{NAME}" not in declared.env} | _OTHERS | set(_opentelemetrys())
    )
    used_by_ini = set(re.findall(r"%\((\w+)\)s", ini_text))
    for name in sorted(settings.environ):
        if name in declared_names or name in used_by_ini or name.startswith((*families, *_OTHER_FAMILIES)):
            continue
        if _PREFIX.match(name) and (near := _nearest(name.upper(), declared_names)):
            yield Problem(name, f"no setting has this name: is {near} meant?")
    known_in_ini = {name for declared in every for name in declared.ini}
    for name in sorted(settings.ini):
        if name in known_in_ini or not name.lower().startswith(("c2c.", "c2c_", "c2cotel.")):
            continue
        if near := _nearest(name.lower(), known_in_ini):
            yield Problem(name, f"no setting has this name in an ini: is {near} meant?")


def is_known_to_opentelemetry(name: str) -> bool:
    """Whether OpenTelemetry reads a variable of this name."""
    return name in _opentelemetrys() or name.startswith(_OTHER_FAMILIES)


def _opentelemetrys() -> Iterator[str]:
    for module in ("opentelemetry.environment_variables", "opentelemetry.sdk.environment_variables"):
        for value in vars(import_module(module)).values():
            if isinstance(value, str) and value.startswith("OTEL_"):
                yield value


def _nearest(name: str, candidates: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(candidates), n=1, cutoff=_NEAR)), None)
