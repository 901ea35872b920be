"""Arrays from .npy and .npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError
from dfa.files import opened_arrays


def load_array(path: Path, name: str) -> NDArray[Any]:
    """Return the array of a .npy file, or from a .npz file the one of that name, or the only one.

    Raises:
        InvalidInputError: The file cannot be read, or holds several arrays and none of that name.
    """
    with opened_arrays(path) as loaded:
        if isinstance(loaded, np.ndarray):
            return loaded
        names = loaded.files
        if name in names or len(names) == 1:
            found = loaded[name if name in names else names[0]]
            if isinstance(found, np.ndarray):
                return found
            raise InvalidInputError(f"cannot read {str(path)!r}: what it holds is no array")
    raise InvalidInputError(f"{str(path)!r} must hold an array {name!r}, and holds {', '.join(names) or 'none'}")


def has_array(path: Path, name: str) -> bool:
    """Tell whether a .npz file holds an array of that name."""
    with opened_arrays(path) as loaded:
        return not isinstance(loaded, np.ndarray) and name in loaded.files
