"""The one door through which files of users are read: images, arrays, tables, models.

Decoders raise whatever they like. Here all of it becomes an `InvalidInputError` with the file's name.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from dfa.errors import DfaError, InvalidInputError

_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NPY: Final = b"\x93NUMPY"
_ZIP: Final = b"PK"
"""How .npy and .npz files begin."""

_LARGE: Final = 2**28
_MOST_TIMES: Final = 200
"""From so many bytes on, an archive's member may not be so many times as large as in the archive. Photographs stay as
large as they are; zeros become a thousandth."""


UNREAD: Final = 141
"""Exit status where nobody reads the output to its end: what a shell says of a command that SIGPIPE ended."""


def let_go_of_output() -> None:
    """Keep the interpreter from writing to a pipe that nobody reads once more, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Raise whatever goes wrong inside as one error that names the file.

    Raises:
        InvalidInputError: An exception that dfa did not raise on purpose.
    """
    try:
        yield
    except DfaError:
        raise
    except Exception as error:  # of Pillow, zipfile, NumPy, csv: no two have a root in common
        raise InvalidInputError(f"cannot read {str(path)!r}: {_reason(error)}") from error


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file, and blame it for what goes wrong while it is open.

    Raises:
        InvalidInputError: It is none, cannot be opened, or what is done with it fails, however.
    """
    with reading(path), open(path, "rb", opener=_open_without_waiting) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "none")
            raise InvalidInputError(f"cannot read {str(path)!r}: it must be a file, and is {kind}")
        yield file


@contextlib.contextmanager
def opened_arrays(path: str | Path) -> Iterator[Any]:
    """Open a .npy or .npz file: an array, mapped and not read, or what `numpy.load` gives for an archive.

    Raises:
        InvalidInputError: As of `opened`; or it is no such file, whatever its name.
    """
    with opened(path) as file:
        magic = file.read(6)
        if not magic.startswith((_NPY, _ZIP)):
            # NumPy would take it for a pickle, and advise to load it as one.
            raise InvalidInputError(f"cannot read {str(path)!r}: it must be a .npy or .npz file of NumPy, and is none")
        if magic.startswith(_NPY):
            yield np.load(path, mmap_mode="r", allow_pickle=False)
            return
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            _refuse_bombs(path, archive.zip)
            yield archive


def _refuse_bombs(path: str | Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive whose directory says that unpacking it would take far more than it holds.

    Raises:
        InvalidInputError: It is one.
    """
    for member in archive.infolist():
        if member.file_size > max(_LARGE, _MOST_TIMES * member.compress_size):
            raise InvalidInputError(
                f"cannot read {str(path)!r}: {member.filename!r} must not unpack to more than {_MOST_TIMES} times "
                f"itself, and {member.compress_size:,} bytes would become {member.file_size:,}; save it uncompressed "
                "(np.savez, or np.save)"
            )


def check_file(path: str | Path) -> None:
    """Make sure that a file can be read, before a library of others is given its name.

    Raises:
        InvalidInputError: As of `opened`.
    """
    with opened(path):
        pass


def _open_without_waiting(path: str, flags: int) -> int:
    # A pipe would wait for somebody to write.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text; save it as UTF-8"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}".removesuffix(": ")
