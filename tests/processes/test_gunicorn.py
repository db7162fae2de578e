"""Under gunicorn, with workers that come and go, nothing is lost and nothing is sent twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tests.apps.measured import NUMBERS
from tests.servers.client import Load, get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, plain
from tests.servers.udp import UdpListener

APPLICATION = "tests.apps.measured:numbered()"
RECYCLED = 160
"""Requests to workers that end after 20 to 25 each."""

StartGunicorn = Callable[..., Gunicorn]

each_worker_class = pytest.mark.parametrize("worker_class", ["sync", "gthread"])
with_and_without_preload = pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])


def assert_one_timer_for_each_request(server: Gunicorn, load: Load, listener: UdpListener) -> None:
    """Each number has a route of its own, so that a line of `route` belongs to one request."""
    listener.settle()
    logged = {event["number"]: event["request_id"] for event in server.events() if event["msg"] == "answering"}
    timers = listener.counts("route.GET.n")
    assert set(timers.values()) == {1}, "no request has two timers"
    assert set(timers) == {f"route.GET.n{number}.200" for number in logged}, server.output()[-5000:]
    assert {number: answer.request_id for number, answer in load.answers.items()}.items() <= logged.items()
    assert {answer.status for answer in load.answers.values()} == {200}


@each_worker_class
@with_and_without_preload
def test_every_answer_before_sigterm_has_its_timer_once(
    gunicorn: StartGunicorn, udp_listener: UdpListener, worker_class: str, preload: bool
) -> None:
    server = gunicorn(
        APPLICATION, worker_class=worker_class, preload=preload, env={"STATSD_ADDRESS": udp_listener.address}
    )
    load = Load(lambda number: f"{server.url}/n/{number}", range(NUMBERS)).start()
    wait_until(lambda: len(load.answers) > NUMBERS / 4, "a quarter of the answers")
    server.terminate()
    load.join()
    assert load.unanswered, "the signal came while clients were asking"
    assert_one_timer_for_each_request(server, load, udp_listener)


@each_worker_class
@with_and_without_preload
def test_every_answer_of_recycled_workers_has_its_timer_once(
    gunicorn: StartGunicorn, udp_listener: UdpListener, worker_class: str, preload: bool
) -> None:
    server = gunicorn(
        APPLICATION,
        worker_class=worker_class,
        preload=preload,
        max_requests=20,
        max_requests_jitter=5,
        env={"STATSD_ADDRESS": udp_listener.address},
    )
    load = Load(lambda number: f"{server.url}/n/{number}", range(RECYCLED)).start().join()
    server.terminate()
    assert len(load.answers) == RECYCLED
    assert len({answer.body for answer in load.answers.values()}) >= RECYCLED / 25, "workers were recycled"
    assert_one_timer_for_each_request(server, load, udp_listener)


def test_what_is_recorded_before_the_fork_is_sent_once(gunicorn: StartGunicorn, udp_listener: UdpListener) -> None:
    server = gunicorn(APPLICATION, preload=True, workers=3, env={"STATSD_ADDRESS": udp_listener.address})
    server.terminate()
    udp_listener.settle()
    assert list(udp_listener.counts("start.of.").values()) == [1]


def test_a_killed_worker_loses_at_most_what_the_last_interval_held(
    gunicorn: StartGunicorn, udp_listener: UdpListener
) -> None:
    """SIGKILL leaves no time to send: what was recorded since the last sending, of about a second, is lost."""
    server = gunicorn(APPLICATION, workers=1, env={"STATSD_ADDRESS": udp_listener.address})
    (worker,) = server.children()
    early = Load(lambda number: f"{server.url}/n/{number}", range(50)).start().join()
    time.sleep(1.5)
    late = Load(lambda number: f"{server.url}/n/{number}", range(50, 60)).start().join()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.children() - {worker}, "another worker")
    after = Load(lambda number: f"{server.url}/n/{number}", range(60, 100)).start().join()
    server.terminate()
    udp_listener.settle()
    assert (len(early.answers), len(late.answers), len(after.answers)) == (50, 10, 40)
    timers = udp_listener.counts("route.GET.n")
    assert set(timers.values()) == {1}
    assert {f"route.GET.n{number}.200" for number in (*early.answers, *after.answers)} <= set(timers)


@with_and_without_preload
def test_stats_json_holds_the_totals_of_the_worker_that_answers(gunicorn: StartGunicorn, preload: bool) -> None:
    server = gunicorn(APPLICATION, worker_class="sync", preload=preload, env={"STATS_VIEW": "1"})
    answered: Counter[str] = Counter()
    totals: dict[str, int] = {}

    def both_workers_told() -> bool:
        load = Load(lambda number: f"{server.url}/n/{number}", range(20)).start().join()
        answered.update(answer.body.decode() for answer in load.answers.values())
        for _ in range(10):
            answer = get(f"{server.url}/stats.json")
            assert answer is not None
            stats = answer.json()
            if "pid" in stats["gauges"]:
                routes = [total["nb"] for key, total in stats["timers"].items() if key.startswith("route/GET/n")]
                totals[str(stats["gauges"]["pid"])] = sum(routes)
        return len(totals) == 2 and totals == answered

    wait_until(both_workers_told, "stats.json of both workers")


@each_worker_class
@with_and_without_preload
def test_each_worker_has_its_identity_and_sends_each_span_once(
    gunicorn: StartGunicorn, otlp: OtlpReceiver, worker_class: str, preload: bool
) -> None:
    server = gunicorn(
        APPLICATION,
        worker_class=worker_class,
        preload=preload,
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url, "OTEL_METRIC_EXPORT_INTERVAL": "200"},
    )
    wait_until(lambda: len(otlp.instances) >= 2, "both workers have begun to send")
    load = Load(lambda number: f"{server.url}/n/{number}", range(200)).start().join()
    time.sleep(0.5)
    server.terminate()
    answered = Counter(int(answer.body) for answer in load.answers.values())
    assert len(answered) == 2
    assert answered.total() == 200

    spans = [
        (received, plain(received.item.attributes))
        for received in otlp.spans
        if received.item.name.startswith("GET /n/")
    ]
    assert Counter(int(span["test.pid"]) for _, span in spans) == answered
    assert len({received.item.span_id for received, _ in spans}) == 200
    identities = {(span["test.pid"], received.instance) for received, span in spans}
    assert len(identities) == len({instance for _, instance in identities}) == 2

    points: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    pids: set[tuple[int, str]] = set()
    for received in otlp.metrics:
        metric: Metric = received.item
        if metric.name == "http.server.request.duration":
            for point in metric.histogram.data_points:
                if route := str(plain(point.attributes).get("http.route", "")):
                    found = (point.time_unix_nano, point.start_time_unix_nano, point.count)
                    points[received.instance, route].append(found)
        elif metric.name == "pid":
            pids |= {(int(point.as_int or point.as_double), received.instance) for point in metric.gauge.data_points}
    assert pids == identities, "metrics and spans of a worker have one identity"
    routes = Counter(route for _, route in points if route.startswith("/n/"))
    assert set(routes.values()) == {1}, "a request is counted by one worker"
    assert len(routes) == 200
    for history in points.values():
        times = [time_ for time_, _, _ in history]
        assert len(set(times)) == len(times), "no point comes twice"
        assert len({start for _, start, _ in history}) == 1, "a cumulative point keeps its start"
    assert {history[-1][2] for (_, route), history in points.items() if route.startswith("/n/")} == {1}


@with_and_without_preload
def test_counts_of_other_libraries_are_each_workers_and_reach_both_servers(
    gunicorn: StartGunicorn, udp_listener: UdpListener, otlp: OtlpReceiver, preload: bool
) -> None:
    """Made once before the fork or once in each of two workers; then one for each request."""
    server = gunicorn(
        "tests.apps.measured:foreign()",
        worker_class="sync",
        preload=preload,
        env={"STATSD_ADDRESS": udp_listener.address, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url},
    )
    load = Load(lambda number: f"{server.url}/count/{number}", range(60)).start().join()
    server.terminate()
    udp_listener.settle()
    assert len(load.answers) == 60
    expected = 60 + 5 * (1 if preload else 2)
    assert sum(int(line.split(":")[1].split("|")[0]) for line in udp_listener.lines() if "foreign" in line) == expected
    last: dict[str, int] = {}
    for received in otlp.metrics:
        if received.item.name == "foreign":
            assert received.scope == "another library"
            (point,) = received.item.sum.data_points
            last[received.instance] = point.as_int
    assert sum(last.values()) == expected, last
