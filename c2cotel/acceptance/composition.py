"""A composition of containers for the time of a test session: ``docker compose``, version 2.

::

    @pytest.fixture(scope="session")
    def composition(request):
        composition = Composition(request, "shop", "/acceptance_tests/docker-compose.yml")
        utils.wait_url(f"http://{utils.DOCKER_GATEWAY}:8080/c2c/health_check")
        return composition
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from c2cotel.acceptance import utils

_OF_VERSION_2 = {"services", "include", "version", "name"}
"""Keys at the top of a compose file that version 1 does not have."""

_logger = logging.getLogger(__name__)


class Composition:
    """Starts a composition and stops it after the tests; what its containers log goes to the output of the tests.

    ``docker_start=0`` in the environment takes a composition that is running already, ``docker_stop=0`` leaves it
    running afterwards: both make the next run short while one writes tests.

    The compose file may use these variables; one that the environment has keeps its value:

    - ``DOCKER_TAG``: ``latest``.
    - ``DOCKER_IP``: the machine whose ports the composition publishes, as containers see it: Docker's bridge, such as
      ``172.17.0.1``, or the host of ``DOCKER_HOST``.
    - ``TEST_IP``: where containers reach what the tests listen on, as in ``STATSD_ADDRESS: ${TEST_IP}:8125``.
    - ``DOCKER_CB_HOST``: where the tests themselves reach the published ports.

    A compose file of version 1, whose services stand at its top, is read as if they stood below ``services:``.

    Args:
        request: pytest's, of a fixture whose scope is the life of the composition.
        project_name: of the composition.
        compose_file: its file; commands run in the directory of it.
        coverage_paths: what is copied from the containers when they have stopped, ``container:/path``; the names that
            compose 1 made, ``project_service_1``, are understood.
        coverage_directory: where that goes.

    Raises:
        ValueError: the compose file is of no version that can be understood; names it.
    """

    def __init__(
        self,
        request: Any,
        project_name: str,
        compose_file: str | os.PathLike[str],
        coverage_paths: Sequence[str] | None = None,
        coverage_directory: str | os.PathLike[str] = "/reports",
    ) -> None:
        file = Path(compose_file).absolute()
        self.cwd = str(file.parent)
        understood = _understood(file)
        self.docker_compose = ["docker", "compose", f"--file={understood}", f"--project-name={project_name}"]
        if understood != file:
            self.docker_compose.append(f"--project-directory={self.cwd}")
            request.addfinalizer(lambda: understood.unlink(missing_ok=True))
        self._project_name = project_name
        self._coverage_paths = list(coverage_paths or ())
        self._coverage_directory = Path(coverage_directory)
        self._env = _environment()
        if os.environ.get("docker_stop", "1") == "1":  # noqa: SIM112  # its name of 2018
            request.addfinalizer(self.stop_all)
        if os.environ.get("docker_start", "1") == "1":  # noqa: SIM112  # its name of 2018
            self.dc_try(["stop"])
            self.dc_try(["rm", "--force"])
            self.dc(["build"])
            self.dc(["up", "--detach"])
        watcher = self.dc_proc(["logs", "--follow", "--no-color"])
        request.addfinalizer(lambda: _end(watcher))

    def dc(self, args: Sequence[str], **kwargs: Any) -> str:
        """Run ``docker compose`` with arguments; returns what it says on its standard output.

        Raises:
            subprocess.CalledProcessError: it failed; what it said on its standard error is in the output of the tests.
        """
        options: dict[str, Any] = {"cwd": self.cwd, "env": self._env, "text": True, **kwargs}
        output: str = subprocess.check_output([*self.docker_compose, *args], **options)  # noqa: S603  # the test's own
        return output

    def dc_try(self, args: Sequence[str], **kwargs: Any) -> None:
        """As `dc`, where a failure does not matter."""
        try:
            self.dc(args, **kwargs)
        except (OSError, subprocess.CalledProcessError) as error:
            _logger.warning("%s", error)

    def dc_proc(self, args: Sequence[str], **kwargs: Any) -> subprocess.Popen[str]:
        """Start ``docker compose`` with arguments, and do not wait for its end."""
        options: dict[str, Any] = {"cwd": self.cwd, "env": self._env, "text": True, **kwargs}
        return subprocess.Popen([*self.docker_compose, *args], **options)  # noqa: S603  # the test's own

    def start(self, container: str) -> None:
        """Start one service."""
        self.dc(["start", container])

    def stop(self, container: str) -> None:
        """Stop one service."""
        self.dc(["stop", container])

    def restart(self, container: str) -> None:
        """Restart one service."""
        self.dc(["restart", container])

    def run(self, container: str, *command: str, **kwargs: Any) -> str:
        """Run a command in a new container of a service, which is removed afterwards; returns its output."""
        return self.dc(["run", "--rm", "-T", container, *command], **kwargs)

    def exec(self, container: str, *command: str, **kwargs: Any) -> str:
        """Run a command in the running container of a service; returns its output."""
        return self.dc(["exec", "-T", container, *command], **kwargs)

    def logs(self, container: str) -> str:
        """What a service has logged so far."""
        return self.dc(["logs", "--no-color", "--no-log-prefix", container])

    def stop_all(self) -> None:
        """Stop all services and fetch `coverage_paths`."""
        self.dc_try(["stop"])
        if self._coverage_paths:
            self._coverage_directory.mkdir(parents=True, exist_ok=True)
        for path in self._coverage_paths:
            command = ["docker", "cp", self._container(path), str(self._coverage_directory)]
            subprocess.run(command, check=True, cwd=self.cwd, env=self._env)  # noqa: S603  # the test's own

    def _container(self, path: str) -> str:
        old = re.fullmatch(rf"{re.escape(self._project_name)}_(.+)_(\d+)(:.*)", path)
        return path if old is None else f"{self._project_name}-{old[1]}-{old[2]}{old[3]}"


def _environment() -> dict[str, str]:
    """The environment, with what compose files of 2018 use: unset, ``${TEST_IP}:8125`` would become ``:8125``."""
    docker = utils.docker_ip()
    defaults = {
        "DOCKER_TAG": "latest",
        "DOCKER_IP": docker,
        "TEST_IP": utils.own_ip(docker),
        "DOCKER_CB_HOST": docker if utils.in_docker() or docker in os.environ.get("DOCKER_HOST", "") else "localhost",
    }
    return {**os.environ, **{name: os.environ.get(name) or value for name, value in defaults.items()}}


def _understood(file: Path) -> Path:
    """The compose file, or one of version 2 made of a file of version 1."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{file}: expected a compose file ({error.strerror})") from error
    keys = set(re.findall(r"""^["']?([\w.-]+)["']?\s*:(?=\s|$)""", text, re.MULTILINE))
    if keys & _OF_VERSION_2:
        return file
    if not keys:
        raise ValueError(f"{file}: it names no service. Expected a compose file with services: at its top")
    lines = [line for line in text.splitlines() if not line.startswith(("---", "..."))]
    handle, name = tempfile.mkstemp(prefix="compose-of-version-1-", suffix=".yml")
    with os.fdopen(handle, "w", encoding="utf-8") as written:
        written.write("\n".join(["services:", *(f"  {line}" for line in lines), ""]))
    _logger.warning("%s is a compose file of version 1: its services are read as if below services:", file)
    return Path(name)


def _end(watcher: subprocess.Popen[str]) -> None:
    watcher.kill()
    watcher.wait()
