from collections.abc import Callable
from typing import Any

from pyramid.interfaces import ITweens

class Tweens(ITweens):
    def __init__(self) -> None: ...
    sorter: Any
    explicit: list[tuple[str, Callable[..., Any]]]
