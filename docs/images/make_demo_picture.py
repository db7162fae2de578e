"""Makes demo.png from the real output of the demo: ``.venv/bin/python docs/images/make_demo_picture.py``.

Needs Chromium, and pngquant to make the picture small. The output is taken as it is, but for "…": in place of most of
the statsd lines, of the host's name and of the file's directory, which are of no interest to anybody else.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from io import StringIO
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).with_name("demo.png")
COLUMNS = 120
STATSD_LINES = 12
FONT, LINE_HEIGHT, PADDING = 14, 18, 16
# Filled in by rich.
PAGE = f"""<!DOCTYPE html><meta charset="utf-8"><style>
body {{{{ margin: 0; padding: {PADDING}px; background: {{background}}; color: {{foreground}} }}}}
pre {{{{ margin: 0; width: {COLUMNS}ch; white-space: pre-wrap; word-break: break-all;
  font: {FONT}px/{LINE_HEIGHT}px "DejaVu Sans Mono", monospace }}}}
</style><pre>{{code}}</pre>"""


def captured() -> str:
    """What the demo writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "c2cotel.cli", "demo"],
        env={**os.environ, "DEMO_SECONDS": "9"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    try:
        while block := os.read(ours, 65536):
            output += block
    except OSError:  # the other end is closed
        pass
    if process.wait() != 0:
        sys.exit(output.decode())
    return output.decode().replace("\r\n", "\n").strip("\n")


def shortened(output: str) -> str:
    """Without what the picture is not about."""
    output = re.sub(r'"host":"[^"]*"', '"host":"…"', output)
    output = re.sub(r'"file":"[^"]*/', '"file":"…/', output)
    lines = output.split("\n")
    first = next(number for number, line in enumerate(lines) if line.endswith("|ms"))
    last = next(number for number, line in enumerate(lines) if line.startswith("... and so on"))
    return "\n".join([*lines[: first + STATSD_LINES], "  …", *lines[last:]])


def main() -> None:
    """Run the demo, and have Chromium draw it."""
    text = Text.from_ansi(f"$ make demo\n\n{shortened(captured())}")
    # The browser breaks long lines where a terminal does: at its edge.
    console = Console(width=max(map(len, text.plain.split("\n"))), record=True, file=StringIO())
    console.print(text)
    html = console.export_html(theme=MONOKAI, inline_styles=True, code_format=PAGE)
    rows = sum(max(1, ceil(len(line) / COLUMNS)) for line in text.plain.split("\n"))
    width = round(COLUMNS * FONT * 0.602) + 2 * PADDING
    height = rows * LINE_HEIGHT + 2 * PADDING
    with TemporaryDirectory() as folder:
        source = Path(folder, "demo.html")
        source.write_text(html)
        subprocess.run(  # noqa: S603  # our own command
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
                *("--hide-scrollbars", f"--user-data-dir={folder}/profile", f"--window-size={width},{height}"),
                *(f"--screenshot={PICTURE}", source.as_uri()),
            ],
            env={**os.environ, "HOME": folder},
            check=True,
            capture_output=True,
        )
    subprocess.run(["pngquant", "--force", "--ext=.png", "64", PICTURE], check=True)  # noqa: S603, S607  # as above


if __name__ == "__main__":
    main()
