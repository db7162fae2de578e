"""JSON log lines (contract, section 6)."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from pyramid.request import Request

from c2cotel import redaction
from c2cotel.logs import JsonFormatter, JsonLogHandler, PyramidCeeSysLogHandler
from c2cotel.logs.record import syslog_level
from tests.apps.application import Application, start_response, view
from tests.servers.local import HOST, free_udp_port, wait_until
from tests.servers.otlp import OtlpReceiver
from tests.servers.udp import UdpListener


class Log:
    """A logger that writes JSON lines to memory."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = logging.Logger("app.part", logging.DEBUG)  # noqa: LOG001  # not one of the process
        self.logger.addHandler(JsonLogHandler(self.stream))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_record_is_one_json_object_with_the_documented_fields(log: Log) -> None:
    log.logger.warning("hello %s", "world")
    (line,) = log.lines()
    assert line.pop("timestamp") == pytest.approx(time.time(), abs=10)
    assert line.pop("line") > 0
    assert line == {
        "msg": "hello world",
        "level": 4,
        "level_name": "WARNING",
        "logger_name": "app.part",
        "source_facility": "app.part",
        "host": socket.gethostname(),
        "file": __file__,
        "function": "test_a_record_is_one_json_object_with_the_documented_fields",
        "pid": os.getpid(),
        "process_name": "MainProcess",
        "thread_name": threading.current_thread().name,
    }


@pytest.mark.parametrize(
    ("level", "severity"), [("DEBUG", 7), ("INFO", 6), ("WARNING", 4), ("ERROR", 3), ("CRITICAL", 2)]
)
def test_levels_are_the_numbers_of_syslog(level: str, severity: int) -> None:
    assert syslog_level(getattr(logging, level)) == severity
    assert syslog_level(getattr(logging, level) + 1) == severity


def test_an_exception_is_in_the_full_message_only(log: Log) -> None:
    try:
        int("boom")
    except ValueError:
        log.logger.exception("it failed")
    (line,) = log.lines()
    assert line["msg"] == "it failed"
    assert line["full_message"].startswith("it failed\nTraceback (most recent call last):")
    assert line["full_message"].endswith("invalid literal for int() with base 10: 'boom'")


def test_stack_info_is_in_the_full_message(log: Log) -> None:
    log.logger.info("here", stack_info=True)
    assert "test_stack_info_is_in_the_full_message" in log.lines()[0]["full_message"]


def test_extras_keep_simple_types_and_everything_else_becomes_text(log: Log) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    extra = {"n": 1, "f": 1.5, "b": True, "s": "x", "d": {"a": 1}, "l": [1], "none": None, "big": 2**70, "odd": Odd()}
    log.logger.info("x", extra=extra)
    line = log.lines()[0]
    assert (line["n"], line["f"], line["b"], line["s"], line["none"]) == (1, 1.5, True, "x", "None")
    assert (line["d"], line["l"], line["big"]) == ("{'a': 1}", "[1]", str(2**70))
    assert "Odd has no text" in line["odd"]


def test_extras_named_like_request_fields_stay_outside_of_requests(log: Log) -> None:
    extra = {"method": "m", "path": "p", "request_id": "r", "trace_id": "t", "span_id": "s", "client_addr": "c"}
    log.logger.info("x", extra=extra)
    line = log.lines()[0]
    assert {name: line[name] for name in extra} == extra
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))):
        log.logger.info("x", extra={**extra, "pid": "mine"})
    written = log.stream.getvalue().splitlines()[1]
    assert [written.count(f'"{name}":') for name in ("trace_id", "span_id", "pid", "method")] == [1, 1, 1, 1]
    assert (log.lines()[1]["trace_id"], log.lines()[1]["pid"]) == (f"{1:032x}", os.getpid())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_line_is_valid_json_whatever_the_stream_writes(encoding: str) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding)
    logger = logging.Logger("app")  # noqa: LOG001  # not one of the process
    logger.addHandler(JsonLogHandler(stream))
    logger.error("é€")
    stream.flush()
    assert json.loads(written.getvalue())["msg"] == "é€"


