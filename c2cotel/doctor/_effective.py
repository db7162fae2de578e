"""Every setting with its value and origin, and those that cannot be understood."""

from __future__ import annotations

from collections.abc import Iterator

from c2cotel.config.declare import Declaration, Settings, declarations
from c2cotel.config.settings import APPLICATION, PROCESS, RunnerSettings
from c2cotel.doctor._names import is_known_to_opentelemetry
from c2cotel.doctor._report import Effective, Origin, Problem, shown


def declared() -> Iterator[Declaration]:
    """Every setting there is."""
    for section in (*APPLICATION, *PROCESS, RunnerSettings):
        for _, declaration in declarations(section):
            yield declaration


def effective(settings: Settings) -> Iterator[Effective]:
    """Every setting as it counts; OpenTelemetry's own where they are set."""
    ours: set[str] = set()
    for declaration in declared():
        texts = settings.texts(declaration)
        ours.update(name for name, _ in texts)
        for name, text in texts:
            in_ini = name in declaration.ini
            origin: Origin = "ini" if in_ini else "env" if name in settings.environ else "c2cotel.compat"
            variable = declaration.env if in_ini else name
            yield Effective(variable, shown(name, text), origin, name if in_ini else None)
        if not texts and "{NAME}" not in declaration.env:
            yield Effective(declaration.env, declaration.shown.strip("`"), "default")
    for name, text in sorted(settings.environ.items()):
        if text and name not in ours and is_known_to_opentelemetry(name):
            yield Effective(name, shown(name, text), "env")


def unreadable(settings: Settings) -> Iterator[Problem]:
    """Settings whose text cannot be understood: errors at the start of the application."""
    for declaration in declared():
        for name, text in settings.texts(declaration):
            try:
                declaration.parse(text)
            except ValueError as error:
                yield Problem(name, f"{shown(name, text)!r}: expected {error}")
