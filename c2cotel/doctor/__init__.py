"""What a service is set to, and what is wrong with that: for the command `c2cotel doctor` and the view `/config`.

::

    report = examine(Settings(os.environ, ini_settings))
    for problem in report.problems:
        print(problem)

Nothing is started and nothing changed. Servers are asked whether they are there, for some seconds at most; the statsd
server is sent an empty line, which it passes over.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from c2cotel.config.declare import Settings
from c2cotel.doctor._compat import without_compat
from c2cotel.doctor._effective import effective, unreadable
from c2cotel.doctor._hazards import hazards
from c2cotel.doctor._names import misspelt
from c2cotel.doctor._report import Effective, Problem, Report
from c2cotel.doctor._servers import unreachable

__all__ = ["Effective", "Problem", "Report", "as_json", "examine"]


def examine(
    settings: Settings,
    *,
    ini_text: str = "",
    tweens: Sequence[str] = (),
    connect: bool = True,
    directory: Path | None = None,
) -> Report:
    """Look for mistakes in the settings of a service.

    Args:
        settings: the environment and the ini settings of the application.
        ini_text: the whole file, for what stands outside of the application's section.
        tweens: names of those in use, where the application runs.
        connect: whether to try to reach the servers.
        directory: of the application, in which to look for entry points that lack `c2cotel.compat`.
    """
    problems: list[Problem] = [
        *unreadable(settings),
        *misspelt(settings, ini_text),
        *hazards(settings, ini_text, tweens),
        *without_compat(directory),
        *(unreachable(settings) if connect else ()),
    ]
    return Report(tuple(effective(settings)), tuple(dict.fromkeys(problems)))


def as_json(report: Report) -> dict[str, Any]:
    """The report as JSON can hold it."""
    return {
        "settings": [
            {"name": item.name, "value": item.value, "origin": item.origin, "ini": item.ini} for item in report.settings
        ],
        "problems": [{"subject": problem.subject, "message": problem.message} for problem in report.problems],
    }
