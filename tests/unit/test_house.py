"""The house rules that no linter knows: floors, imports by string, names that say nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.local import ROOT

DISTRIBUTIONS = {
    "c2cotel": ROOT,
    "c2cotel_views": ROOT / "views",
    "opentelemetry.exporter.statsd": ROOT / "exporters/opentelemetry-exporter-statsd/src",
}
MOST_FLOORS = 12
VAGUE = {"found", "held", "known", "said", "told", "plain", "joined", "own", "world"}
LONGEST_TEST_NAME = 70


def modules() -> Iterator[tuple[str, Path]]:
    for package, root in DISTRIBUTIONS.items():
        for file in sorted((root / package.replace(".", "/")).rglob("*.py")):
            yield ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), file


def imports(name: str, file: Path) -> Iterator[str]:
    """Every module of c2cotel that a module imports, in functions and by string as well."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and text.startswith("c2cotel"))


def layers() -> list[set[str]]:
    settings = (ROOT / "pyproject.toml").read_text()
    block = settings[settings.index('containers = ["c2cotel"]') :]
    rows = re.findall(r'^    "(.*)",$', block[: block.index("\n]\n")], re.MULTILINE)
    return [{name.strip(" ()") for name in row.split("|")} for row in rows]


def test_the_house_has_at_most_twelve_floors() -> None:
    assert len(layers()) <= MOST_FLOORS


def test_no_import_by_string_points_upwards() -> None:
    floor = {name: number for number, row in enumerate(layers()) for name in row}
    wrong = []
    for name, file in modules():
        package, _, inside = name.partition(".")
        for imported in imports(name, file):
            part = imported.split(".")[1] if imported.startswith("c2cotel.") else ""
            here = inside.split(".")[0]
            if package == "c2cotel" and here and part in floor and part != here and floor[part] <= floor[here]:
                wrong.append(f"{name} imports {imported}")
    assert not wrong


def test_importing_a_module_registers_nothing() -> None:
    """A call at the top of a module that leaves a mark elsewhere; `state.of` only makes an object."""
    marks = re.compile(
        r"^(?:broadcast\.(?:subscribe|decorator)|atexit\.register|forks\.watch|event\.listen)\(", re.MULTILINE
    )
    assert [name for name, file in modules() if marks.search(file.read_text())] == []


@pytest.mark.parametrize("name", ["c2cotel", "c2cotel_views", "opentelemetry.exporter.statsd"])
def test_no_variable_has_a_name_that_says_nothing(name: str) -> None:
    vague = []
    for module, file in modules():
        if module != name and not module.startswith(f"{name}."):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            text = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", None)
            if isinstance(text, str) and text.strip("_") in VAGUE:
                vague.append(f"{file.name}:{getattr(node, 'lineno', '?')}: {text}")
    assert not vague


def test_names_of_tests_are_short_sentences() -> None:
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "exporters").rglob("test_*.py")]
    names = [name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())]
    assert [name for name in names if len(name) > LONGEST_TEST_NAME] == []


def test_modules_have_at_most_300_lines() -> None:
    """But for the table of all settings, which is read row by row."""
    long = [name for name, file in modules() if len(file.read_text().splitlines()) > 300]
    assert long == ["c2cotel.config.settings"]
