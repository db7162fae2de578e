"""Each row of the contract is kept by a test or owed to an issue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
EXPORTER = TESTS.parent / "exporters" / "opentelemetry-exporter-statsd" / "tests"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (Path(__file__).parent / "rows.md").read_text().splitlines()
    if re.match(r"\| \d+ \|", line)
]


def test_every_section_of_the_contract_has_rows() -> None:
    assert {int(section) for section, _, _ in ROWS} == set(range(18))


@pytest.mark.parametrize(("section", "row", "kept_by"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_a_row_is_kept_by_tests_or_owed_to_an_issue(section: str, row: str, kept_by: str) -> None:
    kept_by = kept_by.rstrip(" |")
    if re.fullmatch(r"issue \d+", kept_by):
        return
    named = re.findall(r"`([^`]+)`", kept_by)
    assert named, f"section {section}, {row}: neither a test nor an issue: {kept_by!r}"
    for name in named:
        file, _, function = name.partition("::")
        path = EXPORTER / file.removeprefix("exporter/") if file.startswith("exporter/") else TESTS / file
        assert path.exists(), f"{name}: there is no {path.name}"
        if function:
            assert f"def {function}(" in path.read_text(), f"{name}: no such test"
