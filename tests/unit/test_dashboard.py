"""`c2cotel dashboard` (contract, section 17)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from c2cotel.cli import main

INI = """\
[app:main]
paste.app_factory = tests.unit.test_dashboard:application
"""


def application(_: object, **settings: str) -> Any:
    """The application of the ini."""
    from pyramid.config import Configurator  # as an application does

    import c2cotel  # likewise

    with Configurator(settings=settings) as config:
        c2cotel.setup(config)
        config.add_route("orders", '/orders/{id:[^"]+}')
        config.add_route("hello", "/hello")
    return config.make_wsgi_app()


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    file = tmp_path / "app.ini"
    file.write_text(INI)
    return file


def rows(board: dict[str, Any]) -> list[str]:
    return [panel["title"] for panel in board["panels"] if panel["type"] == "row"]


def queries(board: dict[str, Any]) -> list[str]:
    panels = [*board["panels"], *(inner for panel in board["panels"] for inner in panel.get("panels", []))]
    return [target.get("expr") or target["target"] for panel in panels for target in panel.get("targets", [])]


def test_an_application_of_the_current_directory_is_found(tmp_path: Path) -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    code = source[source.index("def application") : source.index("@pytest.fixture")]
    (tmp_path / "shop_of_a_test.py").write_text(f"from typing import Any\n{code}")
    (tmp_path / "app.ini").write_text("[app:main]\npaste.app_factory = shop_of_a_test:application\n")
    command = [str(Path(sys.executable).with_name("c2cotel")), "dashboard", "--config", "app.ini"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "orders" in rows(json.loads(done.stdout))


@pytest.mark.parametrize("names", ["prometheus", "graphite"])
def test_each_route_has_a_row(ini: Path, names: str) -> None:
    result = CliRunner().invoke(main, ["dashboard", "--config", str(ini), "--names", names])
    assert result.exit_code == 0, result.output
    board = json.loads(result.stdout)
    assert rows(board)[-2:] == ["orders", "hello"]
    assert not any("c2c_" in title for title in rows(board))
    expected = 'http_route="/hello"' if names == "prometheus" else "stats.timers.route.*.hello.*"
    assert any(expected in query for query in queries(board))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for query in queries(board):
        assert query.count("(") == query.count(")")
        assert query.count("{") == query.count("}")


def test_a_quotation_mark_in_a_pattern_stays_inside_its_label(ini: Path) -> None:
    board = json.loads(CliRunner().invoke(main, ["dashboard", "--config", str(ini)]).stdout)
    assert any('http_route="/orders/{id:[^\\"]+}"' in query for query in queries(board))


def test_alert_rules_and_the_dashboard_go_into_files(ini: Path, tmp_path: Path) -> None:
    board, alerts = tmp_path / "board.json", tmp_path / "rules.yml"
    arguments = ["dashboard", "--config", str(ini), "--output", str(board), "--alerts", str(alerts), "--title", "Shop"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.output) == (0, "")
    assert json.loads(board.read_text())["title"] == "Shop"
    (group,) = json.loads(alerts.read_text())["groups"]
    assert {rule["alert"] for rule in group["rules"]} >= {"ErrorBudgetBurnsFast", "RequestsWait", "ProcessesDie"}
    for rule in group["rules"]:
        assert not re.search(r"\{\}|\{\{", rule["expr"])


def test_an_ini_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["dashboard", "--config", str(tmp_path / "missing.ini")])
    assert result.exit_code == 1
    assert "missing.ini" in result.output
