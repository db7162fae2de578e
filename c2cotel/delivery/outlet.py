"""What `c2cotel.runtime` needs of each way out of the process."""

from __future__ import annotations

from typing import Protocol

from c2cotel.delivery.worker import Worker


class Outlet(Protocol):
    """One way out of the process, with the worker that serves it.

    Attributes:
        name: Name for threads and log lines.
        worker: The thread that sends.
    """

    name: str
    worker: Worker

    @property
    def failing(self) -> bool:
        """Whether nothing gets through at present, which was logged."""

    def start(self) -> None:
        """Begin to send."""

    def before_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""

    def after_fork(self) -> None:
        """See `c2cotel.delivery.forks.ForkAware`."""

    def shutdown(self, timeout: float) -> None:
        """Release the exporter's resources, after the worker's last tick, or while it hangs in one.

        Args:
            timeout: Seconds that this may take.
        """
