"""How grey levels become integers.

| rounding | level 7.6 becomes | who does it |
|---|---|---|
| `NEAREST` | 8 (halves to even) | `numpy.rint`, `torch.round` |
| `TRUNCATE` | 7 | `(x * 255).astype("uint8")`, `.byte()`, many save helpers |
| `FLOOR` | 7 | the same as truncation, since no level is below 0 |
| `CEIL` | 8 | |
| `STOCHASTIC` | 8 with probability 0.6, else 7 | dithering |
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.auditing.normalizers import Levels
from dfa.errors import InvalidInputError
from dfa.types import Images


class Rounding(Enum):
    """A way to round grey levels to integers."""

    NEAREST = "nearest"
    TRUNCATE = "truncate"
    FLOOR = "floor"
    CEIL = "ceil"
    STOCHASTIC = "stochastic"

    @classmethod
    def of(cls, value: Rounding | str) -> Rounding:
        """Return the rounding that `value` names.

        Raises:
            InvalidInputError: If `value` names none.
        """
        try:
            return cls(value)
        except ValueError:
            raise InvalidInputError(
                f"rounding must be one of {', '.join(repr(each.value) for each in cls)}, got {value!r}"
            ) from None


def rounded(levels: Levels, rounding: Rounding, *, seed: int, ids: NDArray[np.int64]) -> Images:
    """Return levels rounded to integers.

    Args:
        levels: Float, (n, H, W, C), within 0..255.
        rounding: How.
        seed: Of stochastic rounding.
        ids: int64, (n,): the images' names, so that each has random numbers of its own, wherever it stands.

    Returns:
        uint8, (n, H, W, C).
    """
    match rounding:
        case Rounding.NEAREST:
            whole: NDArray[Any] = np.rint(levels)
        case Rounding.TRUNCATE | Rounding.FLOOR:
            whole = np.floor(levels)
        case Rounding.CEIL:
            whole = np.ceil(levels)
        case Rounding.STOCHASTIC:
            below = np.floor(levels)
            # Not floor(level + draw): that sum rounds, and would carry whole levels up now and then.
            whole = below + (_draws(levels.shape[1:], seed, ids) < levels - below)
    images: Images = whole.astype(np.uint8)
    return images


def _draws(shape: tuple[int, ...], seed: int, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) for each image, from a stream that (seed, id) name."""
    keys = [np.array([seed, int(each)], dtype=np.uint64) for each in ids]
    return np.stack([np.random.Generator(np.random.Philox(key=key)).random(shape) for key in keys])
