"""The loader of ``c2c://production.ini``: an ini that may use the environment, for pserve, pshell, proutes and alembic.

`plaster` reads it by the entry points of this distribution; ``pshell c2c://production.ini`` is all there is to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plaster_pastedeploy

from c2cotel import ini

Defaults = Mapping[str, str] | None


class Loader(plaster_pastedeploy.Loader):  # type: ignore[misc]  # published without types
    """Loads settings, logging and WSGI parts of an ini that may use every environment variable.

    Args:
        uri: of `plaster`, such as that of ``c2c:///app/production.ini#main``.
    """

    def get_settings(self, section: str | None = None, defaults: Defaults = None) -> Any:
        """A section; see `plaster.ILoader`."""
        return super().get_settings(section, self._defaults(defaults))

    def get_wsgi_app(self, name: str | None = None, defaults: Defaults = None) -> Any:
        """The application; see `plaster.protocols.IWSGIProtocol`."""
        return super().get_wsgi_app(name, self._defaults(defaults))

    def get_wsgi_app_settings(self, name: str | None = None, defaults: Defaults = None) -> Any:
        """The settings of the application; see `plaster.protocols.IWSGIProtocol`."""
        return super().get_wsgi_app_settings(name, self._defaults(defaults))

    def get_wsgi_server(self, name: str | None = None, defaults: Defaults = None) -> Any:
        """The server; see `plaster.protocols.IWSGIProtocol`."""
        return super().get_wsgi_server(name, self._defaults(defaults))

    def get_wsgi_filter(self, name: str | None = None, defaults: Defaults = None) -> Any:
        """A filter; see `plaster.protocols.IWSGIProtocol`."""
        return super().get_wsgi_filter(name, self._defaults(defaults))

    def setup_logging(self, defaults: Defaults = None) -> None:
        """Set up logging, on the console where the file does not say how."""
        ini.set_up_logging(self.uri.path, defaults) or super().setup_logging(defaults)

    def _defaults(self, defaults: Defaults) -> dict[str, str]:
        return {**ini.defaults(self.uri.path), **(defaults or {})}
