"""Which line is called the application's (contract, section 16)."""

from __future__ import annotations

from typing import Any

import pytest

from c2cotel.runtime.call_site import CallSites


def called_from(module: str, file: str) -> Any:
    """What a function of that module and file, called from here, is told."""
    sites = CallSites()
    code = compile("def ask(sites):\n    return sites.current()\n", file, "exec")
    scope: dict[str, Any] = {"__name__": module}
    exec(code, scope)
    return scope["ask"](sites)


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("shop.views", "/app/shop/views.py"),
        ("c2cotel_shop.views", "/app/c2cotel_shop/views.py"),
        ("c2cotel.demo.application", "/app/c2cotel/demo/application.py"),
    ],
)
def test_an_application_is_told_where_it_is(module: str, file: str) -> None:
    assert str(called_from(module, file)) == f"{file}:2 in ask"


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("c2cotel.stats.timing", "/clone/c2cotel/stats/timing.py"),
        ("c2cotel_views.profiler", "/clone/views/c2cotel_views/profiler.py"),
        ("sqlalchemy.orm", "/venv/lib/python3.11/site-packages/sqlalchemy/orm/__init__.py"),
        ("made", "<string>"),
    ],
)
def test_code_of_others_is_passed_over(module: str, file: str) -> None:
    assert called_from(module, file).file == __file__
