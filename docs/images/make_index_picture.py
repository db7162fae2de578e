"""Makes index.png from the console of the demo: ``.venv/bin/python docs/images/make_index_picture.py``.

Needs Chromium at /usr/bin/chromium; the picture is the top of the page as the browser shows it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("index.png")
SECRET = "a-long-random-secret"  # noqa: S105  # of a demo on the loopback
VIEWS = ("C2C_LOG_VIEW_ENABLED", "C2C_SQL_PROFILER_ENABLED", "C2C_DEBUG_VIEW_ENABLED", "STATS_VIEW")


def main() -> None:
    """Run the demo with all its views, and take the picture."""
    env = {**os.environ, **dict.fromkeys(VIEWS, "1"), "C2C_SECRET": SECRET, "C2C_PROFILER_PATH": "/profiler"}
    command = [sys.executable, "-m", "c2cotel.cli", "demo"]
    demo = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ours
    assert demo.stdout is not None
    url = next(address[1] for line in demo.stdout if (address := re.match(r"(http://127\.0\.0\.1:\d+)/ ", line)))
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        page = browser.new_page(viewport={"width": 1100, "height": 860})
        page.goto(f"{url}/c2c?secret={SECRET}", wait_until="networkidle")
        page.screenshot(path=PICTURE)
        browser.close()
    demo.terminate()
    demo.wait()


if __name__ == "__main__":
    main()
