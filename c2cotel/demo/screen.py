"""What the demo says, in plain sentences; readable without colours."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

import click

from c2cotel.demo.events import Span
from c2cotel.demo.evidence import Evidence
from c2cotel.demo.server import BASE_PATH, WORKERS
from c2cotel.tap.lines import Line

_MARGIN = "  "
_NAME_WIDTH = 26
_ATTRIBUTES = {"http.route": "http.route=", "http.response.status_code": "status "}
_SERVER_ERROR = 500
_OF_INTEREST = ("C2C_", "OTEL_", "STATSD_")


class Screen:
    """Prints to the standard output, failures to the standard error.

    Args:
        url: of the application.
        environ: the application's environment.
    """

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self._url = url
        self._environ = environ
        self._coloured = sys.stdout.isatty()
        drawn = (sys.stdout.encoding or "").lower().startswith("utf")
        self._branch = ("├─ ", "│  ") if drawn else ("|- ", "|  ")
        self._last = ("└─ ", "   ") if drawn else ("`- ", "   ")

    def greeting(self) -> None:
        """What is started."""
        self._title("A guest book on Pyramid and SQLite, with c2cotel.setup(config) in it")
        self._say(f"gunicorn runs it with {WORKERS} workers at {self._url}/ and with")
        for name in ("STATSD_ADDRESS", "OTEL_EXPORTER_OTLP_ENDPOINT"):
            self._say(f"{_MARGIN}{name}={self._environ[name]}")
        self._say("Both are this demo, which sends the application a few requests a second.")

    def lines_heading(self) -> None:
        """What the lines below it are."""
        self._title("statsd lines, as they arrive")
        self._say(
            "One line for each measurement: requests (route), rendering (render), SQL (sql), "
            "the application's own (guest_book)."
        )

    def line(self, line: Line) -> None:
        """One statsd line, as it was on the wire."""
        name, rest = str(line)[: len(line.name)], str(line)[len(line.name) :]
        self._say(_MARGIN + self._style(name, fg="cyan") + rest)

    def lines_cut(self) -> None:
        """No more are printed."""
        self._say("... and so on: more arrive and are counted below.")

    def metrics(self, names: Iterable[str]) -> None:
        """The same measurements, the other way."""
        listed = ", ".join(sorted(names))
        if listed:
            self._say("The same measurements arrive over OTLP as the metrics")
            self._say(_MARGIN + listed)

    def one_request(self, evidence: Evidence) -> None:
        """The log line and the spans of one request."""
        probe, root = evidence.probe, evidence.root
        assert root is not None  # the caller has seen that all is there
        assert evidence.log_line is not None  # as above
        self._title("One request, in the log and in the trace")
        self._say(f"GET /entries.json was sent with traceparent: {self._marked(probe.traceparent, probe.trace_id)}")
        self._say("Its JSON log line, from c2cotel.logs.JsonLogHandler:")
        self._say(_MARGIN + self._marked(evidence.log_line, probe.trace_id))
        self._say(f"Its spans, as the OTLP receiver got them from the service {root.service}:")
        self._say(f"{_MARGIN}trace {self._marked(probe.trace_id, probe.trace_id)}")
        self._say(f"{_MARGIN}the caller's span {probe.parent_id}")
        self._tree(evidence, [root], "")
        self._say(f"Log line and span have the same trace id, {probe.trace_id}.")

    def others(self, evidence: Evidence) -> None:
        """What is worth seeing of two other requests."""
        if (answer := evidence.identified) is not None and answer.status is not None:
            self._title("Two other requests")
            self._say(f"One was sent with   X-Request-ID: {answer.sent['X-Request-ID']}")
            self._say(f"Its answer brought  X-Request-ID: {answer.received.get('x-request-id', 'nothing')}")
            self._say(f"               and  Server-Timing: {answer.received.get('server-timing', 'nothing')}")
        if evidence.failed is not None:
            self._say("Every third fortune cookie is empty. The span of such a request has its exception:")
            self._say(_MARGIN + self._span(evidence.failed, _NAME_WIDTH))

    def staying(self, seconds: float | None, evidence: Evidence) -> None:
        """Where to look from now on, until the end."""
        self._title("Have a look yourself, Ctrl-C ends" + ("" if seconds is None else f" (or {seconds:g} s)"))
        secret = f"?{urlencode({'secret': self._environ['C2C_SECRET']})}"
        self._say(f"{self._url}{BASE_PATH}/{secret}   the console")
        for what, request_id in (("failed", evidence.failed_id), ("was slow", evidence.slow_id)):
            if request_id is not None:
                self._say(f"{self._url}{BASE_PATH}/requests/{request_id}{secret}   a request that {what}")
        self._say(f"{self._url}/   sign the guest book")
        self._say(f"{self._url}{BASE_PATH}/stats.json   the totals in memory of the worker that answers")

    def summary(self, evidence: Evidence, seconds: float) -> None:
        """One line: what came so far."""
        answered = sum(number for status, number in evidence.requests.items() if status is not None)
        failed = sum(number for status, number in evidence.requests.items() if (status or 0) >= _SERVER_ERROR)
        bad = f" ({len(evidence.bad_lines)} bad)" if evidence.bad_lines else ""
        self._say(
            f"{seconds:4.0f} s: {answered} requests ({failed} failed), {evidence.lines} statsd lines{bad}, "
            f"{evidence.log_lines} log lines, {evidence.spans} spans"
        )

    def verdict(self, evidence: Evidence) -> bool:
        """Whether all three arrived, in words."""
        missing = evidence.missing()
        if not missing:
            self._say(
                f"All three arrived: {evidence.lines} statsd lines, a JSON log line with a trace id, and the span with "
                "that trace id."
            )
            return True
        for text in missing:
            click.echo(f"Did not arrive: {text}.", err=True)
        click.echo("Look at the application's environment:", err=True)
        for name, value in sorted(self._environ.items()):
            if value and name.startswith(_OF_INTEREST):
                click.echo(f"{_MARGIN}{name}={value}", err=True)
        for text in evidence.complaints():
            click.echo(f"The application's log says: {text}", err=True)
        return False

    def failure(self, reason: str, evidence: Evidence) -> None:
        """The application does not run."""
        click.echo(f"Error: {reason}. The last of its output:", err=True)
        for text in evidence.output_tail():
            click.echo(_MARGIN + text, err=True)

    def stopping(self) -> None:
        """The end was asked for."""
        # The terminal may have put "^C" there.
        click.echo()
        self._say("Stopping the application.")

    def _tree(self, evidence: Evidence, spans: list[Span], lead: str) -> None:
        for number, span in enumerate(spans, 1):
            branch, below = self._last if number == len(spans) else self._branch
            self._say(_MARGIN + lead + branch + self._span(span, _NAME_WIDTH - len(lead + branch)))
            self._tree(evidence, evidence.children(span), lead + below)

    def _span(self, span: Span, width: int) -> str:
        facts = [f"span {span.span_id}"]
        facts += [f"{shown}{span.attributes[name]}" for name, shown in _ATTRIBUTES.items() if name in span.attributes]
        facts += [f"exception {name.rpartition('.')[2]}" for name in span.exceptions]
        if span.failed:
            facts.append("ERROR")
        return self._style(f"{span.name:<{width}}", bold=True) + f"{span.milliseconds:8.3f} ms  " + "  ".join(facts)

    def _title(self, text: str) -> None:
        click.echo()
        click.echo(self._style(text, bold=True, fg="green"))

    def _say(self, text: str) -> None:
        click.echo(text)

    def _marked(self, text: str, part: str) -> str:
        return text.replace(part, self._style(part, fg="yellow", bold=True))

    def _style(self, text: str, *, fg: str | None = None, bold: bool | None = None) -> str:
        return click.style(text, fg=fg, bold=bold) if self._coloured else text
