"""`c2cotel tap`: a statsd server that only prints what it is sent."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections import Counter
from typing import Any

import click
from opentelemetry.exporter.statsd import parse_endpoint

from c2cotel.tap.lines import TYPES, BadLine, Line, decode
from c2cotel.tap.table import Table

# The largest datagram that UDP carries.
_LARGEST = 65535
_RENEWAL = 1.0
"""Seconds between two tables on a terminal."""
# Asked of the system, which may grant less: a burst must wait here while the lines before it are printed.
_RECEIVE_BUFFER = 8 * 1024 * 1024


@click.command()
@click.option(
    "--bind", default="127.0.0.1:8125", show_default=True, metavar="[HOST:]PORT", help="Port 0 takes a free one."
)
@click.option("--once", is_flag=True, help="End after the first datagram.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each line.")
@click.option("--table", "as_table", is_flag=True, help="Print one row for each metric, at the end.")
@click.pass_context
def command(ctx: click.Context, bind: str, once: bool, as_json: bool, as_table: bool) -> None:
    """Print the statsd lines that arrive on a UDP port.

    Every line is checked against the grammar that all statsd servers understand. Good lines go to the standard output;
    bad ones, with the reason, to the standard error. Ends at Ctrl-C with a summary; the exit code is 1 if any line was
    bad. With --table on a terminal, the table is renewed each second.
    """
    if as_json and as_table:
        raise click.UsageError("--json prints lines, --table adds them up: expected one of them")
    table = Table()
    good: Counter[str] = Counter()
    bad = 0
    renewal = 0.0
    with _listen(bind) as listener:
        if as_table and sys.stdout.isatty():
            listener.settimeout(_RENEWAL)
        # Also from the background of a script, where the shell has the interrupt ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            click.echo(f"Listening for statsd lines on UDP {_address(listener.getsockname())}, Ctrl-C ends.", err=True)
            while True:
                lines = _received(listener)
                for line in lines:
                    if isinstance(line, Line):
                        good[line.type] += 1
                        table.add(line)
                        if not as_table:
                            click.echo(_as_json(line) if as_json else _readable(line))
                    else:
                        bad += 1
                        click.echo(_bad_as_json(line) if as_json else _bad_readable(line), err=True)
                if once and lines:
                    break
                if listener.gettimeout() is not None and time.monotonic() >= renewal:
                    click.clear()
                    _show(table)
                    renewal = time.monotonic() + _RENEWAL
        except KeyboardInterrupt:
            # The terminal has put "^C" there.
            click.echo(err=True)
    if as_table:
        _show(table)
    click.echo(_summary(good, bad), err=True)
    ctx.exit(1 if bad else 0)


def _received(listener: socket.socket) -> list[Line | BadLine]:
    """The lines of the next datagram; none when a table is to be renewed before it comes."""
    try:
        return decode(listener.recv(_LARGEST))
    except TimeoutError:
        return []


def _show(table: Table) -> None:
    for row in table:
        click.echo(_printable(row))


def _listen(bind: str) -> socket.socket:
    if bind.isascii() and bind.isdigit():  # a port alone
        bind = f"127.0.0.1:{bind}"
    # The endpoint of a sender cannot have port 0; that of a listener can.
    named = bind.removesuffix(":0")
    try:
        endpoint = parse_endpoint(named)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--bind") from None
    if endpoint.scheme != "udp":
        raise click.BadParameter(f"{bind!r}: only UDP is listened to, such as 127.0.0.1:8125", param_hint="--bind")
    port = endpoint.port if named == bind else 0
    try:
        # The first address: a name that means two has its listener on one, and that one is printed.
        family, kind, protocol, _, address = socket.getaddrinfo(endpoint.host, port, type=socket.SOCK_DGRAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise click.ClickException(f"cannot listen on {bind}: {error.strerror or error}") from None
    return listener


def _address(name: tuple[Any, ...]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _readable(line: Line) -> str:
    """``timer  c2c.route.GET.hello.200  12 ms  route=hello``, escaped so that it cannot steer a terminal."""
    value = f"{line.value} ms" if line.type == "ms" else line.value
    rate = [] if line.rate is None else [f"@{line.rate}"]
    tags = [f"{key}={value}" for key, value in line.tags]
    return _printable("  ".join([f"{TYPES[line.type]:<12}", line.name, value, *rate, *tags]))


def _as_json(line: Line) -> str:
    fields: dict[str, object] = {
        "name": line.name,
        "type": line.type,
        "value": line.value if line.type == "s" else line.number,
    }
    if line.type == "g" and line.value[0] in "+-":
        fields["relative"] = True
    if line.rate is not None:
        fields["rate"] = float(line.rate)
    return json.dumps({**fields, "tags": dict(line.tags)})


def _bad_readable(line: BadLine) -> str:
    return f"bad line: {_printable(line.reason)}: {_printable(line.text)}"


def _bad_as_json(line: BadLine) -> str:
    return json.dumps({"bad": line.text, "reason": line.reason})


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _summary(good: Counter[str], bad: int) -> str:
    kinds = ", ".join(_count(good[kind], name) for kind, name in TYPES.items() if good[kind])
    return _count(sum(good.values()), "line") + (f" ({kinds})" if kinds else "") + f", {_count(bad, 'bad line')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
