"""The vectors under audit: arrays, or files that any tool can write; and what the attack claims of them.

Files:

| suffix | holds |
|---|---|
| `.npy` | one float array (N, ...), one vector per original, in their order; read lazily |
| `.npz` | `vectors`, float (n, ...); where they are not all, `indices`, int (n,): the originals they belong to |
| `.csv` | a header, then one vector per line: a column `index` (optional) and the values of the vector in C order |

An original without a vector (a verifier that found no witness, say) counts as a failure of the attack.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.auditing.normalizers import Vectors
from dfa.checks import as_array, refuse_masked
from dfa.errors import InvalidInputError
from dfa.files import opened, opened_arrays


class GivenVectors:
    """Vectors by original, checked when they are read.

    Attributes:
        dtype: Precision they are in.
    """

    def __init__(self, vectors: Vectors, rows: NDArray[np.int64]) -> None:
        """Take what `read_vectors` checked: vectors (n, ...), and (N,) rows in it, -1 for none."""
        self._vectors = vectors
        self._rows = rows
        self.dtype = vectors.dtype

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each original has a vector: bool, (N,)."""
        return self._rows >= 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one vector."""
        return self._vectors.shape[1:]

    def load(self, indices: NDArray[np.int64]) -> Vectors:
        """Return the vectors of some originals that have one, to be read only: float, (n, ...).

        Raises:
            InvalidInputError: One of them holds a number that is not finite.
        """
        rows = self._rows[indices]
        in_a_row = len(rows) > 0 and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
        # A copy of a batch of floats costs as much as all that is done with them.
        chosen = self._vectors[rows[0] : rows[0] + len(rows)] if in_a_row else self._vectors[rows]
        vectors: Vectors = np.ascontiguousarray(chosen).view()
        vectors.flags.writeable = False
        finite = np.isfinite(vectors.reshape(len(vectors), -1)).all(axis=1)
        if not finite.all():
            raise InvalidInputError(
                f"vector {indices[int(np.argmin(finite))]} must hold finite numbers, and holds NaN or infinity; leave "
                "out the vectors of failed attacks (`indices` in an .npz file), or put the original's own vector there"
            )
        return vectors


def read_vectors(vectors: ArrayLike | str | Path, num_images: int, vector_shape: tuple[int, ...]) -> GivenVectors:
    """Return vectors from an array or a file.

    Args:
        vectors: Float, (N, ...): NumPy, a torch tensor, or anything that `numpy.asarray` takes; or a path.
        num_images: N.
        vector_shape: Shape of the vector of one original, under the normalizer.

    Raises:
        InvalidInputError: They are not floats, not one per original, of another shape; or the file cannot be read.
    """
    if isinstance(vectors, str | Path):
        array, indices = _read_file(Path(vectors), vector_shape)
    else:
        refuse_masked("vectors", vectors)
        array, indices = on_host(vectors), None
    if array.dtype.kind != "f":
        hint = "; images are no vectors, an attack's floats are" if array.dtype == np.uint8 else ""
        raise InvalidInputError(f"vectors must be floats, got {array.dtype} of shape {array.shape}{hint}")
    if array.ndim < 2 or array.shape[1:] != vector_shape:
        raise InvalidInputError(
            f"vectors must be of shape (N, {', '.join(map(str, vector_shape))}), as the normalizer makes of the "
            f"originals, got {array.shape}; for (N, C, H, W) pass normalizer=dfa.Affine(layout='NCHW')"
        )
    if indices is None:
        if len(array) != num_images:
            raise InvalidInputError(
                f"vectors must be one per original, here {num_images}, got {len(array)}; where the attack gave fewer, "
                "save them to an .npz file with their `indices`"
            )
        return GivenVectors(array, np.arange(num_images, dtype=np.int64))
    return GivenVectors(array, _rows(indices, len(array), num_images))


def _rows(indices: NDArray[Any], num_vectors: int, num_images: int) -> NDArray[np.int64]:
    """Return the row of each original's vector, -1 for none."""
    if indices.dtype.kind not in "iu" or indices.shape != (num_vectors,):
        raise InvalidInputError(
            f"indices must be integers, one per vector, ({num_vectors},), got {indices.dtype} of shape {indices.shape}"
        )
    if num_vectors and (int(indices.min()) < 0 or int(indices.max()) >= num_images):
        raise InvalidInputError(f"indices must be 0..{num_images - 1}, got {indices.min()}..{indices.max()}")
    if len(np.unique(indices)) != num_vectors:
        raise InvalidInputError("indices must name each original at most once, and name one twice")
    rows = np.full(num_images, -1, dtype=np.int64)
    rows[indices] = np.arange(num_vectors)
    return rows


def _read_file(path: Path, vector_shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the vectors of a file, and the originals they belong to where it says so."""
    readers: dict[str, Callable[[], tuple[NDArray[Any], NDArray[Any] | None]]] = {
        ".npy": lambda: _read_arrays(path),
        ".npz": lambda: _read_arrays(path),
        ".csv": lambda: _read_csv(path, vector_shape),
    }
    if path.suffix not in readers:
        raise InvalidInputError(f"vectors must be in a file .npy, .npz or .csv, got {path}")
    return readers[path.suffix]()


def _read_arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    with opened_arrays(path) as arrays:
        if isinstance(arrays, np.ndarray):
            return arrays, None
        if "vectors" not in arrays:
            raise InvalidInputError(f"{path} must hold an array named 'vectors', and holds {sorted(arrays.files)}")
        return on_host(arrays["vectors"]), None if "indices" not in arrays else on_host(arrays["indices"])


def _read_csv(path: Path, vector_shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    size = int(np.prod(vector_shape))
    values: list[list[float]] = []
    indices: list[int] = []
    with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        lines = csv.reader(text)
        header = [name.strip() for name in next(lines, [])]
        has_index = header[:1] == ["index"]
        if len(header) != size + has_index or _is_number(header[-1]):
            raise InvalidInputError(
                f"{path} must begin with a header of {size} columns, one per value of a vector of shape "
                f"{vector_shape}, with a first column 'index' or without, and begins with {len(header)} columns"
                f"{', which are numbers' if header and _is_number(header[-1]) else ''}"
            )
        for line in lines:
            if len(line) != len(header):
                raise InvalidInputError(
                    f"{path}, line {lines.line_num}: must have {len(header)} columns like the header, has {len(line)}"
                )
            try:
                if has_index:
                    indices.append(int(line[0]))
                values.append([float(each) for each in line[has_index:]])
            except ValueError as error:
                raise InvalidInputError(f"{path}, line {lines.line_num}: {error}") from error
    array = np.array(values, dtype=np.float64).reshape(len(values), *vector_shape)
    return array, np.array(indices, dtype=np.int64) if has_index else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def checked_claims(claimed: ArrayLike | None, number: int) -> NDArray[np.bool_] | None:
    """Return the attack's own word, bool, (N,), or None.

    Raises:
        InvalidInputError: It is something else.
    """
    if claimed is None:
        return None
    given = as_array("claimed", claimed)
    if given.dtype != np.bool_ or given.shape != (number,):
        raise InvalidInputError(f"claimed must be bool, ({number},), got {given.dtype} of shape {given.shape}")
    claims: NDArray[np.bool_] = given.copy()
    return claims


def on_host(values: Any) -> NDArray[Any]:
    """Return an array, torch and eagerpy tensors without their graph and brought to the host."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        values = values.detach().cpu()
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"vectors must be an array of floats, got {type(values).__name__}: {error}") from error
