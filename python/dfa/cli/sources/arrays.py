"""Arrays from .npy and .npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError


def load_array(path: Path, name: str) -> NDArray[Any]:
    """Return the array of a .npy file, or from a .npz file the one of that name, or the only one.

    Raises:
        InvalidInputError: The file cannot be read, or holds several arrays and none of that name.
    """
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if name in loaded:
                return np.asarray(loaded[name])
            if len(loaded.files) == 1:
                return np.asarray(loaded[loaded.files[0]])
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot read {str(path)!r}: {error}") from error
    raise InvalidInputError(f"{str(path)!r} must hold an array {name!r}, and holds {', '.join(loaded.files)}")
