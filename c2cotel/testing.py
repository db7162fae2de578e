"""For tests of applications that use c2cotel: what was measured and traced, and time that the test decides.

pytest has it as fixtures, see `c2cotel.pytest_plugin`; anything else uses `recording`::

    with recording() as recorded:
        app = make_application()  # which calls c2cotel.setup
        app.get("/hello")
        assert [line.partition(":")[0] for line in recorded.lines] == ["route.GET.hello.200"]

Importing this costs next to nothing.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from c2cotel.metrics.recorder import Series
    from c2cotel.runtime.telemetry import Telemetry

_LARGEST = 65_535
"""Bytes of the largest datagram that UDP carries."""

_RECEIVE_BUFFER = 8 * 1024 * 1024


class ScriptedClock:
    """A clock that only moves when told to, for `c2cotel.setup(clock=…)`; each thread has a time of its own.

    ::

        clock = ScriptedClock()
        c2cotel.setup(config, clock=clock)
        with stats.timer_context(["import"]):
            clock.advance(0.25)
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def __call__(self) -> float:
        now: float = getattr(self._local, "now", 0.0)
        return now

    def advance(self, seconds: float) -> None:
        """Move this thread's time on by `seconds`."""
        self._local.now = self() + seconds


@dataclass(frozen=True)
class Measurement:
    """One measurement as it was made, before any exporter rounded or aggregated it.

    Attributes:
        name: OpenTelemetry's; for what the application measures itself, its key joined by dots.
        kind: of the instrument.
        value: seconds for a timer, the increment for a counter.
        attributes: OpenTelemetry's, or the tags of the application.
    """

    name: str
    kind: Literal["timer", "gauge", "counter"]
    value: float
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Recorded:
    """What an application under test has measured and traced since the start, or since `clear`."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415  # slow

        self.exporter = InMemorySpanExporter()
        self._clock = clock
        self._telemetry: Telemetry | None = None
        self._measurements: list[Measurement] = []
        self._lines: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.address = "127.0.0.1:{1}".format(*self._socket.getsockname())

    @property
    def lines(self) -> list[str]:
        """Every statsd line, as it was sent and in that order; timers are whole milliseconds."""
        self._flush()
        return list(self._lines)

    @property
    def measurements(self) -> list[Measurement]:
        """Every measurement, those of one series in their order."""
        if self._telemetry is not None:
            self._telemetry.recorder.drain()
        return list(self._measurements)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Every span that has ended, secrets hidden."""
        from c2cotel.tracing.redact import hide_secrets  # noqa: PLC0415  # slow

        return [hide_secrets(span) for span in self.exporter.get_finished_spans()]

    def clear(self) -> None:
        """Forget everything so far."""
        self._flush()
        self._lines.clear()
        self._measurements.clear()
        self.exporter.clear()

    def attach(self, telemetry: Telemetry) -> None:
        """Record what a telemetry measures; see `c2cotel.runtime.telemetry.Running`."""
        self._telemetry = telemetry
        telemetry.recorder.add(self)
        if self._clock is not None:
            telemetry.clock = self._clock

    def fold(self, series: Series, values: Sequence[float]) -> None:
        """See `c2cotel.metrics.recorder.Sink`."""
        from c2cotel.metrics.instruments import KEY, PRIVATE  # noqa: PLC0415  # slow

        row, attributes = series.instrument, series.attributes
        name = ".".join(map(str, attributes[KEY])) if row.users else row.name
        public = {name: value for name, value in attributes.items() if name not in PRIVATE}
        self._measurements += [Measurement(name, row.kind.value, value, public) for value in values]

    def reset(self) -> None:
        """See `c2cotel.metrics.recorder.Sink`."""
        self._measurements.clear()

    def close(self) -> None:
        """Send what is left, and end the telemetry of the application."""
        if self._telemetry is not None:
            self._telemetry.close()
        self._receive()
        self._socket.close()

    def _flush(self) -> None:
        if self._telemetry is not None:
            self._telemetry.flush()
        self._receive()

    def _receive(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(_LARGEST)
            except OSError:  # nothing more, or closed
                return
            self._lines += datagram.decode().split("\n")


@contextmanager
def recording(clock: Callable[[], float] | None = None) -> Iterator[Recorded]:
    """Record what an application measures and traces that calls `c2cotel.setup` inside.

    At the end its telemetry is closed. Inside, ``STATSD_ADDRESS`` leads here and OpenTelemetry's variables for
    exporters are unset: nothing is sent to where the environment says.

    Args:
        clock: monotonic seconds for everything that is timed, such as a `ScriptedClock`.

    Raises:
        RuntimeError: c2cotel runs already.
    """
    from c2cotel import state  # noqa: PLC0415  # slow
    from c2cotel.runtime.telemetry import Running, running  # noqa: PLC0415  # slow

    if running() is not None:
        raise RuntimeError(
            "c2cotel runs already in this process: call setup() inside of recording(), or close() its Telemetry first "
            "(fixtures: give c2cotel_recorded the scope of the application, by the ini option c2cotel_scope)"
        )
    recorded = Recorded(clock)
    with ExitStack() as stack:
        stack.callback(recorded.close)
        stack.enter_context(_changed(os.environ, recorded.address))
        stack.enter_context(_traced(recorded))
        starting = state.of(Running).starting
        starting.append(recorded.attach)
        stack.callback(starting.remove, recorded.attach)
        yield recorded


@contextmanager
def _changed(environ: MutableMapping[str, str], address: str) -> Iterator[None]:
    before = dict(environ)
    for name in before:
        if name.startswith("OTEL_") and name.endswith(("_EXPORTER", "_ENDPOINT")):
            del environ[name]
    environ["STATSD_ADDRESS"] = address
    try:
        yield
    finally:
        for name in [name for name in environ if name not in before]:
            del environ[name]
        environ.update(before)


@contextmanager
def _traced(recorded: Recorded) -> Iterator[None]:
    """Join the provider that is there, or be it: `setup` then joins ours."""
    from opentelemetry import trace  # noqa: PLC0415  # slow
    from opentelemetry.sdk.trace import TracerProvider, sampling  # noqa: PLC0415  # slow
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415  # slow

    from c2cotel.otel.sdk_private import forget_global_providers  # noqa: PLC0415  # slow

    installed = trace.get_tracer_provider()
    own_provider = None
    if not isinstance(installed, TracerProvider):
        installed = own_provider = TracerProvider(sampler=sampling.ALWAYS_ON, shutdown_on_exit=False)
        trace.set_tracer_provider(own_provider)
    processor = SimpleSpanProcessor(recorded.exporter)
    installed.add_span_processor(processor)
    try:
        yield
    finally:
        processor.shutdown()
        forget_global_providers(own_provider, None)
