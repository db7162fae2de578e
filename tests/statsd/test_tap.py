"""`c2cotel tap`, the command as a process over real sockets, and the reading of lines behind it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2cotel.tap.lines import TYPES, BadLine, Line, decode

# ---- reading lines ------

GOOD = {
    b"a:1|c": Line("a", "1", "c"),
    b"a:1|c\n": Line("a", "1", "c"),
    b"c2c.route.GET.hello.200:12|ms": Line("c2c.route.GET.hello.200", "12", "ms"),
    b"a:0.4|ms": Line("a", "0.4", "ms"),
    b"a:1e-05|ms": Line("a", "1e-05", "ms"),
    b"a:-3.5|g": Line("a", "-3.5", "g"),
    b"a:+3|g": Line("a", "+3", "g"),
    b"a:-2|c": Line("a", "-2", "c"),
    b"a:3|h": Line("a", "3", "h"),
    b"a:3|d": Line("a", "3", "d"),
    b"a:user 12|s": Line("a", "user 12", "s"),
    b"a:1|c|@0.1": Line("a", "1", "c", rate="0.1"),
    b"a:1|c|@1": Line("a", "1", "c", rate="1"),
    b"a:1|c|#k:v": Line("a", "1", "c", tags=(("k", "v"),)),
    b"a:1|c|@0.5|#k:v,l:w": Line("a", "1", "c", rate="0.5", tags=(("k", "v"), ("l", "w"))),
    b"a:1|c|#url:http://x:80/": Line("a", "1", "c", tags=(("url", "http://x:80/"),)),
    "é.€:1|c|#ville:Zürich".encode(): Line("é.€", "1", "c", tags=(("ville", "Zürich"),)),
    b"a,k=v;l=w[m=x]:1|c": Line("a,k=v;l=w[m=x]", "1", "c"),
}


@pytest.mark.parametrize(("datagram", "line"), GOOD.items())
def test_a_line_of_the_grammar_is_read(datagram: bytes, line: Line) -> None:
    assert decode(datagram) == [line]


BAD = {
    b"": "empty line",
    b"hello": "no colon after the name",
    b":1|c": "empty name",
    b"a b:1|c": "' ' in the name",
    b"a|b:1|c": "'|' in the name",
    b"a:1": "no type: nothing like |c after the value",
    b"a:1|": "no type: nothing after the |",
    b"a:1|x": "unknown type 'x', one of c g ms h d s is expected",
    b"a:1|MS": "unknown type 'MS', one of c g ms h d s is expected",
    b"a:1|ms:2|ms": "unknown type 'ms:2', one of c g ms h d s is expected",
    b"a:|c": "empty value",
    b"a:|s": "empty value",
    b"a:one|c": "value 'one' is not a number",
    b"a: 1|c": "value ' 1' is not a number",
    b"a:1_000|c": "value '1_000' is not a number",
    b"a:0x1|c": "value '0x1' is not a number",
    b"a:True|g": "value 'True' is not a number",
    b"a:1:2:3|ms": "value '1:2:3' is not a number",
    "a:٣|c".encode(): "value '٣' is not a number",
    b"a:nan|g": "value 'nan' is not finite",
    b"a:-Infinity|g": "value '-Infinity' is not finite",
    b"a:1e999|g": "value '1e999' is too large for a number",
    b"a:-1|ms": "negative time '-1'",
    b"a:1|c|@": "sample rate '' is not a number",
    b"a:1|c|@0": "sample rate '0' is not above 0 and at most 1",
    b"a:1|c|@2": "sample rate '2' is not above 0 and at most 1",
    b"a:1|c|@nan": "sample rate 'nan' is not finite",
    b"a:1|c|@0.1|@0.1": "two sample rates",
    b"a:1|c|": "unknown section '', |@rate or |#tags is expected",
    b"a:1|c|T1700000000": "unknown section 'T1700000000', |@rate or |#tags is expected",
    b"a:1|c|#k:v|@0.1": "'@0.1' after the tags, which must be last",
    b"a:1|c|#k:v|#l:w": "'#l:w' after the tags, which must be last",
    b"a:1|c|#": "no tags after |#",
    b"a:1|c|#k:v,": "empty tag",
    b"a:1|c|#:v": "tag ':v' without a key",
    b"a:1|c|#k": "tag 'k' without a value",
    b"a:1|c|#k:": "tag 'k' without a value",
    b"a:1|c|#k:v,k:w": "tag 'k' twice",
    b"a\xff:1|c": "not UTF-8: byte 0xff",
    b"a:1|c\r\n": "control character '\\r'",
    b"a\x1b[2J:1|c": "control character '\\x1b'",
    b"a:x\x00|s": "control character '\\x00'",
}


@pytest.mark.parametrize(("datagram", "reason"), BAD.items())
def test_a_bad_line_gives_its_reason(datagram: bytes, reason: str) -> None:
    (line,) = decode(datagram)
    assert isinstance(line, BadLine)
    assert line.reason == reason


def test_a_bad_line_spoils_no_other_of_its_datagram() -> None:
    assert decode(b"\n") == [], "as the doctor asks whether a server is there"
    assert decode(b"a:1|c\n\nb:2|g\n") == [Line("a", "1", "c"), BadLine("", "empty line"), Line("b", "2", "g")]


def test_a_value_is_an_integer_if_it_was_written_as_one() -> None:
    assert repr(Line("a", "12", "c").number) == "12"
    assert repr(Line("a", "-12.0", "g").number) == "-12.0"
    assert Line("a", "9007199254740993", "c").number == 9007199254740993


@given(st.binary() | st.text(alphabet="ab:|@#,.0123456789cgmshd-+e\n \r", max_size=40).map(str.encode))
def test_any_bytes_are_read_without_an_error(datagram: bytes) -> None:
    read = decode(datagram)
    assert len(read) == (0 if datagram == b"\n" else datagram.removesuffix(b"\n").count(b"\n") + 1)
    for raw, line in zip(datagram.split(b"\n"), read, strict=False):
        if isinstance(line, Line):
            assert str(line).encode() == raw
        else:
            assert line.reason


def words(forbidden: str) -> st.SearchStrategy[str]:
    """Texts without control characters, without what means nothing in UTF-8, and without the forbidden characters."""
    characters = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters=forbidden)
    return st.text(characters, min_size=1)


names = words(":|").filter(lambda name: not any(map(str.isspace, name)))
numbers = st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
durations = st.floats(min_value=0, allow_infinity=False).map(repr)
rates = st.none() | st.floats(min_value=0, exclude_min=True, max_value=1).map(repr)
tags = st.dictionaries(words(":|,"), words("|,"), max_size=4).map(lambda pairs: tuple(pairs.items()))
lines = (
    st.builds(Line, name=names, value=numbers, type=st.sampled_from("cghd"), rate=rates, tags=tags)
    | st.builds(Line, name=names, value=durations, type=st.just("ms"), rate=rates, tags=tags)
    | st.builds(Line, name=names, value=words("|"), type=st.just("s"), rate=rates, tags=tags)
)


@given(st.lists(lines, min_size=1, max_size=5))
def test_every_line_that_the_grammar_accepts_is_read_back_as_itself(sent: list[Line]) -> None:
    assert decode("\n".join(map(str, sent)).encode()) == sent


# ---- the command ------

TAP = [sys.executable, "-m", "c2cotel.cli", "tap"]


class Tap:
    """A running tap: something to send to, and what it printed once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.process = process
        self.greeting = process.stderr.readline()
        found = re.search(r"UDP \[?(.*?)\]?:([0-9]+),", self.greeting)
        assert found, self.greeting
        self.address = (found[1], int(found[2]))

    def send(self, datagram: bytes) -> None:
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(datagram, self.address)

    def end(self, number: signal.Signals | None = None) -> tuple[int, list[str], list[str]]:
        """Wait for the end, after a signal if one is given: exit code, lines of the output and of the error output."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out.splitlines(), err.splitlines()


@contextmanager
def running_tap(*arguments: str) -> Iterator[Tap]:
    process = subprocess.Popen(
        [*TAP, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Tap(process)
        finally:
            process.kill()


def test_lines_are_printed_as_they_arrive_and_summed_up_at_ctrl_c() -> None:
    with running_tap("--bind", "127.0.0.1:0") as tap:
        tap.send(b"c2c.route.GET.hello.200:12|ms\nc2c.hits:3|c|@0.5|#host:a,zone:b\n")
        assert tap.process.stdout is not None
        first = tap.process.stdout.readline()
        second = tap.process.stdout.readline()
        code, out, err = tap.end(signal.SIGINT)
    assert first.split() == ["timer", "c2c.route.GET.hello.200", "12", "ms"]
    assert second.split() == ["counter", "c2c.hits", "3", "@0.5", "host=a", "zone=b"]
    assert (code, out) == (0, [])
    assert err[-1] == "2 lines (1 counter, 1 timer), 0 bad lines"


def test_a_bad_line_is_an_error_with_its_reason_and_exit_code_1() -> None:
    with running_tap("--bind", "127.0.0.1:0", "--once") as tap:
        tap.send(b"a:1|c\nb:\x1b]0;owned|c\nc:1|zz")
        code, out, err = tap.end()
    assert code == 1
    assert [line.split() for line in out] == [["counter", "a", "1"]]
    assert err == [
        "bad line: control character '\\x1b': b:\\x1b]0;owned|c",
        "bad line: unknown type 'zz', one of c g ms h d s is expected: c:1|zz",
        "1 line (1 counter), 2 bad lines",
    ]


def test_json_is_one_object_for_each_line() -> None:
    with running_tap("--bind", "127.0.0.1:0", "--once", "--json") as tap:
        tap.send(b"t:1.5|ms|@0.1|#k:v\ng:-3|g\ns:x|s\nbad")
        code, out, err = tap.end()
    assert code == 1
    assert [json.loads(line) for line in out] == [
        {"name": "t", "type": "ms", "value": 1.5, "rate": 0.1, "tags": {"k": "v"}},
        {"name": "g", "type": "g", "value": -3, "relative": True, "tags": {}},
        {"name": "s", "type": "s", "value": "x", "tags": {}},
    ]
    assert json.loads(err[0]) == {"bad": "bad", "reason": "no colon after the name"}


def test_a_table_has_one_row_for_each_metric() -> None:
    sent = b"t:10|ms\nt:20|ms\nt:4|ms|#k:v\nc:2|c\nc:3|c|@0.5\ng:7|g\ng:-1|g\ns:x|s\ns:y|s\ns:x|s\nbad"
    with running_tap("--bind", "127.0.0.1:0", "--once", "--table") as tap:
        tap.send(sent)
        code, out, err = tap.end()
    assert code == 1
    assert [line.split() for line in out] == [
        ["type", "metric", "lines", "sum", "least", "mean", "most", "last"],
        ["counter", "c", "2", "8", "3"],
        ["gauge", "g", "2", "-1", "7", "-1"],
        ["set", "s", "3", "2", "distinct", "x"],
        ["timer", "t", "2", "30", "10", "15", "20", "20"],
        ["timer", "t", "k=v", "1", "4", "4", "4", "4", "4"],
    ]
    assert err == [
        "bad line: no colon after the name: bad",
        "10 lines (2 counters, 2 gauges, 3 timers, 3 sets), 1 bad line",
    ]


def test_a_table_on_a_terminal_is_renewed_while_lines_arrive() -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*TAP, "--bind", "127.0.0.1:0", "--table"],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(terminal)
        tap = Tap(process)
        tap.send(b"first:10|ms")
        seen = b""
        while b"first" not in seen:
            seen += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    os.close(master)
    assert b"\x1b[2J" in seen


def test_lines_and_a_table_at_once_are_an_error_of_use() -> None:
    assert run_tap("--json", "--table").returncode == 2


@pytest.mark.parametrize("kind", TYPES)
def test_a_line_of_every_type_is_named_in_the_summary(kind: str) -> None:
    with running_tap("--bind", "127.0.0.1:0", "--once") as tap:
        tap.send(f"a:1|{kind}".encode())
        code, _, err = tap.end()
    assert (code, err) == (0, [f"1 line (1 {TYPES[kind]}), 0 bad lines"])


def test_a_port_alone_is_one_of_this_host() -> None:
    with running_tap("--bind", "0", "--once") as tap:
        assert tap.address[0] == "127.0.0.1"
        tap.send(b"a:1|c")
        assert tap.end()[0] == 0


def test_it_listens_on_ipv6() -> None:
    with running_tap("--bind", "[::1]:0", "--once") as tap:
        assert tap.address[0] == "::1"
        tap.send(b"a:1|c")
        assert tap.end()[0] == 0


def test_a_terminated_tap_ends_as_an_interrupted_one() -> None:
    with running_tap("--bind", "127.0.0.1:0") as tap:
        code, _, err = tap.end(signal.SIGTERM)
    assert (code, err[-1]) == (0, "0 lines, 0 bad lines")


def run_tap(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TAP, *arguments], capture_output=True, text=True, timeout=20, check=False)


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        ended = run_tap("--bind", address)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: cannot listen on {address}: Address already in use\n"


def test_an_address_that_is_none_is_an_error_of_use() -> None:
    ended = run_tap("--bind", "::1:8125")
    assert ended.returncode == 2
    assert "an IPv6 address needs brackets" in ended.stderr
    ended = run_tap("--bind", "tcp://127.0.0.1:8125")
    assert ended.returncode == 2
    assert "only UDP is listened to" in ended.stderr


# ---- the command line around it ------


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True).stdout


def test_help_lists_the_commands_without_importing_them() -> None:
    printed = run_python(
        "import sys\n"
        "from c2cotel.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted(name for name in sys.modules if name.startswith(('c2cotel.', 'pyramid', 'opentelemetry'))))\n"
    )
    assert re.search(r"^  tap +Print the statsd lines that arrive on a UDP port\.$", printed, re.MULTILINE)
    assert "c2cotel.cli.tap" not in printed
    assert "pyramid" not in printed.splitlines()[-1]
    assert "opentelemetry" not in printed.splitlines()[-1]


def test_every_command_that_help_lists_can_be_called() -> None:
    run_python(
        "from c2cotel.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    main([name, '--help'], standalone_mode=False)\n"
    )


def test_the_version_is_printed() -> None:
    printed = run_python("from c2cotel.cli import main\nmain(['--version'], standalone_mode=False)\n")
    assert re.fullmatch(r"c2cotel [0-9]+\.[0-9]+\.[0-9]+\n", printed)
