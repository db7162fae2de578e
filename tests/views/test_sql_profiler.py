"""What the SQL profiler tells of a statement; that it works with a database is in `test_operating.py`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from c2cotel_views.sql_profiler import Profiler


class Server:
    """A pool, its connection and its cursor in one; its plans quote what they are asked."""

    def __init__(self) -> None:
        self.asked = ""

    def recreate(self) -> Server:
        return self

    connect = cursor = recreate

    def execute(self, statement: str, parameters: Any = None) -> None:
        self.asked = statement

    def fetchall(self) -> list[tuple[str]]:
        return [("Seq Scan on people",), ("  Filter: (password = 'hunter2'::text)",)]

    def close(self) -> None:
        """Nothing to do."""

    rollback = dispose = close


def test_the_log_line_of_a_plan_holds_no_secret_whatever_handler_writes_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "c2cotel.sql_profiler")
    server = Server()
    connection = SimpleNamespace(dialect=SimpleNamespace(name="postgresql"), engine=SimpleNamespace(pool=server))
    statement = "SELECT name FROM people WHERE password = 'hunter2' AND n = %(n)s"
    Profiler()._explain(cast("Any", connection), statement, {"password": "hunter2", "n": 7})
    assert "hunter2" in server.asked
    (line,) = caplog.messages
    assert "hunter2" not in line
    assert "'n': 7" in line
    assert "Seq Scan on people" in line
