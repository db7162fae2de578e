"""What every test gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers.local import close_telemetry, environment, is_setting

pytest_plugins = ["tests.servers.fixtures", "tests.servers.browser"]

settings.register_profile("few", max_examples=20, deadline=None)  # on the other Python versions, on a busy machine


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings from outside, and no telemetry and no state left behind: tests run in any order."""
    for name in list(filter(is_setting, os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", environment()["no_proxy"])
    monkeypatch.setenv("C2C_STATE_DIR", str(tmp_path / "state"))
    yield
    close_telemetry()
    if (state := sys.modules.get("c2cotel.state")) is not None:
        state.reset()
