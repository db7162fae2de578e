"""Buildah and podman with everything they write in one folder, and without a daemon or systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

TOOLS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "podman": "podman", "runc": "runc"}
"""Each program that is called, and the Debian package that has it."""

LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
CERTIFICATES = Path("/etc/ssl/certs")
BUNDLE = CERTIFICATES / "ca-certificates.crt"


class CheckError(Exception):
    """What a check of the container expected, and what it got."""


def missing_packages() -> list[str]:
    """The Debian packages that are not installed here."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return sorted(package for program, package in TOOLS.items() if shutil.which(program, path=path) is None)


class Engine:
    """Builds images and runs containers.

    Args:
        folder: An empty folder for images, containers, configuration and temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "BUILDAH_ISOLATION": "chroot",
        }

    def configure(self) -> None:
        """Write the configuration: no registry is ever asked, nothing leaves the folder."""
        for name in ("home", "tmp", "run"):
            (self.folder / name).mkdir(mode=0o700)
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\nrunroot = "{self.folder}/runroot"\ngraphroot = "{self.folder}/graphroot"\n'
        )
        (self.folder / "registries.conf").write_text(
            'unqualified-search-registries = []\nshort-name-mode = "disabled"\n'
        )
        (self.folder / "containers.conf").write_text(
            '[containers]\nlog_driver = "k8s-file"\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
        )
        policy = self.folder / "home/.config/containers/policy.json"
        policy.parent.mkdir(parents=True)
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
        (self.folder / "pip.conf").write_text(_pip_configuration())

    def run(self, *command: str, seconds: float = 120, expect: int | None = 0) -> str:
        """What a command printed, errors included.

        Raises:
            CheckError: It ended with another exit code than expected.
        """
        done = subprocess.run(
            command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        if expect is not None and done.returncode != expect:
            raise CheckError(
                f"{' '.join(command)}\nended with {done.returncode}, expected {expect}:\n{done.stdout[-6000:]}"
            )
        return done.stdout.strip()

    def make_base(self, archive: Path, image: str, suite: str) -> None:
        """An image with Debian's Python, in the place of the one of Docker's that a Dockerfile starts from.

        Args:
            archive: A tar of the file system, made if it does not exist.
            image: The name that the Dockerfile uses.
            suite: The release of Debian that has this Python.
        """
        if not archive.exists():
            archive.parent.mkdir(parents=True, exist_ok=True)
            unfinished = archive.with_name(f"unfinished-{archive.name}")
            packages = "passwd,python3,python3-venv,ca-certificates"
            options = ("--variant=essential", f"--include={packages}", "--quiet")
            self.run("mmdebstrap", *options, suite, str(unfinished), debian_mirror(), seconds=300)
            unfinished.replace(archive)
        container = self.run("buildah", "from", "scratch")
        self.run("buildah", "add", "--quiet", container, str(archive), "/")
        self.run("buildah", "run", container, "ln", "-s", "/usr/bin/python3", "/usr/local/bin/python")
        self.run("buildah", "config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin", container)
        self.run("buildah", "commit", "--quiet", "--rm", container, image)

    def build(self, image: str, context: Path, dockerfile: Path, arguments: dict[str, str]) -> None:
        """Build an image; the network, certificates and configuration of pip are lent to the build."""
        options = ["--pull-never", "--isolation", "chroot", "--network", "host", "--format", "docker", *LIMITS]
        options += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
        options += ["--volume", f"{self.folder}/pip.conf:/etc/pip.conf:ro"]
        for name, text in arguments.items():
            options += ["--build-arg", f"{name}={text}"]
        self.run("buildah", "build", *options, "--tag", image, "--file", str(dockerfile), str(context), seconds=420)

    def wait_for_log(self, container: str, text: str, seconds: float) -> None:
        """Wait until a container has logged a text.

        Raises:
            CheckError: It did not in time.
        """
        deadline = time.monotonic() + seconds
        while text not in (log := self.run("podman", "logs", container)):
            if time.monotonic() > deadline:
                raise CheckError(f"expected {text!r} in the log within {seconds} s, got:\n{log[-6000:]}")
            time.sleep(0.1)

    def close(self) -> None:
        """End and remove what was run, and the folder; it stays if something is still mounted in it."""
        self.run("podman", "rm", "--all", "--force", "--time", "1", expect=None)
        self.run("buildah", "rm", "--all", expect=None)
        for path in reversed(self._mounts()):
            self.run("umount", "--lazy", path, expect=None)
        if mounts := self._mounts():
            raise CheckError(f"{self.folder} is left behind: still mounted are {mounts}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mounts(self) -> list[str]:
        """What is mounted in the folder: an interrupted mmdebstrap leaves the host's /proc there."""
        points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return [point for point in points if point.startswith(f"{self.folder}/")]


def debian_mirror() -> str:
    """The address that apt itself uses here.

    Raises:
        CheckError: apt's sources name none.
    """
    for file in sorted(Path("/etc/apt").glob("sources.list.d/*.sources")):
        for line in file.read_text().splitlines():
            if line.startswith("URIs:"):
                return line.split()[1]
    for file in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))):
        for line in file.read_text().splitlines() if file.exists() else ():
            address = next((word for word in line.split() if "://" in word), "")
            if line.startswith("deb ") and address:
                return address
    raise CheckError("apt has no sources here: expected URIs in /etc/apt/sources.list.d")


def _pip_configuration() -> str:
    """What pip needs to reach the index that it uses here; lent to the build, and not in the image."""
    lines = ["[global]"]
    if BUNDLE.exists():
        lines.append(f"cert = {BUNDLE}")
    if index := os.environ.get("PIP_INDEX_URL"):
        lines.append(f"index-url = {index}")
    return "\n".join(lines) + "\n"
