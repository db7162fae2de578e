"""The application, as the resource of everything that is exported names it."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from opentelemetry.sdk.resources import HOST_NAME, SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource


@dataclass(frozen=True)
class Service:
    """Name and version of the application, where they can be told from its package."""

    name: str | None = None
    version: str | None = None

    def resource(self) -> Resource:
        """The resource, with the name of the host; OTEL_* variables win over what is known here."""
        by_environment = OTELResourceDetector().detect().attributes
        service = {SERVICE_NAME: self.name, SERVICE_VERSION: self.version, HOST_NAME: socket.gethostname()}
        ours = {name: value for name, value in service.items() if value and name not in by_environment}
        return Resource.create().merge(Resource(ours))
