"""gunicorn's own log lines under `c2cotel run`: through the handlers of the ini file, as all others."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from c2cotel import ini
from c2cotel.errors import SettingsError


class IniLogger(Logger):
    """Hands gunicorn's records to the root logger, where the ini file says how logging is set up."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        try:
            is_set_up = ini.set_up_logging(ini.path())
        except SettingsError:  # the application fails with it in a moment
            return
        if is_set_up:
            for logger in (self.error_log, self.access_log):
                logger.handlers.clear()
                logger.propagate = True
                logger.disabled = False
