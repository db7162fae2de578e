from cornice.service import Service as Service
from pyramid.config import Configurator

def includeme(config: Configurator) -> None: ...
