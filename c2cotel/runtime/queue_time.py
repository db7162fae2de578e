"""How long a request waited for its application, by the mark that its proxy put into its head.

`X-Request-Start` and `X-Queue-Start` hold a time since the epoch, in seconds, milliseconds or microseconds, with or
without ``t=`` before it, as nginx, Heroku, Passenger and HAProxy write them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KEYS = ("HTTP_X_REQUEST_START", "HTTP_X_QUEUE_START")
"""Where a WSGI environ has the mark; the first that can be read counts."""

_TIME = re.compile(r"(?:t=)?([0-9]{9,17}(?:\.[0-9]{1,9})?)", re.ASCII)
_UNITS = (1e11, 1.0), (1e14, 1e3), (1e17, 1e6)
"""Numbers below which a time is one in seconds, milliseconds, microseconds; each holds until the year 5138."""
_MOST_AHEAD = 0.1
_LONGEST = 3600.0


def queue_time(environ: Mapping[str, str], now: float) -> float | None:
    """Seconds from the proxy's mark until now; None if there is no mark or it cannot be right.

    Clocks of two hosts differ a little: up to 100 ms ahead of ours counts as no wait at all.

    Args:
        environ: The WSGI environ of the request.
        now: Wall clock, seconds since the epoch.
    """
    for key in KEYS:
        if (text := environ.get(key)) is not None and (mark := _TIME.fullmatch(text.strip()[:40])) is not None:
            time = float(mark[1])
            seconds = now - time / next((unit for limit, unit in _UNITS if time < limit), 1e6)
            if -_MOST_AHEAD <= seconds <= _LONGEST:
                return max(seconds, 0.0)
    return None
