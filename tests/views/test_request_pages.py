"""The pages of the flight recorder in a real browser (contract, section 13)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers.browser import assert_accessible, log_in
from tests.servers.client import get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until

pytestmark = [pytest.mark.server, pytest.mark.browser]

ENV = {"C2C_BASE_PATH": "/c2c", "C2C_SECRET": "secret", "C2C_FLIGHT_RECORDER": "1", "C2C_SLOW": "200ms"}


@pytest.fixture
def server(gunicorn: Callable[..., Gunicorn]) -> Gunicorn:
    """Two workers that have sold, failed and been slow."""
    server = gunicorn("tests.apps.shop:application()", env={**ENV, "OTEL_SERVICE_NAME": "bookshop"}, workers=2)
    for path in ("/book", "/wait?s=0.3", "/order", "/order", "/book"):
        assert get(server.url + path) is not None
    wait_until(lambda: kept(server, "failed") == 2 and kept(server, "slow") == 1, "the requests are kept")
    return server


def kept(server: Gunicorn, state: str) -> int:
    answer = get(f"{server.url}/c2c/requests.json?secret=secret&state={state}")
    assert answer is not None
    return len(answer.json()["requests"])


def width(tab: Any) -> int:
    found: int = tab.evaluate("document.documentElement.scrollWidth")
    return found


@pytest.mark.parametrize("size", [1400, 360])
def test_filter_open_follow_the_trace_and_back(browser: Any, tab: Any, server: Gunicorn, size: int) -> None:
    tab.set_viewport_size({"width": size, "height": 900})
    log_in(tab, server)
    tab.get_by_role("link", name="Requests", exact=True).click()
    tab.get_by_role("heading", name="Requests", level=1).wait_for()
    assert "bookshop" in tab.title()
    assert tab.get_by_role("table", name="Failed").get_by_role("row").count() == 3
    assert width(tab) <= size
    assert_accessible(browser, tab)
    tab.get_by_label("state").select_option("failed")
    tab.get_by_label("route").fill("order")
    tab.get_by_role("button", name="Show").click()
    tab.get_by_role("link", name="Clear filters").wait_for()
    rows = tab.get_by_role("table").get_by_role("row")
    assert rows.count() == 3
    assert "OperationalError" in tab.get_by_role("table").inner_text()
    rows.nth(1).get_by_role("link").click()
    tab.get_by_role("heading", name="GET order", level=1).wait_for()
    assert width(tab) <= size
    waterfall = tab.get_by_role("region", name="Waterfall")
    statement = waterfall.locator("summary", has_text="SELECT 1 FROM invoices")
    assert "\u00d7 12" in statement.inner_text()
    statement.click()
    statement.locator("..").get_by_label("Statement").wait_for()
    assert "OperationalError" in tab.get_by_role("region", name="Error").inner_text()
    assert "order of 12 lines priced" in tab.get_by_role("region", name="Log").inner_text()
    assert_accessible(browser, tab)
    address = tab.url
    trace = tab.get_by_role("link", name=re.compile("^[0-9a-f]{32}$"))
    trace_id = trace.inner_text()
    trace.click()
    tab.wait_for_url(f"**/c2c/requests/{trace_id}")
    tab.get_by_role("heading", name="GET order", level=1).wait_for()
    tab.go_back()
    tab.go_back()
    tab.get_by_role("link", name="Clear filters").wait_for()
    assert tab.get_by_label("route").input_value() == "order"
    tab.get_by_role("searchbox").fill(trace_id)
    tab.get_by_role("button", name="Find").click()
    tab.get_by_role("heading", name="GET order", level=1).wait_for()
    assert address.rpartition("/")[2].replace("-", "") == trace_id
    assert {url.split("/")[2] for url in tab.asked} == {server.url.split("/")[2]}, "nothing comes from elsewhere"


def test_a_record_is_reached_and_unfolded_by_keyboard(tab: Any, server: Gunicorn) -> None:
    log_in(tab, server)
    tab.goto(f"{server.url}/c2c/requests?state=failed")
    target = tab.get_by_role("table").get_by_role("link").first
    for _ in range(40):
        tab.keyboard.press("Tab")
        if target.evaluate("each => each === document.activeElement"):
            break
    tab.keyboard.press("Enter")
    tab.get_by_role("heading", name="GET order", level=1).wait_for()
    for _ in range(40):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.matches('#spans summary')"):
            break
    tab.keyboard.press("Enter")
    assert tab.locator("#spans details").first.evaluate("each => each.open")


def test_the_list_refreshes_unless_it_is_paused_or_hidden(tab: Any, server: Gunicorn) -> None:
    log_in(tab, server)
    tab.goto(f"{server.url}/c2c/requests")
    failed = tab.get_by_role("table", name="Failed").get_by_role("row")
    assert failed.count() == 3
    get(f"{server.url}/order")
    failed.nth(3).wait_for(timeout=20_000)
    tab.get_by_role("button", name="Pause refreshing").click()
    tab.get_by_role("button", name="Resume refreshing").wait_for()
    get(f"{server.url}/order")
    wait_until(lambda: kept(server, "failed") == 4, "it is kept")
    asked = len(tab.asked)
    tab.wait_for_timeout(6000)
    assert not [url for url in tab.asked[asked:] if url.endswith("/requests")]
    tab.get_by_role("button", name="Resume refreshing").click()
    failed.nth(4).wait_for(timeout=20_000)


def test_without_scripts_everything_but_refreshing_works(browser: Any, tab: Any, server: Gunicorn) -> None:
    log_in(tab, server)
    context = browser.new_context(java_script_enabled=False, storage_state=tab.context.storage_state())
    page = context.new_page()
    page.goto(f"{server.url}/c2c/requests")
    assert page.get_by_role("button", name="Pause refreshing").count() == 0
    page.get_by_label("state").select_option("slow")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="GET wait").click()
    page.get_by_role("heading", name="GET wait", level=1).wait_for()
    page.locator("#spans summary").first.click()
    assert page.locator("#spans details").first.evaluate("each => each.open")
    page.goto(f"{server.url}/c2c/requests/nobody")
    assert page.get_by_role("heading", level=1).inner_text() == "No such request"
    context.close()
