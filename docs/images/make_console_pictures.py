"""Makes the pictures of the console from the demo: ``.venv/bin/python docs/images/make_console_pictures.py``.

Needs Chromium at /usr/bin/chromium, and four minutes for a history that is worth a picture.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent
PROFILED = 8
HISTORY = 240
"""Seconds for which the demo runs first."""


def main() -> None:
    """Run the demo for a while, and take the pictures."""
    command = [sys.executable, "-m", "c2cotel.cli", "demo"]
    env = {**os.environ, "C2C_PROFILER_PATH": "profiler", "C2C_PROFILER_MODULES": "sqlalchemy pyramid"}
    demo = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ours
    assert demo.stdout is not None
    addresses: dict[str, str] = {}
    for line in demo.stdout:
        if address := re.match(r"(http\S+)   (the console|a request that failed)$", line):
            addresses[address[2]] = address[1]
            if len(addresses) == len(("console", "record")):
                break
    threading.Thread(target=demo.stdout.read, daemon=True).start()
    time.sleep(HISTORY)
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        for name, picture in (("the console", "console.png"), ("a request that failed", "record.png")):
            page.goto(addresses[name], wait_until="networkidle")
            page.screenshot(path=FOLDER / picture, full_page=True)
        profiler = addresses["the console"].replace("/c2c/", "/profiler")
        for _ in range(2):  # the first visit switches it on
            page.goto(profiler, wait_until="networkidle")
            time.sleep(PROFILED)
        page.screenshot(path=FOLDER / "profiler.png", full_page=True)
        browser.close()
    demo.terminate()
    demo.wait()


if __name__ == "__main__":
    main()
