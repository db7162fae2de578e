"""The pages in a real browser: the index and the CPU profiler (contract, section 5)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.browser import assert_accessible, log_in
from tests.servers.client import get
from tests.servers.gunicorn import Gunicorn
from tests.servers.operated import levels, start

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture
def server(gunicorn: Callable[..., Gunicorn], service: dict[str, str], tmp_path: Path) -> Gunicorn:
    """Two workers with everything on."""
    more = {"C2C_PROFILER_PATH": "profiler", "C2C_PROFILER_MODULES": "sqlalchemy pyramid"}
    return start(gunicorn, {**service, **more, "OPERATING_BROKEN": str(tmp_path / "broken")})


def test_who_has_no_secret_sees_what_is_open(browser: Any, tab: Any, server: Gunicorn) -> None:
    tab.goto(f"{server.url}/c2c")
    titles = tab.get_by_role("heading", level=2).all_inner_texts()
    assert titles == ["Log in", "Health"]
    tab.get_by_text("healthy, 2 checks.").wait_for()
    assert_accessible(browser, tab)
    log_in(tab, server, "wrong")
    assert tab.get_by_role("alert").inner_text() == "This is not the secret."
    assert tab.context.cookies() == []
    assert_accessible(browser, tab)
    assert {url.split("/")[2] for url in tab.asked} == {server.url.split("/")[2]}, "nothing comes from elsewhere"


def test_an_operator_sets_a_level_and_looks_at_health(browser: Any, tab: Any, server: Gunicorn, tmp_path: Path) -> None:
    log_in(tab, server)
    tab.get_by_role("heading", name="Routes by total time").wait_for()
    assert "secret" not in tab.content().split("<main>")[1].split("<script")[0].replace("C2C_SECRET", "").lower()
    tab.get_by_role("link", name="All views").click()
    (cookie, *_) = tab.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    card = tab.get_by_role("region", name="Levels of loggers")
    card.get_by_label("name", exact=True).fill("app")
    card.get_by_label("level", exact=True).fill("debug")
    card.get_by_role("button").click()
    card.get_by_text("200").first.wait_for()
    assert "DEBUG" in card.get_by_role("region", name="Answer").get_by_role("table").inner_text()
    card.get_by_text("JSON", exact=True).click()
    told = json.loads(card.get_by_role("region", name="JSON").inner_text())
    assert told == {"status": 200, "name": "app", "level": "DEBUG", "effective_level": "DEBUG"}
    assert set(levels(server).values()) == {logging.DEBUG}
    assert_accessible(browser, tab)
    assert not any("secret" in url or "token" in url for url in tab.asked), "they never stand in an address"
    (tmp_path / "broken").touch()
    tab.reload()
    tab.get_by_text("1 of 2 checks fail").wait_for()
    health = tab.get_by_role("region", name="Health checks")
    health.get_by_label("max_level").fill("1")
    health.get_by_role("button").click()
    health.get_by_text("500").first.wait_for()
    assert "broken" in health.get_by_role("region", name="Answer").inner_text()
    tab.get_by_role("button", name="Log out").click()
    tab.get_by_role("heading", name="Log in").wait_for()
    assert tab.context.cookies() == []


def test_the_secret_in_the_address_does_not_stay_there(tab: Any, server: Gunicorn) -> None:
    tab.goto(f"{server.url}/c2c/?secret=secret")
    tab.get_by_role("heading", name="Routes by total time").wait_for()
    assert tab.url == f"{server.url}/c2c/"
    tab.get_by_role("link", name="All views").click()
    card = tab.get_by_role("region", name="Levels of loggers")
    card.get_by_label("name", exact=True).fill("app")
    card.get_by_label("level", exact=True).fill("INFO")
    card.get_by_role("button").click()
    card.get_by_text("200").first.wait_for()
    assert set(levels(server).values()) == {logging.INFO}


def test_the_cpu_profiler_shows_the_requests_of_all_workers(browser: Any, tab: Any, server: Gunicorn) -> None:
    def work() -> None:
        for _ in range(12):
            assert get(f"{server.url}/sql?q=SELECT+pg_sleep(0.02)") is not None

    log_in(tab, server)
    work()
    tab.get_by_role("link", name="Profiler").click()
    tab.get_by_role("heading", name="Off").wait_for()
    tab.get_by_text("No request of the application has come").wait_for()
    tab.get_by_role("button", name="Start profiling").click()
    tab.get_by_role("heading", name="On", exact=True).wait_for()
    assert all(str(pid) in tab.get_by_role("region", name="On").inner_text() for pid in server.children())
    work()
    tab.goto(f"{server.url}/profiler")
    requests = tab.get_by_role("link", name="GET /sql", exact=True)
    assert requests.count() == 12
    packages = tab.get_by_role("table", name="Time by package").inner_text()
    assert "sqlalchemy" in packages
    assert_accessible(browser, tab)
    with tab.expect_download() as download:
        tab.get_by_role("link", name="download").first.click()
    profile = json.loads(Path(download.value.path()).read_text())
    assert "speedscope" in profile["$schema"]
    assert {"do_execute"} <= {frame["name"] for frame in profile["shared"]["frames"]}
    tab.get_by_role("link", name="GET /sql").first.click()
    tree = tab.get_by_role("region", name="Call tree")
    tree.get_by_text("do_execute").wait_for()
    assert_accessible(browser, tab)
    tab.get_by_role("link", name="All requests").click()
    tab.get_by_role("button", name="Stop profiling").click()
    tab.get_by_role("heading", name="Off").wait_for()
    work()
    tab.reload()
    assert requests.count() == 12, "what was there is kept, and nothing comes"
