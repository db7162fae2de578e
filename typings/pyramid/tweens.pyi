from collections.abc import Callable
from typing import Final

from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

INGRESS: Final = "INGRESS"
MAIN: Final = "MAIN"
EXCVIEW: Final = "pyramid.tweens.excview_tween_factory"

def excview_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]: ...
