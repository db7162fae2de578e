"""The kit for tests of applications: recorded lines, measurements and spans, a clock, and fixtures for pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pyramid.request import Request

from c2cotel import stats
from c2cotel.otel import sdk_private
from c2cotel.runtime.telemetry import running
from c2cotel.testing import Measurement, ScriptedClock, recording
from tests.apps.application import Application, view
from tests.servers.local import ROOT, environment

pytest_plugins = ["pytester"]


def hello(request: Request) -> dict[str, str]:
    with stats.timer_context(["greet"], {"who": "world"}):
        return {"hello": "world"}


def test_every_line_and_measurement_of_an_application_is_recorded() -> None:
    clock = ScriptedClock()
    with recording(clock) as recorded:

        def slow(request: Request) -> dict[str, str]:
            with stats.timer_context(["greet"], {"who": "world"}):
                clock.advance(0.0125)
            stats.increment_counter(["greetings"], 2)
            return {}

        Application({"c2c.statsd_prefix": "shop"}, view(slow, renderer="json")).http.get("/hello")
        assert set(recorded.lines) == {
            "shop.greet:12|ms|#who:world",
            "shop.greetings:2|c",
            "shop.route.GET.slow.200:12|ms",
            "shop.render.GET.slow.200:1|ms",
        }
        user = [item for item in recorded.measurements if "." not in item.name]
        assert user == [
            Measurement("greet", "timer", 0.0125, {"who": "world"}),
            Measurement("greetings", "counter", 2, {}),
        ]
        (request,) = [item for item in recorded.measurements if item.name == "http.server.request.duration"]
        assert request.attributes["http.route"] == "/hello"
        recorded.clear()
        assert (recorded.lines, recorded.measurements, list(recorded.spans)) == ([], [], [])


def test_spans_are_recorded_without_secrets() -> None:
    with recording() as recorded:
        Application(configure=view(hello, renderer="json")).http.get("/hello?secret=s3cr3t")
        spans = {span.name: span for span in recorded.spans}
    assert set(spans) == {"GET /hello", "greet", "render json"}
    parent = spans["greet"].parent
    assert parent is not None
    assert parent.span_id == spans["GET /hello"].context.span_id
    assert "s3cr3t" not in str(dict(spans["GET /hello"].attributes or {}))


def test_recording_keeps_everything_here_and_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    before = dict(os.environ)
    with recording() as recorded:
        app = Application(configure=view(hello, renderer="json"))
        app.http.get("/hello")
        assert os.environ["STATSD_ADDRESS"] == recorded.address
        assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ
    assert recorded.lines
    assert app.telemetry.closed
    assert dict(os.environ) == before
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)


def test_a_provider_of_the_applications_own_is_joined() -> None:
    own = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(own)
    try:
        with recording() as recorded:
            Application(configure=view(hello, renderer="json")).http.get("/hello")
            assert len(recorded.spans) == 3
            assert trace.get_tracer_provider() is own
        assert trace.get_tracer_provider() is own
    finally:
        sdk_private.forget_global_providers(own, None)


def test_an_application_that_runs_already_is_an_error_that_says_what_to_do() -> None:
    app = Application()
    assert running() is app.telemetry
    with pytest.raises(RuntimeError, match=r"call setup\(\) inside of recording\(\)"), recording():
        pytest.fail("must not be reached")
    app.finish()
    assert running() is None


# ---- the plugin, in an application's own tests ----

APPLICATION = """
import pytest
from pyramid.config import Configurator
from webtest import TestApp
import c2cotel
from c2cotel import stats

def hello(request):
    with stats.timer_context(["greet"]):
        return {"hello": "world"}

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        c2cotel.setup(config)
        config.add_route("hello", "/hello")
        config.add_view(hello, route_name="hello", renderer="json")
    return config.make_wsgi_app()
"""
INI = """
[pytest]
filterwarnings =
    error
    ignore:pkg_resources is deprecated:UserWarning
    ignore:Deprecated call to .pkg_resources:DeprecationWarning
    ignore:datetime.datetime.utcnow:DeprecationWarning
    ignore:.cgi. is deprecated:DeprecationWarning
"""


def run(pytester: pytest.Pytester, tests: str, ini: str = "") -> pytest.RunResult:
    pytester.makepyfile(application=APPLICATION, test_application=tests)
    pytester.makeini(INI + ini)
    return pytester.runpytest_subprocess("-p", "c2cotel.pytest_plugin", "-v")


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Of the plugins installed here, only ours: it may be installed, or its clone be on the path."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return pytester


def test_the_fixtures_record_each_test_apart(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        from webtest import TestApp
        from application import main

        @pytest.fixture
        def app(c2cotel_recorded):
            return TestApp(main({}))

        @pytest.mark.parametrize("times", [1, 2])
        def test_lines(app, c2cotel_recorded, times):
            for _ in range(times):
                app.get("/hello")
            assert len(c2cotel_recorded.lines) == 3 * times
            assert [span.name for span in c2cotel_recorded.spans].count("GET /hello") == times

        def test_time(c2cotel_clock, app, c2cotel_recorded):
            app.get("/hello")
            assert {item.value for item in c2cotel_recorded.measurements} == {0}
        """,
    )
    result.assert_outcomes(passed=3)


def test_an_application_made_once_a_session_is_recorded_with_that_scope(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        from webtest import TestApp
        from application import main

        @pytest.fixture(scope="session")
        def app(c2cotel_recorded):
            return TestApp(main({}))

        @pytest.fixture(autouse=True)
        def cleared(c2cotel_recorded):
            c2cotel_recorded.clear()

        @pytest.mark.parametrize("times", [1, 2])
        def test_lines(app, c2cotel_recorded, times):
            for _ in range(times):
                app.get("/hello")
            assert len(c2cotel_recorded.lines) == 3 * times
        """,
        "c2cotel_scope = session\n",
    )
    result.assert_outcomes(passed=2)


def test_who_does_not_use_the_fixtures_pays_nothing(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import sys

        def test_nothing_is_imported():
            heavy = ("opentelemetry", "pyramid", "c2cotel.testing", "c2cotel._setup", "click", "orjson")
            assert [name for name in heavy if name in sys.modules] == []
        """,
    )
    result.assert_outcomes(passed=1)


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    declared = re.search(
        r"\[project.entry-points.pytest11\]\n(\w+) = \"([\w.]+)\"", (ROOT / "pyproject.toml").read_text()
    )
    assert declared is not None
    assert declared.groups() == ("c2cotel", "c2cotel.pytest_plugin")


def test_importing_the_kit_costs_next_to_nothing(tmp_path: Path) -> None:
    code = "import sys, c2cotel.testing; print([name for name in ('opentelemetry', 'pyramid') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"
