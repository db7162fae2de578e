"""Fixtures for the tests of applications that use c2cotel; pytest finds them by itself where c2cotel is installed.

::

    def test_a_greeting_is_timed(c2cotel_recorded, c2cotel_clock, app):
        app.get("/hello")
        assert "route.GET.hello.200:1|ms" in c2cotel_recorded.lines

They cost nothing, and import nothing of c2cotel, in tests that do not ask for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from c2cotel.testing import Recorded, ScriptedClock


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    parser.addini(
        "c2cotel_scope",
        "scope of the fixtures c2cotel_recorded and c2cotel_clock, that of the fixture which makes the application",
        default="function",
    )


def _scope(fixture_name: str, config: pytest.Config) -> Any:  # noqa: ARG001  # called by keyword
    return config.getini("c2cotel_scope")


@pytest.fixture(scope=_scope)
def c2cotel_clock() -> ScriptedClock:
    """Time that only moves when told to, for all that is timed."""
    from c2cotel.testing import ScriptedClock  # noqa: PLC0415  # only for those that ask

    return ScriptedClock()


@pytest.fixture(scope=_scope)
def c2cotel_recorded(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    """Lines, measurements and spans of an application that calls `c2cotel.setup` after this fixture was made.

    By `c2cotel_clock`, where the test asks for it as well.
    """
    from c2cotel.testing import recording  # noqa: PLC0415  # only for those that ask

    clock = request.getfixturevalue("c2cotel_clock") if "c2cotel_clock" in request.fixturenames else None
    with recording(clock) as recorded:
        yield recorded
