"""What the console shows of the past: written by every process in steps of time, merged when it is read."""

from c2cotel.runtime.history.processes import Process
from c2cotel.runtime.history.reading import WINDOWS, Overview, Window, overview, serve, statements
from c2cotel.runtime.history.writer import History

__all__ = ["WINDOWS", "History", "Overview", "Process", "Window", "overview", "serve", "statements"]