def test_objects_that_refuse_cost_no_line(log: Log) -> None:
    class Celsius(float):
        pass

    class Refusing:
        def __repr__(self) -> str:
            raise RuntimeError("no text")

    log.logger.info("x", extra={"temperature": Celsius(1.5), "caf\udce9": 1, 7: "n"})  # type: ignore[dict-item]
    log.logger.info(Refusing())
    log.logger.info("%s", Refusing())
    first, *others = log.lines()
    assert (first["temperature"], first["caf�"], first["7"]) == (1.5, 1, "n")
    assert len(others) == 2


def test_a_log_call_with_wrong_arguments_is_a_line_all_the_same(log: Log) -> None:
    log.logger.info("%d %d", "x")  # noqa: PLE1206  # that is the test
    assert "cannot be formatted" in log.lines()[0]["msg"]


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_whatever_the_text_it_is_one_line_of_valid_json(text: str) -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%s", (text,), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["msg"] == "".join("�" if "\ud800" <= c <= "\udfff" else c for c in text)


def test_inside_a_request_a_line_tells_which(log: Log, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)

    def hello(request: Request) -> dict[str, str]:
        log.logger.info("in the view")
        return {}

    app = Application(configure=view(hello, "/hello/{x}", renderer="json"))
    app.http.get("/hello/1?a=b", headers={"X-Request-ID": "7"}, extra_environ={"REMOTE_ADDR": "10.1.2.3"})
    log.logger.info("outside")
    app.finish()
    inside, outside = log.lines()
    (server,) = (received.item for received in otlp.spans if received.item.name == "GET /hello/{x}")
    wanted = {
        "client_addr": "10.1.2.3",
        "method": "GET",
        "path": "/hello/1",
        "matched_route": "hello",
        "request_id": "7",
        "trace_id": server.trace_id.hex(),
        "span_id": server.span_id.hex(),
    }
    assert {name: inside.get(name) for name in wanted} == wanted
    assert wanted.keys().isdisjoint(outside)


def test_a_path_that_is_no_utf8_still_gives_a_line(log: Log) -> None:
    def hello(request: Request) -> dict[str, str]:
        log.logger.info("in the view")
        return {}

    app = Application(configure=view(hello, "/hello", renderer="json"))
    environ = Request.blank("/hello").environ | {"SCRIPT_NAME": "/\xff"}
    list(app.wsgi(environ, start_response))
    (line,) = log.lines()
    assert (line["msg"], line["path"]) == ("in the view", "/\ufffd/hello")
    assert line["request_id"]


def test_a_current_span_is_told_outside_of_requests_too(log: Log) -> None:
    context = trace.SpanContext(1, 2, is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(context)):
        log.logger.info("x")
    assert log.lines()[0]["trace_id"] == f"{1:032x}"
    assert log.lines()[0]["span_id"] == f"{2:016x}"


def test_an_ini_can_name_the_handler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ini = tmp_path / "app.ini"
    ini.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=json\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=json\n"
        "[handler_json]\nclass=c2cotel.logs.JsonLogHandler\nargs=(sys.stdout,)\n"
    )
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logging.config.fileConfig(ini, disable_existing_loggers=False)
        root.handlers[0].setStream(sys.stdout)  # type: ignore[attr-defined]
        logging.getLogger("x").info("from the ini")
    finally:
        root.handlers[:], root.level = before
    assert json.loads(capsys.readouterr().out)["msg"] == "from the ini"


# ---- syslog ----


def received(udp_listener: UdpListener, count: int = 1) -> list[dict[str, Any]]:
    wait_until(lambda: len(udp_listener.datagrams) >= count, f"{count} datagrams")
    found = []
    for datagram in udp_listener.datagrams:
        start, _, rest = datagram.partition(b": @cee: ")
        assert start.startswith(b"<")
        assert rest.endswith(b"}\0")
        found.append({"start": start, **json.loads(rest[:-1])})
    return found


