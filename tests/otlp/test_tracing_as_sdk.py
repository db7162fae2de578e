"""Our tracer against the SDK's: whatever is done with spans, the same arrives."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider

from c2cotel.tracing import LateSpanProcessor, Span, TracerProvider
from tests.apps.span_programs import LIMITS, PROGRAM, RESOURCE, SAMPLERS, Repeatable, Run, Seen, quiet, readable


class Late(LateSpanProcessor):
    def __init__(self) -> None:
        self.taken: list[Span] = []

    def take(self, span: Span) -> None:
        self.taken.append(span)


def arguments(sampler: str, limits: dict[str, Any]) -> dict[str, Any]:
    return {
        "sampler": SAMPLERS[sampler],
        "resource": RESOURCE,
        "shutdown_on_exit": False,
        "id_generator": Repeatable(),
        "span_limits": SpanLimits(**limits),
    }


MANY = settings(max_examples=2 * settings().max_examples, deadline=None)


@MANY
@given(PROGRAM, st.sampled_from(list(SAMPLERS)), LIMITS)
def test_processors_and_those_that_read_later_see_what_the_sdks_see(
    program: list[Any], sampler: str, limits: dict[str, Any]
) -> None:
    with quiet():
        theirs, sdk_seen = SdkTracerProvider(**arguments(sampler, limits)), Seen()
        theirs.add_span_processor(sdk_seen)
        ours, seen, late = TracerProvider(**arguments(sampler, limits)), Seen(), Late()
        ours.add_span_processor(late)
        ours.add_span_processor(seen)
        expected, found = Run(theirs, program), Run(ours, program)
        assert found.said == expected.said
        assert seen.started == sdk_seen.started
        ended = [readable(span) for span in sdk_seen.ended]
        assert [readable(span) for span in seen.ended] == ended
        assert [readable(span.readable()) for span in late.taken] == [span for span in ended if span["context"][3] & 1]


@MANY
@given(PROGRAM, st.sampled_from([name for name in SAMPLERS if "half" not in name]), LIMITS)
def test_what_is_read_late_is_what_the_sdk_had_at_the_end_of_each_span(
    program: list[Any], sampler: str, limits: dict[str, Any]
) -> None:
    with quiet():
        options = arguments(sampler, limits) | {"id_generator": None}
        theirs, sdk_seen = SdkTracerProvider(**options), Seen(marks=False)
        theirs.add_span_processor(sdk_seen)
        ours, late = TracerProvider(**options), Late()
        ours.add_span_processor(late)
        expected, found = Run(theirs, program), Run(ours, program)
        sampled = [readable(span) for span in sdk_seen.ended if span.context.trace_flags.sampled]
        assert numbered([readable(span.readable()) for span in late.taken]) == numbered(sampled)
        assert numbered(found.said) == numbered(expected.said)


def numbered(found: Any) -> str:
    """Random ids in the order of their appearance."""
    known: dict[str, str] = {}
    return re.sub(
        r"0x[0-9a-f]{16,32}|\b\d{12,}\b",
        lambda match: known.setdefault(hex(int(match[0], 0)), f"id {len(known)}"),
        repr(found),
    )
