"""The one door to the files of a run folder, which may have come from anybody.

A file has a fixed name inside the folder, "run.json" or "images/000017.png". Below the folder no link is followed,
whether to read, to write or to remove, and a hard link is no better: an archive may hold one to any file of the user's.
Only regular files are opened, and none is read beyond a size that the caller names. The folder itself is the user's
word, and may be a link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dfa.errors import StoreError

_HAS_DIR_FD: Final = {os.open, os.unlink, os.rename, os.stat, os.mkdir} <= os.supports_dir_fd
_NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_FLAGS: Final[int] = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | _NO_FOLLOW


_MANY: Final = 32
"""Files from which on they are not waited for one by one."""

_LARGE: Final = 2**26
_SPARSE: Final = 16
"""From so many bytes on, a file that takes less than this part of them on the disk is one that claims to be large. File
systems that compress take less of honest files too, but not that much less."""


@dataclass(frozen=True)
class _Parent:
    """The folder that a file lies in, held open where the platform can, so that it cannot be exchanged meanwhile.

    Attributes:
        path: Its path.
        descriptor: Held open, or None.
    """

    path: str
    descriptor: int | None

    def at(self, name: str) -> str:
        """Return what the system is to be given, with `descriptor`, for a name."""
        return os.path.join(self.path, name) if self.descriptor is None else name

    def lstat(self, name: str) -> os.stat_result | None:
        """Return what lies under a name, links not followed; None for nothing."""
        try:
            return os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None


def read_file(folder: str | Path, name: str, *, most: int) -> bytes:
    """Return what a file of a run folder holds.

    Args:
        folder: The folder.
        name: The file's path inside it, with at most one slash.
        most: The most bytes that it may hold.

    Raises:
        FileNotFoundError: It is absent.
        StoreError: It is a link, hard or symbolic, no regular file, or larger.
        OSError: The system refuses.
    """
    with _parent(folder, name) as (parent, last):
        _refuse_others(parent, last)
        # Whoever opens a FIFO that nobody writes to would wait for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS
        with open(_open(parent, last, flags), "rb") as file:
            found = os.fstat(file.fileno())
            _refuse_unless_own(parent, last, found)
            if found.st_size > most:
                raise StoreError(
                    f"{os.path.join(parent.path, last)} must hold no more than {most:,} bytes, and holds "
                    f"{found.st_size:,}"
                )
            # Not all there is: it may grow meanwhile. Nor `most`, which would be reserved.
            return file.read(found.st_size)


def last_bytes(folder: str | Path, name: str, number: int) -> bytes:
    """Return the last bytes of a file, as many as there are; none of one that is absent.

    Raises:
        StoreError: It is a link, or no regular file.
        OSError: The system refuses.
    """
    with contextlib.suppress(FileNotFoundError), _parent(folder, name) as (parent, last):
        _refuse_others(parent, last)
        with open(_open(parent, last, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - number))
            return file.read(number)
    return b""


def write_file(folder: str | Path, name: str, content: bytes | Iterable[bytes], *, is_synced: bool = False) -> None:
    """Write a file so that it is there whole or not at all; folders are made as needed.

    Args:
        folder: The folder.
        name: The file's path inside it, with at most one slash.
        content: What it is to hold, as a whole or in parts, which are written as they come.
        is_synced: Wait until it lies on the disk, under its name.

    Raises:
        StoreError: Something lies there that is no regular file.
        OSError: The system refuses.
    """
    with _parent(folder, name, makes=True) as (parent, last):
        _refuse_others(parent, last)
        temporary = f".{last}.{os.getpid()}.tmp"
        try:
            _fill(os.path.join(parent.path, temporary), _create(parent, temporary), content, is_synced)
            os.replace(
                parent.at(temporary), parent.at(last), src_dir_fd=parent.descriptor, dst_dir_fd=parent.descriptor
            )
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(parent.at(temporary), dir_fd=parent.descriptor)
            raise
        if is_synced:
            _sync(parent, ".")


def remove_files(folder: str | Path, names: Iterable[str]) -> None:
    """Remove files of a run folder, all or, where one is refused, none; one that is absent is no matter.

    Raises:
        StoreError: Something is a link, or no regular file.
        OSError: The system refuses.
    """
    names = list(names)
    for name in names:
        with contextlib.suppress(FileNotFoundError), _parent(folder, name) as (parent, last):
            _refuse_others(parent, last)
    for name in names:
        with contextlib.suppress(FileNotFoundError), _parent(folder, name) as (parent, last):
            _refuse_others(parent, last)
            os.unlink(parent.at(last), dir_fd=parent.descriptor)


def holds(folder: str | Path, name: str) -> bool:
    """Tell whether something lies under a name, a link among others.

    Raises:
        StoreError: The folder that it would lie in is a link, or the system refuses.
    """
    try:
        with _looking(folder), _parent(folder, name) as (parent, last):
            return parent.lstat(last) is not None
    except (FileNotFoundError, NotADirectoryError):
        return False


def size_of(folder: str | Path, name: str) -> int:
    """Return the bytes of what lies under a name, 0 for nothing, without opening it: that would cost SQLite its locks.

    Raises:
        StoreError: The folder that it would lie in is a link, or the system refuses.
    """
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        _looking(folder),
        _parent(folder, name) as (
            parent,
            last,
        ),
    ):
        found = parent.lstat(last)
        return 0 if found is None else found.st_size
    return 0


def names_in(folder: str | Path, place: str) -> list[str]:
    """Return the names in a folder inside a run folder, sorted; none if it is absent.

    Raises:
        StoreError: It is a link, or no folder, or the system refuses.
    """
    try:
        with _looking(folder), _parent(folder, f"{place}/.") as (parent, _):
            return sorted(os.listdir(parent.path if parent.descriptor is None else parent.descriptor))
    except (FileNotFoundError, NotADirectoryError):
        return []


def sync_files(folder: str | Path, names: Iterable[str]) -> None:
    """Wait until files lie on the disk, under their names.

    Raises:
        OSError: The system refuses, or one is absent.
    """
    names = list(names)
    if len(names) > _MANY and sys.platform == "linux":
        # Waits for all that any program has written, which takes one turn of the disk, and not one for each file.
        os.sync()
        return
    places: dict[str, list[str]] = {}
    for name in names:
        place, _, last = name.rpartition("/")
        places.setdefault(place, []).append(last)
    for place, lasts in places.items():
        with _parent(folder, f"{place}/." if place else ".") as (parent, _):
            for last in (*lasts, "."):
                _sync(parent, last)
    if any(places):
        sync_folder(folder)


def sync_folder(folder: str | Path) -> None:
    """Wait until the names in a folder lie on the disk.

    Raises:
        OSError: The system refuses.
    """
    with _parent(folder, ".") as (parent, _):
        _sync(parent, ".")


def require_regular(folder: str | Path, names: Iterable[str]) -> None:
    """Refuse files that others than this module open, SQLite's, where they are links or no regular files.

    Raises:
        FileNotFoundError: The folder is absent.
        StoreError: One is there, and is no regular file, or the system refuses.
    """
    with _looking(folder), _parent(folder, ".") as (parent, _):
        for name in names:
            _refuse_others(parent, name)


@contextlib.contextmanager
def _looking(folder: str | Path) -> Iterator[None]:
    try:
        yield
    except (StoreError, FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise StoreError(f"{folder} must be a folder that can be read, and cannot: {error}") from error


@contextlib.contextmanager
def _parent(folder: str | Path, name: str, *, makes: bool = False) -> Iterator[tuple[_Parent, str]]:
    """Open the folder that a file lies in, and give it with the file's last name.

    Plain strings and numbers: on small images `pathlib` would cost a third of the whole.
    """
    place, _, last = name.rpartition("/")
    base = os.fspath(folder)
    opened: list[int] = []
    parent = _Parent(base, None)
    try:
        if makes and not os.path.isdir(base):
            os.makedirs(base, exist_ok=True)
        if _HAS_DIR_FD:
            opened.append(os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            parent = _Parent(base, opened[-1])
        if place:
            if makes:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(parent.at(place), dir_fd=parent.descriptor)
            found = parent.lstat(place)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.path.join(base, place))
            if not stat.S_ISDIR(found.st_mode):
                raise _refused(parent, place, "a folder", found.st_mode)
            path = os.path.join(base, place)
            if _HAS_DIR_FD:
                opened.append(_open(parent, place, os.O_RDONLY | os.O_DIRECTORY | _FLAGS))
            parent = _Parent(path, opened[-1] if opened else None)
        yield parent, last
    finally:
        for each in opened:
            os.close(each)


def _open(parent: _Parent, name: str, flags: int) -> int:
    try:
        return os.open(parent.at(name), flags, 0o666, dir_fd=parent.descriptor)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _refused(parent, name, "of its own", stat.S_IFLNK) from error
        error.filename = os.path.join(parent.path, name)
        raise


def _create(parent: _Parent, name: str) -> int:
    """Return a new file, open for writing, in place of one that a killed process may have left under its name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
    try:
        return _open(parent, name, flags)
    except FileExistsError:
        os.unlink(parent.at(name), dir_fd=parent.descriptor)
        return _open(parent, name, flags)


