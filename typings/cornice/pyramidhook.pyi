from typing import Any

from cornice.service import Service
from pyramid.config import Configurator

def register_service_views(config: Configurator, service: Service) -> None: ...
def handle_exceptions(exc: Exception, request: Any) -> Any: ...
