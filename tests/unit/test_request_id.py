"""The request's id (contract, section 2)."""

from __future__ import annotations

import os
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2cotel.delivery.forks import forks
from c2cotel.runtime import request_id

KEYS = request_id.environ_keys(None)


@pytest.mark.parametrize("header", ["X-Request-ID", "X-Correlation-ID", "Request-ID", "X-Varnish", "X-Amzn-Trace-Id"])
def test_each_documented_header_gives_the_id(header: str) -> None:
    assert request_id.read({request_id.environ_key(header): "abc"}, KEYS) == "abc"


def test_headers_are_looked_at_in_the_documented_order() -> None:
    environ = {key: key for key in reversed(KEYS)}
    for key in KEYS:
        assert request_id.read(environ, KEYS) == key
        del environ[key]


def test_an_extra_header_is_looked_at_first() -> None:
    keys = request_id.environ_keys("X-My-ID")
    assert request_id.read({"HTTP_X_MY_ID": "mine", "HTTP_X_REQUEST_ID": "other"}, keys) == "mine"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("42 is the answer", "42 is the answer"),
        ("a\r\nSet-Cookie: x=1", "aSet-Cookie: x=1"),
        ("é\x1b[31mred\x00", "[31mred"),
        ("x" * 200, "x" * 128),
    ],
)
def test_an_id_keeps_printable_ascii_only(sent: str, kept: str) -> None:
    assert request_id.read({"HTTP_X_REQUEST_ID": sent}, KEYS) == kept


def test_an_id_that_is_cleaned_away_lets_the_next_header_count() -> None:
    assert request_id.read({"HTTP_X_REQUEST_ID": "\x00é ", "HTTP_X_VARNISH": "7"}, KEYS) == "7"
    assert request_id.read({"HTTP_X_REQUEST_ID": ""}, KEYS) is None


@given(st.text(max_size=300))
def test_no_text_gets_through_that_could_end_a_header_or_a_log_line(text: str) -> None:
    kept = request_id.clean(text)
    assert kept.isascii()
    assert kept == "" or kept.isprintable()
    assert len(kept) <= 128


def test_made_ids_are_random_uuids_and_differ() -> None:
    ids = request_id.Ids()
    made = [ids.take() for _ in range(1000)]
    assert len(set(made)) == 1000
    for text in made:
        assert (UUID(text).version, str(UUID(text))) == (4, text)


def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    ids = request_id.Ids()
    forks.watch(ids)
    ids.take()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, "\n".join(ids.take() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = set(os.read(reader, 65536).decode().split("\n"))
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 100
    assert theirs.isdisjoint(ids.take() for _ in range(200))


def test_a_trace_id_takes_the_form_of_a_uuid() -> None:
    traceparent = "00-0123456789abcdef0123456789abcdef-1111111111111111-01"
    assert request_id.from_traceparent(traceparent) == "01234567-89ab-cdef-0123-456789abcdef"
