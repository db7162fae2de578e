"""The debug views (contract, section 5)."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import status_map
from pyramid.request import Request

from tests.apps.application import Application

SECRET = {"X-API-Key": "secret"}
LEAK: list[Any] = []
ECHO: list[Any] = []


class Leaked:
    """What a call leaves behind."""


def leak(request: Request) -> dict[str, Any]:
    LEAK.extend(Leaked() for _ in range(int(str(request.params["n"]))))
    return {"query": dict(request.params)}


def echo(request: Request) -> dict[str, Any]:
    ECHO.append(((request.matchdict or {})["path"], dict(request.params)))
    return {}


def configure(config: Configurator) -> None:
    config.add_route("leak", "/leak")
    config.add_view(leak, route_name="leak", renderer="json")
    config.add_route("echo", "/{path:.*/1}")
    config.add_view(echo, route_name="echo", renderer="json")


@pytest.fixture
def app() -> Application:
    LEAK.clear()
    ECHO.clear()
    return Application({"c2c.base_path": "/c2c", "c2c.secret": "secret", "c2c.debug_view_enabled": "1"}, configure)


def test_equal_stacks_are_one_entry_with_all_its_threads(app: Application) -> None:
    end = threading.Event()
    waiting = [threading.Thread(target=end.wait, name=f"waiting/{n}") for n in range(2)]
    for thread in waiting:
        thread.start()
    try:
        found = app.http.get("/c2c/debug/stacks", headers=SECRET).json
    finally:
        end.set()
        for thread in waiting:
            thread.join()
    start = f"{socket.gethostname()}/{os.getpid()}/"
    ours = [f"{start}{thread.name}({thread.ident})" for thread in waiting]
    together = next(entry for entry in found if ours[0] in entry["threads"])
    assert set(together) == {"threads", "frames"}
    assert together["threads"] == sorted(ours)
    assert together["frames"][-1] == {
        "file": threading.__file__,
        "line": together["frames"][-1]["line"],
        "function": "wait",
        "code": "waiter.acquire()",
    }
    asking = next(entry for entry in found if any("MainThread" in thread for thread in entry["threads"]))
    assert asking["frames"][-1]["function"] == "stacks_here", "the innermost frame is last"


def test_memory_is_counted_by_type(app: Application) -> None:
    LEAK.extend(Leaked() for _ in range(1000))
    (found,) = app.http.get("/c2c/debug/memory?limit=1000", headers=SECRET).json
    assert set(found) == {"nb_collected", "most_common_types", "leaking_objects", "hostname", "pid"}
    assert (found["hostname"], found["pid"]) == (socket.gethostname(), os.getpid())
    assert len(found["nb_collected"]) == 3
    assert dict(found["most_common_types"])[f"{__name__}.Leaked"] >= 1000
    assert len(app.http.get("/c2c/debug/memory?limit=3", headers=SECRET).json[0]["most_common_types"]) == 3


def test_memory_is_counted_where_asyncio_was_used(app: Application) -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        await future

    asyncio.run(wait())
    for _ in range(2):
        app.http.get("/c2c/debug/memory", headers=SECRET)
    gc.collect()  # without an end on Python 3.12, if it was asked for what had been freed


def test_memory_maps_are_told_by_file_largest_first(app: Application) -> None:
    (found,) = app.http.get("/c2c/debug/memory_maps", headers=SECRET).json
    sizes = [each["pss_kb"] for each in found["memory_maps"]]
    assert sizes == sorted(sizes, reverse=True)
    assert set(found["memory_maps"][0]) == {"path", "size_kb", "rss_kb", "pss_kb", "swap_kb"}
    assert "[heap]" in {each["path"] for each in found["memory_maps"]}


@pytest.mark.parametrize(
    "url", ["/c2c/debug/memory_diff?path=/leak%3Fn%3D70%26x%3Dy", "/c2c/debug/memory_diff/leak?n=70"]
)
def test_the_growth_of_a_second_call_is_told(app: Application, url: str) -> None:
    found = app.http.get(url, headers=SECRET).json
    assert [f"{__name__}.Leaked", 140, 70] in found
    assert all(delta > 0 for _, _, delta in found)


def test_what_the_view_itself_needs_is_no_growth(app: Application) -> None:
    found = app.http.get("/c2c/debug/memory_diff?path=/leak%3Fn%3D0", headers=SECRET).json
    assert "collections.Counter" not in {kind for kind, _, _ in found}


def test_growth_is_limited_to_the_types_that_grew_most(app: Application) -> None:
    found = app.http.get("/c2c/debug/memory_diff?path=/leak%3Fn%3D5000&limit=1", headers=SECRET).json
    assert found == [[f"{__name__}.Leaked", 10000, 5000]]


@pytest.mark.parametrize("path", ["/é è/1?q=à b", "/%C3%A9%20%C3%A8/1?q=%C3%A0+b"])
def test_a_path_of_any_letters_is_called(app: Application, path: str) -> None:
    app.http.get("/c2c/debug/memory_diff", {"path": path}, headers=SECRET, status=200)
    assert ECHO == [("é è/1", {"q": "à b"})] * 2


@pytest.mark.parametrize("path", ["", "leak", "http://elsewhere/leak"])
def test_a_path_that_is_none_is_refused(app: Application, path: str) -> None:
    answer = app.http.get("/c2c/debug/memory_diff", {"path": path}, headers=SECRET, status=400)
    assert "path=" in answer.json["message"]


def test_a_path_that_is_not_there_is_its_own_error(app: Application) -> None:
    assert app.http.get("/c2c/debug/memory_diff?path=/nowhere", headers=SECRET, status=404).json["status"] == 404


def test_sleeping_takes_the_time_and_has_nothing_to_say(app: Application) -> None:
    start = time.monotonic()
    answer = app.http.get("/c2c/debug/sleep?time=0.2", headers=SECRET)
    assert time.monotonic() - start >= 0.2
    assert (answer.status_int, answer.body) == (204, b"")


@pytest.mark.parametrize("given", ["time=nan", "time=-1", "time=x", "time=inf", "", "time=3601"])
def test_a_time_that_is_none_is_refused(app: Application, given: str) -> None:
    assert "time" in app.http.get(f"/c2c/debug/sleep?{given}", headers=SECRET, status=400).json["message"]


def test_headers_are_told_as_they_came(app: Application) -> None:
    headers = {**SECRET, "X-Odd": "é".encode().decode("latin-1")}
    assert app.http.get("/c2c/debug/headers", headers=headers).json == {
        "Host": "localhost:80",
        "X-Api-Key": "secret",
        "X-Odd": "Ã©",
    }


@pytest.mark.parametrize("status", sorted(status_map))
def test_an_error_is_made_on_purpose(app: Application, status: int) -> None:
    answer = app.http.get(f"/c2c/debug/error?status={status}", headers=SECRET, status="*")
    assert answer.status_int == status


def test_the_error_view_answers_with_the_status_it_is_asked_for(app: Application) -> None:
    app.http.get("/c2c/debug/error", headers=SECRET, status=500)
    assert "status=599" in app.http.get("/c2c/debug/error?status=599", headers=SECRET, status=400).json["message"]


@pytest.mark.parametrize(
    "path", ["stacks", "memory", "memory_maps", "memory_diff", "memory_diff/leak", "sleep", "headers", "error"]
)
def test_without_the_secret_there_is_nothing_to_see(app: Application, path: str) -> None:
    answer = app.http.get(f"/c2c/debug/{path}", status=403)
    assert set(answer.json) <= {"message", "status", "request_id"}
    Application({"c2c.base_path": "/c2c", "c2c.secret": "secret"}).http.get(f"/c2c/debug/{path}", status=404)
