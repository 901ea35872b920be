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
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.auditing.normalizers import Levels
from dfa.checks import one_of
from dfa.types import Images

ROUNDING_SLACK: Final = 1e-3
"""Grey levels by which float arithmetic may carry a vector past epsilon; 8 / 255 * 255 is no exact 8 in float32."""


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
        return one_of(cls, value, "rounding")


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
            uniform = np.stack([draws(levels.shape[1:], seed, int(each)) for each in ids])
            whole = below + (uniform < levels - below)
    images: Images = whole.astype(np.uint8)
    return images


def draws(shape: tuple[int, ...], seed: int, image_id: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) from the stream that (seed, id) name."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, image_id], dtype=np.uint64))).random(shape)
