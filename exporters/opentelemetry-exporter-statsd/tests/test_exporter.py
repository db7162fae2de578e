"""The exporter as the SDK and an application use it."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.statsd import StatsdEnvironmentMetricExporter, StatsdMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData

README = Path(__file__).parents[1] / "README.md"

AUTOCONFIGURED = """
from opentelemetry import metrics
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

_OTelSDKConfigurator().configure()
histogram = metrics.get_meter("m").create_histogram("lat", unit="ms")
for number in range(1000):
    histogram.record(number / 8, {"k": "v"})
metrics.get_meter_provider().shutdown()
"""


def run(script: str, **environ: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    subprocess.run([sys.executable, "-W", "error", "-c", script], env={**clean, **environ}, check=True, timeout=30)


def test_the_environment_makes_an_exact_exporter(server: Any) -> None:
    run(
        AUTOCONFIGURED,
        OTEL_METRICS_EXPORTER="statsd",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_EXPORTER_STATSD_ENDPOINT=server.endpoint,
        OTEL_EXPORTER_STATSD_PREFIX="shop",
        OTEL_EXPORTER_STATSD_TAGS="env=prod",
        OTEL_EXPORTER_STATSD_MAX_PACKET="512",
    )
    datagrams = server.datagrams()
    lines = b"\n".join(datagrams).decode().split("\n")
    assert lines == [f"shop.lat:{number / 8:g}|ms|#env:prod,k:v" for number in range(1000)]
    assert 400 < max(map(len, datagrams)) <= 512


def test_the_script_of_the_readme_runs(server: Any) -> None:
    script = README.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert "localhost:8125" in script
    run(script.replace("localhost:8125", server.endpoint))
    assert server.lines() == ["shop.checkout.duration:123.4|ms|#method:card"]


def test_an_export_never_raises(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def send(self, datagrams: Any) -> bool:
            raise RuntimeError("no network")

        def close(self) -> None:
            raise RuntimeError("no network")

    exporter = StatsdMetricExporter(transport=Broken())
    for _ in range(3):
        assert exporter.export(MetricsData([])) is MetricExportResult.FAILURE
    assert caplog.text.count("(logged once)") == 1
    assert exporter.export(None) is MetricExportResult.FAILURE  # type: ignore[arg-type]
    exporter.shutdown()
    assert caplog.text.count("no network") >= 2


def test_shutdown_may_come_twice_and_an_export_after_it_fails_quietly(application: Any) -> None:
    app = application()
    app.meter.create_histogram("h", unit="ms").record(1)
    app.exporter.shutdown(timeout=1)
    app.exporter.shutdown()
    assert app.exporter.export(MetricsData([])) is MetricExportResult.FAILURE
    assert app.flush() == []
    assert not app.exporter.force_flush()


def test_an_unreachable_server_is_a_failed_export_not_an_exception(application: Any) -> None:
    app = application()
    app.server.close()
    app.meter.create_counter("c").add(1)
    app.provider.force_flush()
    data = None

    def keep(metrics_data: Any, **_: Any) -> MetricExportResult:
        nonlocal data
        data = metrics_data
        return MetricExportResult.SUCCESS

    app.meter.create_counter("c").add(1)
    export, app.exporter.export = app.exporter.export, keep
    app.provider.force_flush()
    assert export(data) is MetricExportResult.FAILURE


def test_an_interval_that_fails_does_not_stop_the_next_one(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = application()
    histogram = app.meter.create_histogram("h", unit="ms")
    pack = "opentelemetry.exporter.statsd._exporter.pack"
    with monkeypatch.context() as patch:
        patch.setattr(pack, lambda *_: 1 / 0)
        histogram.record(1)
        app.flush()
    histogram.record(2)
    assert app.flush() == ["h:2|ms"]


def test_a_child_forked_in_the_middle_of_an_export_exports(server: Any) -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow:
        def send(self, datagrams: Any) -> bool:
            inside.set()
            return go_on.wait(10)

        def close(self) -> None:
            """Nothing to close."""

    exporter = StatsdMetricExporter(transport=Slow())
    thread = threading.Thread(target=exporter.export, args=(MetricsData([]),))
    thread.start()
    inside.wait(10)
    child = os.fork()
    if not child:
        go_on.set()
        done = exporter.export(MetricsData([])) is MetricExportResult.SUCCESS
        os._exit(0 if done else 1)
    _, status = os.waitpid(child, 0)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_constructor_asks_no_name_server_and_opens_no_socket() -> None:
    StatsdMetricExporter("no.such.host.invalid:8125").shutdown()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"flavor": "librato"}, "'librato'.*datadog, etsy, collectd, influx, graphite, signalfx"),
        ({"flavor": "etsy", "distributions": True}, "distributions: .*'etsy'"),
        ({"flavor": "influx", "pack_values": True}, "pack_values: .*'influx'"),
        ({"flavor": "collectd", "sample_above": 10}, "sample_above: .*'collectd'"),
        ({"sample_above": 0}, "sample_above 0: expected at least 1"),
        ({"max_packet": 0}, "max_packet 0"),
        ({"endpoint": "::1:8125"}, "'::1:8125'"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(options: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        StatsdMetricExporter(**options)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("OTEL_EXPORTER_STATSD_ENDPOINT", "::1:8125", "brackets"),
        ("OTEL_EXPORTER_STATSD_FLAVOR", "librato", "datadog, etsy, collectd, influx"),
        ("OTEL_EXPORTER_STATSD_TAGS", "a", "key=value"),
        ("OTEL_EXPORTER_STATSD_MAX_PACKET", "-5", "bytes"),
        ("OTEL_EXPORTER_STATSD_MAX_PACKET", "70000", "65507"),
    ],
)
def test_a_variable_that_cannot_be_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=reason) as caught:
        StatsdEnvironmentMetricExporter()
    assert variable in str(caught.value)
    assert value in str(caught.value)


def test_empty_variables_count_as_unset_and_arguments_win(monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    for name in ("ENDPOINT", "PREFIX", "FLAVOR", "TAGS", "MAX_PACKET"):
        monkeypatch.setenv(f"OTEL_EXPORTER_STATSD_{name}", "")
    StatsdEnvironmentMetricExporter().shutdown()
    monkeypatch.setenv("OTEL_EXPORTER_STATSD_ENDPOINT", "::1:8125")
    with pytest.raises(ValueError, match="brackets"):
        StatsdEnvironmentMetricExporter(prefix="x")


def test_tags_of_the_environment_may_be_percent_encoded(monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    run(
        AUTOCONFIGURED.replace("range(1000)", "range(1)"),
        OTEL_METRICS_EXPORTER="statsd",
        OTEL_EXPORTER_STATSD_ENDPOINT=server.endpoint,
        OTEL_EXPORTER_STATSD_TAGS="team=a%2Fb, zone = eu ,",
        OTEL_EXPORTER_STATSD_FLAVOR="DataDog",
    )
    assert server.lines() == ["lat:0|ms|#k:v,team:a/b,zone:eu"]
