"""Build the image of the Dockerfile and one of an application on it, run it with as few rights as possible, check it.

Ends with 0 if every check passed, 1 if one failed, and 3 if the tools are not installed or this is not root.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.container.engine import LIMITS, CheckError, Engine, missing_packages
from tests.servers.local import ROOT, free_tcp_port
from tests.unit.documents import blocks

APPLICATION = Path(__file__).with_name("app")
BASE = ROOT / ".cache/container/base.tar"
SUITE = "trixie"
"""The Debian whose Python is the one of the Dockerfile."""

CANNOT_BUILD = 3
UNWANTED = re.compile(
    r"control.socket|traceback|read-only file system|permission denied|^(?:error|critical)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""What the log of a container that works does not have."""


def application_dockerfile() -> str:
    """The Dockerfile that the documentation shows for an application."""
    (dockerfile,) = [
        block.text for block in blocks(ROOT / "docs/how-to/container.md") if block.language == "dockerfile"
    ]
    return dockerfile


def prepare(engine: Engine) -> None:
    """Make the image that the Dockerfile starts from, and run something in it: whether this machine lets us at all."""
    step("Base image from Debian packages")
    (image,) = set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    engine.make_base(BASE, image, SUITE)
    engine.run("podman", "run", "--rm", "--network", "host", "--no-healthcheck", *LIMITS, image, "true")


def build(engine: Engine) -> None:
    """Build both images: `c2cotel`, and `shop` on it."""
    step("The Dockerfile")
    engine.build("c2cotel", ROOT, ROOT / "Dockerfile", {})
    step("The application's Dockerfile of docs/how-to/container.md")
    dockerfile = engine.folder / "application.Dockerfile"
    dockerfile.write_text(application_dockerfile())
    engine.build("shop", APPLICATION, dockerfile, {"GIT_TAG": "1.0", "GIT_HASH": "0123abc"})


@contextmanager
def running(engine: Engine, port: int, user: list[str]) -> Iterator[str]:
    """A container that may write nothing but two folders in memory, without any capability."""
    container = engine.run(
        *("podman", "run", "--detach", "--network", "host", "--no-healthcheck", *LIMITS),
        *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp", "--tmpfs", "/run/c2cotel"),
        *("--cap-drop", "all", *user),
        *("--env", "C2C_STATE_DIR=/run/c2cotel", "--env", f"HEALTH_URL=http://127.0.0.1:{port}/c2c/live"),
        *("--env", f"GUNICORN_PARAMS=-b 127.0.0.1:{port} --worker-class gthread --threads 10 --workers 2"),
        "shop",
    ).splitlines()[-1]
    try:
        wait_until_live(engine, container, port)
        yield container
    finally:
        engine.run("podman", "rm", "--force", "--time", "1", container)


def wait_until_live(engine: Engine, container: str, port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            get(port, "/c2c/live")
        except OSError as error:
            if time.monotonic() > deadline:
                log = engine.run("podman", "logs", container)
                raise CheckError(f"/c2c/live does not answer within 60 s ({error}):\n{log[-6000:]}") from None
            time.sleep(0.2)
        else:
            return


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def check_running(engine: Engine, container: str, port: int, user: str) -> None:
    """The answers, the health command, the user and its rights."""
    expect("/hello", json.loads(get(port, "/hello")), {"hello": "container"})
    expect("the user's number", engine.run("podman", "exec", container, "id", "-u"), user)
    status = engine.run("podman", "exec", container, "cat", "/proc/1/status")
    expect("effective capabilities", re.findall(r"^CapEff:\s*0*(\w)$", status, re.MULTILINE), ["0"])
    folders = engine.run("podman", "exec", container, "ls", "/run/c2cotel").splitlines()
    expect("number of folders of services in C2C_STATE_DIR", len(folders), 1)
    (image,) = json.loads(engine.run("podman", "image", "inspect", "shop"))
    expect("USER of the image", image["Config"]["User"], "1000")
    kind, *health = image["Healthcheck"]["Test"]
    expect("kind of the health command", kind, "CMD")
    engine.run("podman", "exec", container, *health)
    engine.run("podman", "exec", "--env", "HEALTH_URL=http://127.0.0.1:1/", container, *health, expect=1)
    versions = json.loads(engine.run("podman", "exec", container, "cat", "/app/versions.json"))
    expect("main of versions.json", versions["main"], {"git_hash": "0123abc", "git_tag": "1.0"})


def check_end(engine: Engine, container: str, port: int) -> None:
    """SIGTERM ends the container with 0, after the request that it is answering."""
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(get, port, "/slow")
        engine.wait_for_log(container, "A slow request began", seconds=20)
        engine.run("podman", "kill", "--signal", "TERM", container)
        expect("the request during SIGTERM", json.loads(answer.result(timeout=30)), {"slow": "answered"})
    expect("exit code", engine.run("podman", "wait", container, seconds=30), "0")
    log = engine.run("podman", "logs", container)
    if unwanted := UNWANTED.search(log):
        raise CheckError(f"{unwanted.group()!r} is in the log, expected no error:\n{log[-6000:]}")


def expect(name: str, value: object, expected: object) -> None:
    if value != expected:
        raise CheckError(f"{name} is {value!r}, expected {expected!r}")
    print(f"ok: {name} is {value!r}", flush=True)


_started = time.monotonic()


def step(text: str) -> None:
    print(f"\n== {text} ({time.monotonic() - _started:.0f} s)", flush=True)


def main() -> int:
    if packages := missing_packages():
        print(
            "NOT BUILT: building and running the container needs what is missing here. Debian, Ubuntu:\n"
            f"    apt-get install --no-install-recommends {' '.join(packages)}",
            file=sys.stderr,
        )
        return CANNOT_BUILD
    if os.geteuid() != 0:
        print("NOT BUILT: the file system of the base image can be made by root only", file=sys.stderr)
        return CANNOT_BUILD
    other = str(random.randint(10_000, 60_000))
    engine = Engine(Path(tempfile.mkdtemp(prefix="c2cotel-container-")))
    engine.configure()
    try:
        try:
            prepare(engine)
        except (CheckError, OSError, subprocess.TimeoutExpired) as error:
            print(f"NOT BUILT: this machine does not let containers be made: {error}", file=sys.stderr)
            return CANNOT_BUILD
        build(engine)
        for user, options in (("1000", []), (other, ["--user", other])):
            step(f"Run it with a read-only root, without capabilities, as user {user}")
            port = free_tcp_port()
            with running(engine, port, options) as container:
                check_running(engine, container, port, user)
                check_end(engine, container, port)
    except CheckError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        engine.close()
    step("The container does what its page says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
