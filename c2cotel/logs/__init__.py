"""Log handlers that say which request, trace and span a line belongs to.

In an ini::

    [handler_json]
    class = c2cotel.logs.JsonLogHandler
    args = (sys.stdout,)

    [handler_syslog]
    class = c2cotel.logs.PyramidCeeSysLogHandler
    args = (("syslog.example.com", 514),)
"""

from __future__ import annotations

import logging
from pathlib import Path

from c2cotel.logs.formatter import ConsoleFormatter, JsonFormatter, JsonLogHandler
from c2cotel.logs.syslog import PyramidCeeSysLogHandler

__all__ = ["ConsoleFormatter", "JsonFormatter", "JsonLogHandler", "PyramidCeeSysLogHandler", "init"]

_CONSOLE = "%(asctime)s %(levelname)-8s %(name)s %(message)s"


def init(configfile: str | None = None) -> None:
    """Set up logging by an ini file, in a script or a worker; on the console where there is none that says how.

    Args:
        configfile: the ini, which may use every environment variable; when left out, the one that `C2COTEL_CONFIG`
            names, if it is there.

    Raises:
        SettingsError: the file that is named cannot be used.
    """
    from c2cotel import ini  # noqa: PLC0415  # most processes have their logging set up by others

    logging.captureWarnings(capture=True)
    file = configfile or ini.path()
    named = configfile is not None or file != ini.DEFAULT
    if (named or Path(file).is_file()) and ini.set_up_logging(file):
        return
    console = logging.StreamHandler()
    console.setFormatter(ConsoleFormatter(_CONSOLE))
    logging.basicConfig(handlers=[console], level=logging.INFO)
