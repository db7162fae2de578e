"""Numbers, times and texts as pages show them, however long or strange they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from c2cotel_views._json import dumps

_PAGE = 1_500_000
"""Characters of an application's texts on one page."""

_AT_LEAST = 200
"""Characters that are left of a text when the page has enough."""

_UNDER_ONE, _UNDER_TEN, _SECONDS, _MINUTES = 1, 10, 10_000, 120_000
"""Milliseconds below which a duration has two decimals, one, none; and below which it is in seconds."""


class Texts:
    """The texts of an application on one page: each is cut, and all of them together stay within a limit.

    Attributes:
        were_cut: Whether a text is not there as a whole.
    """

    def __init__(self) -> None:
        self.were_cut = False
        self._left = _PAGE

    def cut(self, value: Any, most: int = 4000) -> str:
        """A value as text.

        Args:
            value: A text, or what JSON can hold.
            most: Most characters.
        """
        text = value if isinstance(value, str) else _as_text(value)
        most = min(most, max(_AT_LEAST, self._left))
        if len(text) > most:
            self.were_cut = True
            text = text[:most] + "…"
        self._left -= len(text)
        return text

    def line(self, value: Any, most: int = 200) -> str:
        """A value as text in one line."""
        text = value if isinstance(value, str) else _as_text(value)
        text = " ".join(text[: 4 * most].split())
        return text if len(text) <= most else text[:most] + "…"


def duration(milliseconds: float | None) -> str:
    """A duration, with about three digits."""
    if milliseconds is None:
        return "-"
    if milliseconds < _UNDER_ONE:
        return f"{milliseconds:.2f} ms" if milliseconds else "0 ms"
    if milliseconds < _UNDER_TEN:
        return f"{milliseconds:.1f} ms"
    if milliseconds < _SECONDS:
        return f"{milliseconds:,.0f} ms"
    if milliseconds < _MINUTES:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes:,} min {seconds} s"


def elapsed(milliseconds: float) -> str:
    """How long something has run, in whole seconds from the first one on."""
    whole = milliseconds >= 1000 and milliseconds < _MINUTES  # noqa: PLR2004  # a second
    return f"{milliseconds / 1000:.0f} s" if whole else duration(milliseconds)


def clock(iso: str) -> str:
    """The time of day of an ISO time, in UTC; before today with the date."""
    today = datetime.now(timezone.utc).date().isoformat()
    return iso[11:19] if iso.startswith(today) else f"{iso[:10]} {iso[11:19]}"


def day_time(seconds: float) -> str:
    """The time of day in UTC, of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%H:%M:%S")


def calls(kind: Mapping[str, float]) -> str:
    """A number of calls and what they took; empty if there were none."""
    return f"{kind['n']:,} in {duration(kind['ms'])}" if kind["n"] else ""


def ms(value: float) -> str:
    """Milliseconds as text, without the unit."""
    return f"{value:,.0f}" if value >= _UNDER_TEN else f"{value:.1f}"


def rate(value: float) -> str:
    """Requests a second as text."""
    if value >= 100:  # noqa: PLR2004  # three digits are enough
        return f"{value:,.0f}"
    if value >= _UNDER_TEN or not value:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.01 else "< 0.01"  # noqa: PLR2004  # would be 0.00


def percent(share: float) -> str:
    """A share of 1 in percent."""
    return f"{share * 100:.1f} %" if share >= 0.001 or not share else "< 0.1 %"  # noqa: PLR2004  # would be 0.0


def _as_text(value: Any) -> str:
    try:
        return dumps(value, str).decode()
    except TypeError:
        return str(value)
