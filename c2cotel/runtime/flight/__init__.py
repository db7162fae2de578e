"""The flight recorder: requests that are kept with all that happened in them.

A request is an `Entry` while it runs; a background thread decides whether it is kept, makes a record of it and writes
that into the store of the host.
"""

from c2cotel.runtime.flight.entry import Entry
from c2cotel.runtime.flight.recorder import FlightRecorder

__all__ = ["Entry", "FlightRecorder"]
