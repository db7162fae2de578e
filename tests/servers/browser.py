"""A real browser, and what its pages must be like."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.gunicorn import Gunicorn
from tests.servers.local import ROOT

AXE = ROOT / ".cache/npm/node_modules/axe-core/axe.min.js"
# Nothing of the browser itself may look for hosts outside.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    home = str(tmp_path_factory.mktemp("chromium"))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS, env={**os.environ, "HOME": home, "TMPDIR": home}
        )
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page that complains about everything; what it asks for is in `tab.asked`."""
    context = browser.new_context(bypass_csp=False)
    tab = context.new_page()
    tab.set_default_timeout(10_000)
    tab.problems, tab.asked = [], []
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("console", lambda said: tab.problems.append(said.text) if "Content Security" in said.text else None)
    tab.on("request", lambda request: tab.asked.append(request.url))
    yield tab
    context.close()
    assert tab.problems == []


def assert_accessible(browser: Any, tab: Any) -> None:
    """No finding of axe-core, in both colour schemes; in a context of its own, as the page lets no script in."""
    for scheme in ("light", "dark"):
        context = browser.new_context(
            bypass_csp=True,
            color_scheme=scheme,
            storage_state=tab.context.storage_state(),
            viewport={"width": 700, "height": 900},
        )
        page = context.new_page()
        page.goto(tab.url)
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']})")
        context.close()
        assert found["passes"], "axe looked at something"
        problems = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]]
        assert problems == [], f"{tab.url}, {scheme}"


def log_in(tab: Any, server: Gunicorn, secret: str = "secret") -> None:  # of the test
    tab.goto(f"{server.url}/c2c/")
    tab.get_by_label("Secret").fill(secret)
    tab.get_by_role("button", name="Log in").click()
