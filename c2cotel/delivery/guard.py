"""The boundary around everything that telemetry does inside the application's call."""

from __future__ import annotations

import logging

from c2cotel.delivery.once import Once


class Guard:
    """Swallows what telemetry raises and logs it once a kind, so that the application never sees it.

    Hot paths write ``try: … except Exception as error: guard.about(error)``, which costs nothing while all is well;
    others write ``with guard:``. What the application raises itself must not run inside.

    Args:
        logger: Gets the line.
        message: What could not be done, without an end of sentence.
    """

    def __init__(self, logger: logging.Logger, message: str) -> None:
        self._logger = logger
        self._message = message
        self._complaints = Once()

    def about(self, error: BaseException) -> None:
        """Log an error, if it is the first of its kind."""
        if self._complaints.first(type(error)):
            try:
                self._logger.error("%s (logged once a kind)", self._message, exc_info=error)
            except Exception:  # noqa: BLE001  # an application's handler may do anything
                return

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, Exception):
            self.about(error)
            return True
        return False
