"""Random bits for ids: not those of Python's own generator, which an application may seed."""

from __future__ import annotations

from random import Random

from c2cotel import state


class IdSource:
    """The generator of this process; a forked child begins another sequence.

    Attributes:
        bits: Gives an integer of that many random bits.
    """

    def __init__(self) -> None:
        self._random = Random()  # noqa: S311  # seeded by the system; ids are no secrets
        self.bits = self._random.getrandbits

    def reset(self) -> None:
        """Begin another sequence."""
        self._random.seed()

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        self._random.seed()


random_bits = state.of(IdSource).bits
