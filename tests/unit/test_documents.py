"""What the documentation says works: links, and the code of README and tutorial."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from webtest import TestApp

from c2cotel.metrics.reference import reference
from c2cotel.testing import recording
from tests.servers.local import ROOT, environment, free_tcp_port, free_udp_port
from tests.unit.documents import PAGES, anchors, blocks, links

README = ROOT / "README.md"
TUTORIAL = ROOT / "docs/tutorial.md"
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_inside_of_the_repository_leads_somewhere(page: Path) -> None:
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target}: there is no such file"
        assert not anchor or anchor in anchors(found), f"{target}: there is no such heading"


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = ROOT / "docs/index.md"
    listed = {line for block in blocks(index) for line in block.text.splitlines() if line and not line.startswith(":")}
    pages = {str(page.relative_to(index.parent).with_suffix("")) for page in index.parent.glob("**/*.md")} - {"index"}
    assert listed == pages


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_of_code_is_code(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec")
        elif block.language == "shell":
            done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), f"line {block.line}"


def test_the_reference_page_of_the_metrics_is_up_to_date() -> None:
    assert (ROOT / "docs/reference/metrics.md").read_text() == reference(), "run `make docs`"


# ---- README ----


def test_the_application_of_the_readme_sends_the_lines_that_it_shows() -> None:
    found = list(blocks(README))
    (code,) = [block for block in found if block.language == "python"]
    (shown,) = [block.text.split() for block in found if block.text.startswith("shop.hello.prepare:")]
    scope: dict[str, Any] = {}
    exec(compile(code.text, "README.md", "exec"), scope)
    with recording() as recorded:
        app = TestApp(scope["main"]({}, **{"c2c.statsd_prefix": "shop"}))
        assert app.get("/hello").json == {"hello": "world"}
        assert _names(recorded.lines) == _names(shown)


def _names(lines: list[str]) -> set[str]:
    return {line.partition(":")[0] for line in lines}


def test_the_targets_that_the_readme_names_exist() -> None:
    named = re.findall(r"make ([a-z-]+)", "\n".join(block.text for block in blocks(README)) + README.read_text())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= set(named) <= targets


# ---- the tutorial ----

_NOT_AGAIN = re.compile(r"(python3 -m venv |\. \.venv|pip install |mkdir ).*")
"""What has been done where the tests run."""


def _script(ports: dict[str, str]) -> tuple[str, list[str]]:
    """The tutorial as one script that prints a mark after each block, and what each of its blocks should print."""
    script, expected = ["set -m"], []
    for block in blocks(TUTORIAL):
        text = block.text
        for port, free in ports.items():
            text = text.replace(port, free)
        if block.title:
            script.append(f"cat > {block.title} <<'END OF FILE'\n{text}END OF FILE")
        elif block.language == "shell":
            lines = [line for line in text.splitlines() if not _NOT_AGAIN.fullmatch(line)]
            script.append("\n".join([*lines, "echo '== next =='"]))
            expected.append("")
        elif block.language == "output":
            expected[-1] = text
        else:
            pytest.fail(f"line {block.line}: a block of {block.language!r} is neither run nor a file")
    return "\n".join(script), expected


def _looks_like(shown: str) -> str:
    """A pattern for what a block shows: `…` alone is any lines, inside of a line anything."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in shown.splitlines()
    ]
    return "".join(lines) + r"\s*"


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.fail("curl is not here, which the tutorial uses. Debian, Ubuntu: apt-get install curl")
    script, expected = _script({"8125": str(free_udp_port()), "8080": str(free_tcp_port())})
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**environment(), "PATH": f"{Path(sys.executable).parent}:{environment()['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    log = (tmp_path / "shop.log").read_text()
    printed = re.sub(r"\r", "", done.stdout).split("== next ==\n")
    assert len(printed) == len(expected) + 1, done.stderr + log
    for text, shown in zip(printed, expected, strict=False):
        if shown:
            assert re.fullmatch(_looks_like(shown), text + "\n"), (
                f"{text}\n--- expected:\n{shown}\n{done.stderr}\n{log}"
            )
    tracebacks = [line for line in log.splitlines() if "Traceback" in line]
    assert tracebacks, "the request that fails has one"
    assert all("KeyError: 'what'" in line for line in tracebacks), log
