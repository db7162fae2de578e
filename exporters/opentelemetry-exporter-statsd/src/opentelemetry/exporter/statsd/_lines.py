"""The numbers of a line, and lines packed into datagrams. Pure functions: text in, text or bytes out."""

import math
import random
from collections.abc import Sequence
from operator import index
from typing import Any

from opentelemetry.exporter.statsd._flavors import LARGEST_INT64

MAX_EXPANDED = 10_000
"""Lines one aggregated histogram point may become in one export; see :func:`expand`."""

TOGETHER = "\0"
"""Stands for a newline that must not become a datagram's end. No name, tag or number can hold it."""


def number(value: Any) -> str | None:
    """A number as Python prints it, or None for NaN and infinity. ``True`` is ``1``, ``-0.0`` is ``0``.

    Raises:
        ValueError: An integer with more digits than Python prints, or no number at all.
        TypeError: No number at all.
    """
    if isinstance(value, float):
        real = float(value)
    else:
        try:
            return str(index(value))
        except TypeError:
            real = float(value)
    if not math.isfinite(real):
        return None
    return str(real) if real or math.copysign(1.0, real) > 0 else "0"


def expand(count: int, total: int, low: int | None, high: int | None) -> list[int]:
    """Measurements that fit a point: ``count`` integers whose sum is ``total``, with the ends if there are any.

    A bucketed histogram does not know its measurements. The mean, repeated, keeps count, sum and mean of the server
    right; minimum and maximum are right too when the point has them, while percentiles are only what can be had.
    More than `MAX_EXPANDED` measurements become `MAX_EXPANDED` of the mean: mean right, count and sum too small.

    Args:
        count: Number of measurements, positive.
        total: Sum of them, in the smallest unit that will be printed.
        low: Least of them, or None.
        high: Greatest of them, or None.
    """
    if count > MAX_EXPANDED:
        return expand(MAX_EXPANDED, round(total * MAX_EXPANDED / count), low, high)
    if low is not None and high is not None and count > 1:
        inner = total - low - high
        if low * (count - 2) <= inner <= high * (count - 2):
            return [low, *_shares(count - 2, inner), high]
    return _shares(count, total)


def _shares(count: int, total: int) -> list[int]:
    if not count:
        return []
    share, rest = divmod(total, count)
    return [share] * (count - rest) + [share + 1] * rest


def expanded_samples(
    factor: float | None, count: int, total: Any, ends: tuple[Any, Any], *, whole: bool
) -> tuple[float | None, Sequence[float]]:
    """Samples that have the count and sum of an aggregated point, and the factor they are to be printed with.

    Args:
        factor: Factor to milliseconds; None: the histogram is no time.
        count: Number of measurements, positive.
        total: Sum of them.
        ends: Least and greatest of them; None or infinite where that is not known.
        whole: Whether times are whole milliseconds.
    """
    if factor is None and not isinstance(total, int):
        mean = total / count
        if count > MAX_EXPANDED:
            return None, [mean] * MAX_EXPANDED
        return None, [mean] * (count - 1) + [total - mean * (count - 1)]
    unit = 1 if whole or factor is None else 1000
    scale = (factor or 1.0) * unit
    # A View may turn minimum and maximum off; the SDK then says infinity.
    least, greatest = [round(end * scale) if end is not None and math.isfinite(end) else None for end in ends]
    shares = expand(count, total if factor is None else round(total * scale), least, greatest)
    if factor is None:
        return None, shares
    return 1.0, [share / unit for share in shares]


def whole(value: Any) -> tuple[int, Any]:
    """The whole part of a number, and the rest; what is beyond 64 bits is lost."""
    cut = int(value)
    return max(-LARGEST_INT64, min(cut, LARGEST_INT64)), value - cut


def thinned(samples: Sequence[Any], most: int) -> tuple[str, Sequence[Any], Sequence[Any]]:
    """About `most` of the samples, chosen by chance.

    Returns:
        The rate of the chosen ones, which each stand for a whole number of samples; the chosen ones; and a few more,
        that stand for themselves, so that all of them count for exactly as many as there were.
    """
    each = math.ceil(len(samples) / most)
    weighted, alone = divmod(len(samples), each)
    chosen = random.sample(samples, weighted + alone)
    # Cut, not rounded: servers take int(1 / rate), and 1 / 0.333334 is not 3.
    rate = f"0.{10**12 // each:012d}".rstrip("0")
    return rate, chosen[:weighted], chosen[weighted:]


def join_values(head: str, values: Sequence[str], suffix: str, length: int) -> list[str]:
    """Values of one series in as few lines as there can be, ``name:1:2:3|ms``, none above `length` bytes.

    A line of a single value may be longer.
    """
    room = length - len(head.encode("utf-8", "replace")) - len(suffix.encode("utf-8", "replace"))
    lines: list[str] = []
    start = used = 0
    for position, value in enumerate(values):
        used += len(value) + 1
        if used > room + 1 and position > start:
            lines.append(f"{head}{':'.join(values[start:position])}{suffix}")
            start, used = position, len(value) + 1
    if values:
        lines.append(f"{head}{':'.join(values[start:])}{suffix}")
    return lines


def pack(lines: Sequence[str], max_packet: int) -> list[bytes]:
    """Fill datagrams of at most ``max_packet`` bytes with whole lines, in order. A longer line goes alone."""
    if not lines:
        return []
    data = "\n".join(lines).encode("utf-8", "replace")
    size = len(data)
    datagrams: list[bytes] = []
    start = 0
    while size - start > max_packet:
        # One search a datagram instead of one step a line: the last newline with at most max_packet bytes before it.
        end = data.rfind(b"\n", start, start + max_packet + 1)
        if end < 0:
            end = data.find(b"\n", start)
            if end < 0:
                break
        datagrams.append(data[start:end])
        start = end + 1
    datagrams.append(data[start:])
    if TOGETHER.encode() in data:
        datagrams = [datagram.replace(b"\0", b"\n") for datagram in datagrams]
    return datagrams


def are_printable(samples: Sequence[Any], scale: float, *, typed: bool) -> bool:
    """Whether all samples may be printed as they are; three passes at C speed spare a test per sample."""
    try:
        if not math.isfinite(sum(samples) * scale) or min(samples) < 0:
            return False
    except (TypeError, ValueError, ArithmeticError):
        return False
    return not typed or set(map(type, samples)) <= {int, float}