@pytest.fixture
def syslog(udp_listener: UdpListener) -> Iterator[logging.Logger]:
    logger = logging.Logger("app.part", logging.DEBUG)  # noqa: LOG001  # not one of the process
    handler = PyramidCeeSysLogHandler((HOST, udp_listener.port))
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_a_cee_datagram_has_the_bytes_of_2018(syslog: logging.Logger, udp_listener: UdpListener) -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        syslog.log(level, "hello", extra={"n": 1})
    found = received(udp_listener, 5)
    assert [each["start"] for each in found] == [b"<15>", b"<14>", b"<12>", b"<11>", b"<10>"], "facility user"
    assert {(each["msg"], each["n"]) for each in found} == {("hello", 1)}


@pytest.mark.parametrize("text", ["x" * 100_000, "é\n" * 60_000, '"' * 100_000])
def test_a_record_too_large_for_a_datagram_is_cut_with_a_mark(
    syslog: logging.Logger, udp_listener: UdpListener, text: str
) -> None:
    syslog.info(text, extra={"more": text, "kept": "short"})
    (found,) = received(udp_listener)
    assert found["msg"].endswith(" [cut]") or found["more"].endswith(" [cut]")
    assert found["kept"] == "short"
    assert len(udp_listener.datagrams[0]) > 50_000


def test_a_syslog_server_that_cannot_be_found_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    handler = PyramidCeeSysLogHandler(("nowhere.invalid", 514))
    logger = logging.Logger("app")  # noqa: LOG001  # not one of the process
    logger.addHandler(handler)
    for _ in range(3):
        logger.error("hello")
    printed = ""

    def is_told() -> bool:
        nonlocal printed
        printed += capsys.readouterr().err
        return bool(printed)

    wait_until(is_told, "the outage is told")
    assert printed.count("\n") == 1
    assert printed.startswith("syslog at ('nowhere.invalid', 514) cannot be reached:")


def test_a_resolver_that_hangs_holds_no_request_and_loses_no_record(
    udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, resolve = threading.Event(), socket.getaddrinfo

    def hangs(host: str, *args: Any, flags: int = 0, **options: Any) -> Any:
        if flags:
            raise socket.gaierror(-2, "Name or service not known")
        go_on.wait(30)
        return resolve(HOST, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    handler = PyramidCeeSysLogHandler(("syslog.example", udp_listener.port))
    logger = logging.Logger("app")  # noqa: LOG001  # not one of the process
    logger.addHandler(handler)
    for number in range(3):
        logger.error("%d", number)
    assert udp_listener.datagrams == []
    go_on.set()
    wait_until(lambda: len(udp_listener.datagrams) == 3, "the records arrive")
    handler.close()


def test_a_missing_syslog_server_is_not_looked_up_for_each_record(
    udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[Any] = []
    now = 1000.0

    as_name = threading.Event()

    def fails(*args: Any, flags: int = 0, **_: Any) -> Any:
        looked_up.append(args)
        if not flags:
            as_name.set()
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    handler = PyramidCeeSysLogHandler((HOST, udp_listener.port))
    logger = logging.Logger("app")  # noqa: LOG001  # not one of the process
    logger.addHandler(handler)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fails)
        for _ in range(10):
            logger.error("early")
        assert as_name.wait(10)
    assert len(looked_up) == 2, "once as an address, once as a name"
    now += 60
    logger.error("late")
    monkeypatch.undo()
    handler.close()
    wait_until(lambda: len(udp_listener.datagrams) == 11, "all records arrive")
    assert [line["msg"] for line in received(udp_listener)] == [*["early"] * 10, "late"]


def test_a_syslog_server_that_is_down_costs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    handler = PyramidCeeSysLogHandler((HOST, free_udp_port()))
    logger = logging.Logger("app")  # noqa: LOG001  # not one of the process
    logger.addHandler(handler)
    for _ in range(100):
        logger.error("hello")
    handler.close()
    assert capsys.readouterr().err == ""


def test_it_may_be_named_in_a_configuration(udp_listener: UdpListener) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "cee": {"class": "c2cotel.logs.PyramidCeeSysLogHandler", "address": [HOST, udp_listener.port]}
            },
            "loggers": {"by.configuration": {"handlers": ["cee"], "propagate": False}},
        }
    )
    logger = logging.getLogger("by.configuration")
    logger.error("hello")
    (handler,) = logger.handlers
    logger.removeHandler(handler)
    handler.close()
    assert received(udp_listener)[0]["msg"] == "hello"


