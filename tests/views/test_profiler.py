"""The CPU profiler in one process (contract, section 5); `test_pages.py` has several."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from pyinstrument import Profiler
from pyramid.config import Configurator
from pyramid.request import Request

from c2cotel.errors import SettingsError
from c2cotel_views._profiles import slices
from tests.apps.application import Application

KEY = {"X-API-Key": "secret"}


def slow(_: Request) -> dict[str, Any]:
    """Waits in a function of its own."""
    wait_a_little()
    return {}


def wait_a_little() -> None:
    time.sleep(0.03)


def inner(request: Request) -> Any:
    """Asks another view of the same application."""
    return request.invoke_subrequest(Request.blank("/slow"), use_tweens=True)


def fails(_: Request) -> dict[str, Any]:
    raise ValueError("on purpose")


def views(config: Configurator) -> None:
    for view in (slow, inner, fails):
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__, renderer="json")


@pytest.fixture(params=["/profiler", "profiler"])
def app(request: pytest.FixtureRequest) -> Application:
    settings = {"c2c.secret": "secret", "c2c.profiler_path": request.param, "c2c.profiler_modules": "time tests.views"}
    return Application(settings, views)


def requests(app: Application) -> list[tuple[str, str]]:
    """The list of the page: id and request."""
    return re.findall(r'<th scope="row"><a href="/profiler\?profile=(\w+)">([^<]*)</a>', app.http.get("/profiler").text)


def test_it_is_off_until_somebody_with_the_secret_comes(app: Application) -> None:
    app.http.get("/profiler", status=403)
    app.http.get("/slow")
    answer = app.http.get("/profiler", headers=KEY)
    assert ">On</h2>" in answer.text
    assert "No request of the application has come" in answer.text
    app.http.get("/slow?secret=secret")
    app.http.get("/fails", status=500)
    app.http.get("/nowhere", status=404)
    assert [name for _, name in requests(app)] == ["GET /nowhere", "GET /fails", "GET /slow"]
    app.http.get("/profiler?enable=0", headers=KEY)
    app.http.get("/slow")
    assert len(requests(app)) == 3
    app.http.get("/profiler?enable=1", headers=KEY)
    assert requests(app) == [], "it begins anew"


def test_a_session_switches_by_post_with_its_token(app: Application) -> None:
    token = re.search(r'name="token" value="(\w+)"', app.http.get("/profiler", headers=KEY).text)
    assert token is not None
    app.http.get("/profiler?enable=0", status=403)
    app.http.post("/profiler", {"enable": "0"}, status=403)
    assert ">On</h2>" in app.http.get("/profiler").text, "a visit changes nothing"
    assert ">Off</h2>" in app.http.post("/profiler", {"enable": "0", "token": token[1]}).text
    assert ">Off</h2>" in app.http.get("/profiler").text


def test_the_call_tree_of_a_request(app: Application) -> None:
    app.http.get("/profiler", headers=KEY)
    app.http.get("/slow")
    ((profile, _),) = requests(app)
    text = app.http.get(f"/profiler?profile={profile}").text
    assert "<code>wait_a_little</code>" in text
    assert text.count("<li>") == text.count("</li>")
    assert text.count("<details") == text.count("</details>")
    answer = app.http.get(f"/profiler?profile={profile}&format=speedscope")
    assert answer.content_disposition == f'attachment; filename="{profile}.speedscope.json"'
    assert "wait_a_little" in {frame["name"] for frame in answer.json["shared"]["frames"]}
    assert "profile='nobody'" in app.http.get("/profiler?profile=nobody", status=404).json["message"]


def test_calls_stand_side_by_side_in_the_flame_graph(app: Application) -> None:
    app.http.get("/profiler", headers=KEY)
    app.http.get("/slow")
    ((profile, _),) = requests(app)
    text = app.http.get(f"/profiler?profile={profile}").text
    drawn = re.findall(r'<svg x="([\d.]+)%" width="([\d.]+)%" y="(\d+)" height="17"><title>(\S+)', text)
    assert "wait_a_little" in {name for *_, name in drawn}
    rows: dict[int, float] = {}
    for x, width, y, _ in drawn:
        assert float(x) >= rows.get(int(y), 0.0) - 0.01, "no two calls of a row lie on each other"
        rows[int(y)] = float(x) + float(width)
    assert max(rows.values()) <= 100.01


def test_requests_have_their_ids_and_their_routes_their_time(app: Application) -> None:
    app.http.get("/profiler", headers=KEY)
    for _ in range(2):
        app.http.get("/slow", headers={"X-Request-ID": "the-id"})
    app.http.get("/nowhere", status=404)
    text = app.http.get("/profiler").text
    assert text.count("the-id") == 2
    by_route = text.partition('aria-label="Time by route"')[2].partition("</section>")[0]
    found = re.findall(r'<span class="text">([^<]*)</span></th><td class="number">(\d+)</td>', by_route)
    assert found == [("GET slow", "2"), ("GET no route", "1")]
    assert re.search(r'aria-label="[^"]*tests.views [1-9]\d* %', by_route), "it waits in this module"
    ((profile, _), *_) = (each for each in requests(app) if each[1] == "GET /slow")
    assert "the-id" in app.http.get(f"/profiler?profile={profile}").text


def test_a_request_leads_to_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    app = Application({"c2c.secret": "secret", "c2c.base_path": "/c2c", "c2c.profiler_path": "profiler"}, views)
    app.http.get("/profiler", headers=KEY)
    app.http.get("/slow", headers={"X-Request-ID": "the-id"})
    ((profile, _),) = requests(app)
    page = app.http.get(f"/profiler?profile={profile}")
    app.telemetry.flush()
    assert page.click(description="the-id").status_int == 200


def test_the_last_requests_are_kept_and_no_more(app: Application) -> None:
    app.http.get("/profiler", headers=KEY)
    for n in range(30):
        app.http.get(f"/nowhere/{n}", status=404)
    assert [name for _, name in requests(app)] == [f"GET /nowhere/{n}" for n in range(29, 9, -1)]


def test_a_subrequest_belongs_to_its_request(app: Application) -> None:
    app.http.get("/profiler", headers=KEY)
    app.http.get("/inner")
    ((profile, name),) = requests(app)
    assert name == "GET /inner"
    assert "wait_a_little" in app.http.get(f"/profiler?profile={profile}").text


def test_an_application_that_profiles_itself_goes_on(app: Application) -> None:
    app.http.get("/profiler", headers=KEY)
    with Profiler(async_mode="disabled") as own:
        app.http.get("/slow")
    assert own.last_session is not None


def test_time_belongs_to_the_innermost_package_that_is_named(app: Application) -> None:
    app.http.get("/profiler", headers=KEY)
    app.http.get("/slow")
    found = {
        name: float(share)
        for name, share in re.findall(
            r"</svg> ([\w.]+)</th>.*?([\d.]+) %</td>", app.http.get("/profiler").text, re.DOTALL
        )
    }
    assert set(found) == {"time", "tests.views", "other"}
    assert found["tests.views"] > 50, "time.sleep has no file of its own"


def test_a_pie_is_whole() -> None:
    assert [each["share"] for each in slices({"a": 0.0, "b": 3.0, "c": 1.0})] == [0.75, 0.25, 0.0]
    (whole,) = slices({"a": 2.0})
    assert whole["share"] == 1
    assert "A1 1 0 1 1" in whole["path"]
    assert slices({"a": 0.0})[0]["share"] == 0


def test_settings_that_name_no_package_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"c2c\.profiler_modules='a-b': expected names of Python packages"):
        Application({"c2c.profiler_path": "p", "c2c.profiler_modules": "a-b"})


def test_without_the_secret_or_the_path_there_is_no_page() -> None:
    Application({"c2c.profiler_path": "profiler"}).http.get("/profiler", status=404)
    Application({"c2c.secret": "secret"}).http.get("/profiler", headers=KEY, status=404)


def test_it_is_outside_of_a_prefix_of_the_application() -> None:
    def prefixed(config: Configurator) -> None:
        config.route_prefix = "api"

    app = Application({"c2c.secret": "secret", "c2c.profiler_path": "profiler"}, prefixed)
    app.http.get("/profiler", headers=KEY)
