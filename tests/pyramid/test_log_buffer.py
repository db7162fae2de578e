"""Records below their level, kept for the requests that turn out to need them (contract, section 16)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel.errors import SettingsError
from tests.apps.application import Application, view

log = logging.getLogger("buffered.module")
other = logging.getLogger("unbuffered")


class Handler(logging.Handler):
    """Remembers what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def messages(self, name: str = "buffered") -> list[str]:
        return [record.getMessage() for record in self.records if record.name.startswith(name)]


@pytest.fixture(autouse=True)
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handler]:
    monkeypatch.setenv("C2C_LOG_BUFFER", "buffered:DEBUG")
    handler = Handler()
    root = logging.getLogger()
    root.addHandler(handler)
    for logger in (log, other):
        monkeypatch.setattr(logger, "level", logging.INFO)
    log.manager._clear_cache()  # type: ignore[attr-defined]  # `setLevel` does it
    yield handler
    root.removeHandler(handler)
    log.manager._clear_cache()  # type: ignore[attr-defined]  # as above


def failing(request: Request) -> Response:
    log.debug("first %s", request.params.get("n", ""))
    log.info("second")
    log.debug("third")
    raise ValueError("x")


def quiet(_: Request) -> Response:
    log.debug("first")
    log.info("second")
    return Response("x")


def test_a_failing_request_logs_what_it_kept(handler: Handler) -> None:
    app = Application(configure=view(failing))
    app.http.get("/hello?n=7", status=500)
    assert handler.messages() == ["second", "first 7", "third"]
    buffered = [record for record in handler.records if getattr(record, "buffered", False)]
    assert [record.getMessage() for record in buffered] == ["first 7", "third"]


def test_a_quick_request_logs_what_it_always_did(handler: Handler) -> None:
    app = Application(configure=view(quiet))
    app.http.get("/hello")
    assert handler.messages() == ["second"]


def test_a_slow_or_wanted_request_logs_what_it_kept(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_SLOW", "quiet:0s")

    def wanted(request: Request) -> Response:
        log.debug("of the wanted one")
        request.c2c_keep()
        return Response("x")

    def both(config: Configurator) -> None:
        view(quiet)(config)
        view(wanted, "/wanted")(config)

    app = Application(configure=both)
    app.http.get("/hello")
    app.http.get("/wanted")
    assert handler.messages() == ["second", "first", "of the wanted one"]


def test_outside_of_a_request_nothing_changes(handler: Handler) -> None:
    Application(configure=view(quiet))
    log.debug("outside")
    assert not log.isEnabledFor(logging.DEBUG)
    assert handler.messages() == []


def test_the_application_is_told_the_level_as_ever(handler: Handler) -> None:
    told: list[bool] = []

    def asking(_: Request) -> Response:
        told.append(log.isEnabledFor(logging.DEBUG))
        told.append(logging.LoggerAdapter(log, {}).isEnabledFor(logging.DEBUG))
        other.debug("no")
        raise ValueError("x")

    app = Application(configure=view(asking))
    app.http.get("/hello", status=500)
    assert told == [False, False]
    assert handler.messages("unbuffered") == []


def test_filters_disabling_and_adapters_count(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    def dropped(record: logging.LogRecord) -> bool:
        return "secretly" not in str(record.msg)

    monkeypatch.setattr(log, "filters", [dropped])

    def logging_view(_: Request) -> Response:
        log.debug("secretly")
        logging.LoggerAdapter(log, {}).debug("by an adapter")
        log.log(logging.DEBUG, "by log")
        logging.disable(logging.DEBUG)
        log.debug("disabled")
        logging.disable(logging.NOTSET)
        raise ValueError("x")

    app = Application(configure=view(logging_view))
    app.http.get("/hello", status=500)
    assert handler.messages() == ["by an adapter", "by log"]


def test_arguments_are_read_when_they_are_logged(handler: Handler) -> None:
    def changing(_: Request) -> Response:
        items = [1]
        log.debug("items %s", items, extra={"items": items})
        items.append(2)
        raise ValueError("x")

    app = Application(configure=view(changing))
    app.http.get("/hello", status=500)
    (record,) = [record for record in handler.records if record.name == log.name]
    assert record.getMessage() == "items [1]"
    assert vars(record)["items"] == "[1]"


def test_the_caller_is_the_line_of_the_application(handler: Handler) -> None:
    app = Application(configure=view(failing))
    app.http.get("/hello", status=500)
    assert {record.funcName for record in handler.records if record.name == log.name} == {"failing"}


def test_kept_records_are_in_the_record_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")

    def both(config: Configurator) -> None:
        view(failing)(config)
        view(quiet, "/quiet")(config)

    app = Application(configure=both)
    app.http.get("/hello", status=500)
    app.http.get("/quiet")
    app.telemetry.flush()
    assert app.telemetry.flight is not None
    store: Any = app.telemetry.flight.store
    shown = {}
    for entry in store.find()[0]:
        (record,) = store.get(entry["id"])
        logs = [(each["message"], each["buffered"]) for each in record.logs if each["logger"] == log.name]
        shown[record.route] = logs
    assert shown == {
        "failing": [("first ", True), ("second", False), ("third", True)],
        "quiet": [("second", False)],
    }


def test_many_requests_at_once_get_their_own_lines_once(handler: Handler) -> None:
    app = Application(configure=view(failing))

    def run(n: int) -> None:
        app.http.get(f"/hello?n={n}", status=500)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    firsts = [message for message in handler.messages() if message.startswith("first")]
    assert sorted(firsts) == sorted(f"first {n}" for n in range(20))


def test_closing_gives_logging_back() -> None:
    enabled, handlers = logging.Logger.isEnabledFor, logging.Logger.callHandlers
    app = Application(configure=view(quiet))
    assert logging.Logger.isEnabledFor is not enabled
    app.finish()
    assert logging.Logger.isEnabledFor is enabled
    assert logging.Logger.callHandlers is handlers


@pytest.mark.parametrize("text", ["app", "app:LOUD", "DEBUG", ":"])
def test_a_bad_buffer_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_LOG_BUFFER", text)
    with pytest.raises(SettingsError, match=r"C2C_LOG_BUFFER=.*expected logger:LEVEL"):
        c2cotel.setup()