# ---- secrets ----


def test_secrets_are_in_no_field(log: Log) -> None:
    try:
        int("postgresql://me:s3cret@db/x")
    except ValueError:
        log.logger.exception("failed: %s", "amqp://me:s3cret@mq/", extra={"url": "http://h/?secret=s3cret", "n": 1})
    log.logger.info("a line of source", stack_info=True, extra={"url": "amqp://me:s3cret@mq/"})
    log.logger.info("password=%s", "s3cret", extra={"db_password": "s3cret", "tokens": 3})
    text = log.stream.getvalue()
    assert "s3cret" not in text
    assert text.count("REDACTED") >= 4


def test_more_may_be_hidden(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.hide(r"CH\d{19}")
    redaction.hide(r"card \d+")
    log.logger.info("paid by CH9300762011623852957 with card 4711, order 12")
    assert log.lines()[0]["msg"] == "paid by REDACTED with REDACTED, order 12"
    with pytest.raises(re.error):
        redaction.hide("(")


@given(st.text(max_size=50), st.sampled_from(["secret=", "api-key: ", "x://u:", "[parameters: ", "PASSWORD='"]))
def test_the_quick_look_sees_whatever_the_thorough_one_changes(text: str, sign: str) -> None:
    for held in (text, text + sign + text, sign + text + "@h"):
        assert redaction.quickly(held) == redaction.anywhere(held)


@pytest.mark.parametrize("value", ["a\nb\r\x1b[31m\x00\u2028\x85", "x" * 1_000_000])
def test_hostile_values_are_one_line_each(log: Log, value: str) -> None:
    log.logger.info("%s", value, extra={"held": value})
    (line,) = log.stream.getvalue().split("\n")[:-1]
    shown = json.loads(line)["held"]
    assert shown == value if len(value) < 100_000 else shown == f"{value[:100_000]} [900000 characters more]"
    assert "\x1b" not in line


def test_a_line_keeps_what_it_tells_of_a_request_to_that_request(log: Log) -> None:
    def hello(request: Request) -> dict[str, str]:
        log.logger.info("in the view")
        log.logger.info("again")
        return {}

    app = Application(configure=view(hello, "/hello/{x}", renderer="json"))
    for n in range(3):
        app.http.get(f"/hello/{n}", headers={"X-Request-ID": str(n)})
    app.finish()
    found = [(line["path"], line["request_id"]) for line in log.lines()]
    assert found == [(f"/hello/{n}", str(n)) for n in range(3) for _ in range(2)]


def test_a_line_of_a_subrequest_tells_its_own_path(log: Log) -> None:
    def hello(request: Request) -> dict[str, str]:
        log.logger.info("in the view")
        if request.path == "/hello/1":
            other = request.copy()
            other.path_info = "/hello/2"
            request.invoke_subrequest(other)
            log.logger.info("again")
        return {}

    app = Application(configure=view(hello, "/hello/{x}", renderer="json"))
    app.http.get("/hello/1")
    app.finish()
    assert [line["path"] for line in log.lines()] == ["/hello/1", "/hello/2", "/hello/1"]