def _fill(path: str, descriptor: int, content: bytes | Iterable[bytes], is_synced: bool) -> None:
    """Write a file that was just made; `path` is only told."""
    with open(descriptor, "wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)
        if is_synced:
            file.flush()
            os.fsync(descriptor)


def _sync(parent: _Parent, name: str) -> None:
    if not _HAS_DIR_FD and name == ".":
        return  # such a platform opens no folders
    descriptor = _open(parent, name, os.O_RDONLY | _FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_others(parent: _Parent, name: str) -> None:
    found = parent.lstat(name)
    if found is not None:
        _refuse_unless_own(parent, name, found)


def _refuse_unless_own(parent: _Parent, name: str, found: os.stat_result) -> None:
    """Refuse what is no regular file, or has another name, or claims to be far larger than it is.

    Raises:
        StoreError: It is one of these.
    """
    path = os.path.join(parent.path, name)
    if not stat.S_ISREG(found.st_mode):
        raise _refused(parent, name, "a regular file", found.st_mode)
    if found.st_nlink > 1:
        raise StoreError(
            f"{path} must be a file of its own, and is a hard link, one of {found.st_nlink} names of one file; whoever "
            "made the folder may have linked a file of yours. If the links are your own, as those of a backup are, "
            "copy the folder (cp -r) and use the copy"
        )
    if found.st_size > _LARGE and _SPARSE * _on_disk(found) < found.st_size:
        raise StoreError(
            f"{path} must hold what it claims, and is a sparse file: {found.st_size:,} bytes, of which "
            f"{_on_disk(found):,} are on the disk; choose another folder"
        )


def _on_disk(found: os.stat_result) -> int:
    """Return the bytes that a file takes on the disk; all of it where the platform does not tell."""
    blocks: int | None = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else 512 * blocks


def _refused(parent: _Parent, name: str, expected: str, mode: int) -> StoreError:
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFREG: "a file"}
    return StoreError(
        f"{os.path.join(parent.path, name)} must be {expected}, and is {kinds.get(stat.S_IFMT(mode), 'a device')}; "
        "links inside a run folder are not followed: put there what belongs there, or choose another folder"
    )
