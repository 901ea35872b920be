"""Image files from a word: a folder, a file, or a glob; and what was left out."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dfa.checks import counted
from dfa.errors import InvalidInputError
from dfa.files import reading

_SUFFIXES: Final = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_NAMED: Final = 5
MOST_OTHERS: Final = 10_000
"""Files and folders beside the images that are looked through where a run folder says where they lie."""
_DEEPEST: Final = 3
"""How far below a folder without images they are looked for, to name the glob that finds them."""


@dataclass(frozen=True)
class Found:
    """Image files, and what lay beside them.

    Attributes:
        paths: The image files, in the order of their names.
        left_out: Files that are no images by their names, or hidden.
        folders: Folders in a folder, which are not entered.
        deeper: The glob that would enter them.
    """

    paths: list[Path]
    left_out: list[Path]
    folders: list[Path]
    deeper: str

    def told(self) -> list[str]:
        """Return in words what was left out, at most five of a kind by name."""
        lines = []
        if self.left_out:
            lines.append(f"left out, hidden or not named like an image: {_listed(self.left_out, 'file')}")
        if self.folders:
            lines.append(f"not entered: {_listed(self.folders, 'folder')}; {self.deeper!r} would be")
        return lines


def find_files(word: str, *, most: int | None = None) -> Found:
    """Return the image files that a word names: a folder, a file, or a glob.

    What exists by the very name is meant, also where the name could be a glob.

    Args:
        word: What names them.
        most: The most images that it may name, where the word is not the user's own; None for any number.

    Raises:
        InvalidInputError: It names none, or more.
    """
    path = Path(word)
    most_entries = None if most is None else most + MOST_OTHERS
    with reading(word):
        is_folder = path.is_dir()
        entries = path.iterdir() if is_folder else map(Path, _matches(word))
        everything = sorted(itertools.islice(entries, most_entries))
        folders = [each for each in everything if each.is_dir()]
    files = [each for each in everything if each not in set(folders)]
    images = [each for each in files if is_image(each)]
    if most is not None and (len(images) > most or len(everything) == most_entries):
        raise InvalidInputError(f"{word!r} must name the {most:,} images of the run, and names more")
    if not images:
        raise InvalidInputError(
            f"IMAGES must be a folder or a glob with images ({', '.join(sorted(_SUFFIXES))}), or a .npy or .npz file, "
            f"and {word!r} is none{_way_to_images(path) if is_folder else ''}{_seen(word, files, folders)}"
        )
    left_out = [each for each in files if not is_image(each)]
    below = [each for each in folders if is_folder and not each.name.startswith(".")]
    return Found(images, left_out, below, f"{Path(glob.escape(word)) / '**' / '*'}{images[0].suffix}")


def is_image(path: Path) -> bool:
    """Tell whether a file is named like an image, and not hidden."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def _matches(word: str) -> Iterable[str]:
    """Return what a glob matches; the part of it that exists as it stands is no pattern, whatever is in it."""
    if os.path.lexists(word):
        return [word]
    parts = Path(word).parts
    for cut in range(len(parts) - 1, 0, -1):
        head = str(Path(*parts[:cut]))
        if os.path.lexists(head):
            return glob.iglob(os.path.join(glob.escape(head), *parts[cut:]), recursive=True)
    return glob.iglob(word, recursive=True)


def _seen(word: str, files: list[Path], folders: list[Path]) -> str:
    seen = [_listed(paths, what) for paths, what in ((files, "file"), (folders, "folder")) if paths]
    if seen:
        return f"; what is there: {', '.join(seen)}"
    if os.path.lexists(word):
        return "; it is empty"
    return "; no file matches it" if glob.has_magic(word) else "; nothing of that name is there"


def _way_to_images(folder: Path) -> str:
    """Return the glob that finds the images below a folder that has none itself."""
    for depth in range(1, _DEEPEST + 1):
        pattern = "/".join("*" * (depth + 1))
        found = next((each for each in sorted(folder.glob(pattern)) if is_image(each) and each.is_file()), None)
        if found is not None:
            way = Path(glob.escape(str(folder))) / f"{'*/' * depth}*{found.suffix}"
            return (
                f"; folders in it have images, which {str(way)!r} finds (with the quotes); where each is a class, "
                "dfa attack --labels folders takes them"
            )
    return ""


def _listed(paths: list[Path], what: str) -> str:
    names = ", ".join(each.name for each in paths[:_NAMED])
    return f"{counted(len(paths), what)} ({names}{', ...' if len(paths) > _NAMED else ''})"
