"""``python -m tests.fleet`` ends with 0 where the hosts of these tests can be made, else with 3."""

from __future__ import annotations

import sys

from tests.fleet.hosts import may_be_made

if not may_be_made():
    print("Network namespaces cannot be made here: they need root, iproute2 and the module veth.", file=sys.stderr)
    sys.exit(3)
