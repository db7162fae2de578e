"""The Dockerfile and the compose file, as they are read; `make container` builds and runs the image."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from c2cotel.cli import COMMANDS
from c2cotel.config.declare import Settings
from c2cotel.doctor import examine
from tests.servers.local import ROOT, environment


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, in order; continued lines are one."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert all(re.match(r"[A-Z]+ \S", line) for line in lines), lines
    return [(line.split(" ", 1)[0], " ".join(line.split()[1:])) for line in lines]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for instruction, arguments in instructions():
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, arguments))
    return found


def of(stage: list[tuple[str, str]], instruction: str) -> list[str]:
    return [arguments for name, arguments in stage if name == instruction]


def compose() -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return held


def test_only_known_instructions_are_used_and_images_have_a_version() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in instructions()} <= known
    assert all(re.fullmatch(r"python:3\.\d+-slim( AS \w+)?", image) for image in of(instructions(), "FROM"))


def test_everything_that_is_copied_is_there_and_reaches_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for arguments in of(stages()[0], "COPY") for word in arguments.split()[:-1]]
    assert set(copied) == let_in
    for name in copied:
        assert (ROOT / name).exists(), name
    assert of(stages()[-1], "COPY") == ["--from=build /venv /venv"]


def test_every_extra_that_is_installed_exists() -> None:
    (install,) = of(stages()[0], "RUN")
    words = shlex.split(install)
    assert ".[all]" in words
    assert re.search(r"^all = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    for name in (word for word in words if word.startswith("./")):
        assert (ROOT / name / "pyproject.toml").is_file()


def test_the_variables_are_those_that_the_ini_files_of_2018_use() -> None:
    variables = dict(arguments.split("=", 1) for arguments in of(stages()[-1], "ENV"))
    assert variables == {
        "PATH": "/venv/bin:$PATH",
        "PYTHONUNBUFFERED": "1",
        "LOG_TYPE": "console",
        "LOG_HOST": "localhost",
        "LOG_PORT": "514",
        "SQL_LOG_LEVEL": "WARN",
        "GUNICORN_LOG_LEVEL": "WARN",
        "OTHER_LOG_LEVEL": "WARN",
        "DEVELOPMENT": "0",
        "HEALTH_URL": "http://localhost:8080/c2c/live",
    }


def test_the_container_runs_as_another_user_and_has_a_health_command() -> None:
    last = stages()[-1]
    assert of(last, "USER") == ["1000"], "a number, for runAsNonRoot of Kubernetes"
    assert any("--uid 1000" in command for command in of(last, "RUN"))
    assert last.index(("USER", "1000")) < last.index(("CMD", '["c2cotel", "run"]'))
    (health,) = of(last, "HEALTHCHECK")
    python, option, code = json.loads(health.partition(" CMD ")[2])
    assert (python, option) == ("python", "-c")
    compile(code, "health check", "exec")


def test_the_example_is_a_configuration_that_the_doctor_likes() -> None:
    environment = compose()["services"]["app"]["environment"]
    assert environment["C2C_SECRET"].startswith("${C2C_SECRET:?")
    right = {**environment, "C2C_SECRET": "k7Jq-2mVx-9fLw-0sTz"}
    assert examine(Settings(right), connect=False).problems == ()
    hosts = {"redis": environment["C2C_REDIS_URL"], "tap": environment["STATSD_ADDRESS"]}
    for service, address in hosts.items():
        assert re.search(rf"\b{service}:\d+", address)
        assert service in compose()["services"]["app"]["depends_on"]


@pytest.mark.parametrize("service", ["app", "tap"])
def test_services_are_made_of_the_dockerfile_and_run_a_command_that_exists(service: str) -> None:
    described = compose()["services"][service]
    assert described["build"] == "."
    command = described.get("command", ["c2cotel", "run"])
    assert command[0] == "c2cotel"
    assert command[1] in COMMANDS


def test_missing_tools_are_named_and_have_an_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.container"],
        cwd=ROOT,
        env=environment({"PATH": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "apt-get install" in done.stderr
    assert "buildah" in done.stderr
    assert "podman" in done.stderr
