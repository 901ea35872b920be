"""What makes a claim of the search a success: how many of how many repeated answers must agree with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dfa.checks import is_integer
from dfa.errors import InvalidInputError


@dataclass(frozen=True)
class Confirmation:
    """A found image counts once `needed` of `of` answers, asked apart from the search, find it adversarial.

    One of one is enough for a model that answers alike every time. A randomised defence needs more, since an image
    that it gets wrong one time in ten will be "found" by any search that asks often enough.

    The answers are fresh, but a search may claim many images and needs only one of them to pass, so the share that
    agrees (`Record.confidence`) flatters, and the more so the more claims failed before (`Record.unconfirmed`). Of 337
    claims that are right every other time, some pass 9 of 10 by luck. Ask for more answers where claims are many.
    Saving asks about the found images once more, and `Summary.fresh_confidence` is free of it.

    Attributes:
        needed: Answers that must find the image adversarial, 1..of.
        of: Answers asked for, up to 10,000.

    Raises:
        InvalidInputError: A number is out of range.
    """

    needed: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        """Check both numbers."""
        for number in (self.needed, self.of):
            if not is_integer(number):
                raise InvalidInputError(f"a confirmation needs two integers, got {self.needed!r} of {self.of!r}")
        if not 1 <= self.needed <= self.of <= 10_000:
            raise InvalidInputError(
                f"a confirmation must need at least 1 and at most all of up to 10,000 answers, got {self.needed} of "
                f"{self.of}"
            )

    @property
    def is_repeated(self) -> bool:
        """Whether more than one answer is asked for."""
        return self.of > 1

    @classmethod
    def parse(cls, value: Confirmation | int | str | Mapping[str, Any]) -> Confirmation:
        """Return the confirmation that a value stands for.

        Args:
            value: A `Confirmation`, one written as JSON, k for k of k, or words such as "8/10".

        Raises:
            InvalidInputError: It stands for none.
        """
        if isinstance(value, cls):
            return value
        if is_integer(value):
            return cls(int(value), int(value))
        if isinstance(value, Mapping) and set(value) == {"needed", "of"}:
            return cls(value["needed"], value["of"])
        if isinstance(value, str):
            needed, _, of = value.partition("/")
            if needed.isdecimal() and (of or needed).isdecimal():
                return cls(int(needed), int(of or needed))
        raise InvalidInputError(
            f"confirmations must be a dfa.Confirmation, such as dfa.Confirmation(8, of=10), or a number of answers "
            f"that must all agree, got {value!r}"
        )
