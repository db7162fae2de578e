"""For acceptance tests, which talk to a running service from outside: ``pip install 'c2cotel[acceptance]'``.

`connection.Connection` asks a REST API and checks its answers, `composition.Composition` starts and stops the
containers of a test, `utils` waits. Nothing here needs the rest of c2cotel.
"""

from __future__ import annotations

from c2cotel.acceptance.utils import retry

__all__ = ["retry"]
