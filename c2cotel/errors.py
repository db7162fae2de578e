"""The errors that c2cotel raises.

::

    C2cotelError
    └── SettingsError    a setting cannot be used as it is: names it, what it held and what would do
"""

from __future__ import annotations


class C2cotelError(Exception):
    """Base of everything c2cotel raises on purpose."""


class SettingsError(C2cotelError, ValueError):
    """A setting cannot be used as it is; the message names it, what it held and what would do."""
