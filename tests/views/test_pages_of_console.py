"""The console in a real browser, of a large application (contract, section 17)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.apps.large import ROUTES
from tests.servers.browser import assert_accessible, log_in
from tests.servers.client import get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until

pytestmark = [pytest.mark.server, pytest.mark.browser]

ENV = {
    "C2C_BASE_PATH": "/c2c",
    "C2C_SECRET": "secret",
    "C2C_FLIGHT_RECORDER": "1",
    "C2C_LOG_VIEW_ENABLED": "1",
    "OTEL_SERVICE_NAME": "bookshop",
}
PAGES = ["Overview", "Requests", "SQL", "Logs", "Processes", "Profiler", "Configuration", "All views"]
TALL = 10 * 900


@pytest.fixture
def server(gunicorn: Callable[..., Gunicorn]) -> Gunicorn:
    """Two workers of which each route was asked for."""
    server = gunicorn("tests.apps.large:application()", env=ENV, workers=2)
    for number in range(ROUTES):
        assert get(f"{server.url}/section/{number}") is not None
    assert get(f"{server.url}/fail") is not None

    def answered() -> int:
        answer = get(f"{server.url}/c2c/overview.json?secret=secret")
        assert answer is not None
        return sum(answer.json()["series"]["requests"])

    wait_until(lambda: answered() > ROUTES, "all are written", 30)
    return server


def size(tab: Any) -> tuple[int, int]:
    width, height = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    return width, height


def test_every_page_is_walked_and_accessible(browser: Any, tab: Any, server: Gunicorn) -> None:
    tab.set_default_timeout(30_000)
    log_in(tab, server)
    for page in PAGES:
        tab.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name=page, exact=True).click()
        tab.get_by_role("heading", level=1).wait_for(state="attached")
        assert "bookshop" in tab.title()
        for width in (1400, 360):
            tab.set_viewport_size({"width": width, "height": 900})
            assert size(tab)[0] <= width, page
            assert size(tab)[1] < TALL, page
        assert_accessible(browser, tab)
    assert {url.split("/")[2] for url in tab.asked} == {server.url.split("/")[2]}, "nothing comes from elsewhere"


def test_one_of_500_routes_is_reached_by_typing(tab: Any, server: Gunicorn) -> None:
    log_in(tab, server)
    table = tab.get_by_role("table", name="Routes by total time")
    assert table.get_by_role("row").count() < 30
    tab.get_by_label("Filter routes").fill("section_421")
    tab.get_by_role("link", name="GET section_421").wait_for()
    wait_until(lambda: table.get_by_role("row").count() == 2, "only that one is left")
    assert "filter=section_421" in tab.url
    tab.get_by_role("link", name="GET section_421").click()
    tab.get_by_role("heading", name="Requests", level=1).wait_for()
    assert tab.get_by_label("route").input_value() == "section_421"


def test_a_failure_leads_to_its_reason(tab: Any, server: Gunicorn) -> None:
    log_in(tab, server)
    newest = tab.get_by_role("table", name="Failed and slow requests")
    newest.get_by_role("link", name="GET fail").click()
    tab.get_by_role("heading", name="GET fail", level=1).wait_for()
    assert "duplicate key" in tab.get_by_role("region", name="Error").inner_text()


def test_a_level_is_set_for_ten_minutes_and_taken_back(tab: Any, server: Gunicorn) -> None:
    log_in(tab, server)
    tab.get_by_role("link", name="Logs", exact=True).click()
    tab.get_by_label("Filter loggers").fill("large.stock.part1")
    tab.get_by_role("link", name="Set the level of large.stock.part121").click()
    assert tab.get_by_label("logger", exact=True).input_value() == "large.stock.part121"
    tab.get_by_role("button", name="Set level").click()
    tab.get_by_text("The level is set in all processes.").wait_for()
    overrides = tab.get_by_role("table", name="Levels that were set")
    overrides.wait_for()
    assert re.search(r"large\.stock\.part121\s+DEBUG\s+(10|9) min left", overrides.inner_text())
    overrides.get_by_role("button", name="Reset").click()
    tab.get_by_text("None: every logger has the level").wait_for()
    tab.get_by_label("logger", exact=True).fill("large.stokc")
    tab.get_by_role("button", name="Set level").click()
    tab.get_by_text("is that a typing error?").wait_for()


def test_refreshing_stops_when_nobody_looks(tab: Any, server: Gunicorn) -> None:
    log_in(tab, server)
    tab.get_by_role("heading", name="Routes by total time").wait_for()
    tab.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    asked = len(tab.asked)
    tab.wait_for_timeout(7000)
    assert len(tab.asked) == asked
    with tab.expect_request(f"{server.url}/c2c/"):
        tab.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
