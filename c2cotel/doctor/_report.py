"""What an examination finds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from c2cotel import redaction

_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")

Origin = Literal["env", "ini", "default", "c2cotel.compat"]


@dataclass(frozen=True)
class Effective:
    """A setting as it counts.

    Attributes:
        name: the environment variable.
        value: secrets hidden.
        origin: what decides it.
        ini: the name in the ini that decides it, if one does.
    """

    name: str
    value: str
    origin: Origin
    ini: str | None = None


@dataclass(frozen=True)
class Problem:
    """Something that will not work, or not as one thinks.

    Attributes:
        subject: the variable, the name in the ini, or the server that it is about.
        message: what is wrong, and what would do; secrets hidden.
    """

    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}"


@dataclass(frozen=True)
class Report:
    """Every setting, and every problem."""

    settings: tuple[Effective, ...]
    problems: tuple[Problem, ...]


def shown(name: str, value: str) -> str:
    """The value of a setting without what is secret in it."""
    upper = name.upper()
    if upper.endswith("_HEADERS") or redaction.is_secret(name):
        return redaction.HIDDEN
    # The user of a DSN is its key.
    text = _USER.sub(redaction.HIDDEN, value) if "SENTRY" in upper else value
    return redaction.anywhere(text)
