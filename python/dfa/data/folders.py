"""Trees of image files with a folder for each class, and folders of image files alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfa.checks import counted, require_path
from dfa.data.image_files import Channels, ImageFiles, channels_of, open_files
from dfa.data.image_set import ImageSet, listed
from dfa.data.paths import MOST_OTHERS, is_image
from dfa.errors import InvalidInputError
from dfa.files import reading
from dfa.search.class_names import class_id, parse_class_names


def image_files(
    path: str | os.PathLike[str], *, channels: Channels = "auto", size: tuple[int, int] | None = None
) -> ImageSet:
    """Return the image files of a folder, or of a glob, each decoded when it is attacked.

    Args:
        path: A folder, whose folders are not entered; a file; or a glob. Files are taken in the order of their names;
            hidden ones, and those not named like an image, are left out.
        channels: "grey" for (H, W, 1), "rgb" for (H, W, 3), or "auto" for what the first file has that can be read.
        size: (H, W) to resize them to, once, by Pillow's bicubic filter; None to leave them as they are.

    Returns:
        The images, without labels. They are called by where they lie in the folder that holds them all.

    Raises:
        InvalidInputError: There is no image file.
    """
    files, _ = open_files(os.fspath(require_path("path", path)), channels, size)
    return ImageSet(files, names=files.names)


def image_folder(
    path: str | os.PathLike[str],
    class_names: Sequence[str] | None = None,
    *,
    channels: Channels = "auto",
    size: tuple[int, int] | None = None,
) -> ImageSet:
    """Return the image files of a tree with a folder for each class, with their labels.

    The folders of `path` are the classes; folders in them are entered too, hidden ones are not. Without `class_names`
    a class has the id of its place in the order of their names, as in torchvision's `ImageFolder` (so folder 10 comes
    before folder 2). These are the model's ids only if it was trained so.

    Args:
        path: The folder of the folders.
        class_names: What the model's classes are called, in its order; a folder may also be called by an id. None:
            the names of the folders.
        channels: As of `image_files`.
        size: As of `image_files`.

    Returns:
        The images, in the order of their paths, with labels, class names, and where they lie in the folder.

    Raises:
        InvalidInputError: There are no such folders; an image lies beside them; a folder has no image; or it is called
            as none of `class_names`.
    """
    return open_folder(require_path("path", path), class_names, channels, size)


def open_folder(
    top: Path,
    class_names: Sequence[str] | None = None,
    channels: Channels = "auto",
    size: tuple[int, int] | None = None,
    *,
    wanted: int | None = None,
    most: int | None = None,
) -> ImageSet:
    """Return what `image_folder` does.

    Args:
        top: Its path.
        class_names: As there.
        channels: As there; "auto" is what the model takes, if that is known.
        size: As there.
        wanted: Channels that the model takes, if known.
        most: The most files that it may find, where the word is not the user's own; None for any number.

    Raises:
        InvalidInputError: As there; or there are more files.
    """
    names = parse_class_names(class_names)
    with reading(top):
        entries = sorted(each for each in top.iterdir() if not each.name.startswith("."))
        folders = [each for each in entries if each.is_dir()]
        loose = [each.name for each in entries if is_image(each) and not each.is_dir()]
        found = _images_in(folders, top, most)
    if not folders:
        raise InvalidInputError(
            f"{str(top)!r} must be a folder with a folder of images for each class, such as {top.name}/cat/1.png, and "
            f"has no folder, but {counted(len(loose), 'image')}; put each image into the folder of its class, or take "
            "them without labels: dfa.data.image_files"
        )
    if len(folders) == 1 and names is None:
        raise InvalidInputError(
            f"{str(top)!r} must have a folder for each class, and has only {folders[0].name!r}; pass class_names= the "
            "model's, of which that is one"
        )
    if loose:
        raise InvalidInputError(
            f"every image of {str(top)!r} must lie in the folder of its class, and beside the folders lie "
            f"{listed(loose)}"
        )
    empty = [folder.name for folder, images in zip(folders, found, strict=True) if not images]
    if empty and (names is None or len(empty) == len(folders)):
        raise InvalidInputError(
            f"every folder of {str(top)!r} must hold images of a class, and none are in {listed(empty)}; put images "
            "there, or remove such folders"
        )
    ids = range(len(folders)) if names is None else _ids_of(folders, names, top)
    paths = [image for images in found for image in images]
    files = ImageFiles(paths, channels_of(paths, channels, wanted), size, top)
    return ImageSet(
        files,
        names=files.names,
        labels=np.repeat(np.array(ids, dtype=np.int64), [len(images) for images in found]),
        class_names=[folder.name for folder in folders] if names is None else names,
    )


def _images_in(folders: Sequence[Path], top: Path, most: int | None) -> list[list[Path]]:
    """Return the images below each folder, in the order of their paths.

    Raises:
        InvalidInputError: There are more than `most`, or far more of other files.
    """
    found: list[list[Path]] = []
    num_seen = num_images = 0
    for folder in folders:
        found.append([])
        for place, below, files in os.walk(folder, onerror=_raise):
            below[:] = [each for each in below if not each.startswith(".")]
            found[-1] += [Path(place, each) for each in files if is_image(Path(each))]
            num_seen += len(below) + len(files)
            if most is not None and (num_images + len(found[-1]) > most or num_seen > most + MOST_OTHERS):
                raise InvalidInputError(f"{str(top)!r} must hold the {most:,} images of the run, and holds more")
        found[-1].sort()
        num_images += len(found[-1])
    return found


def _raise(error: OSError) -> None:
    raise error


def _ids_of(folders: Sequence[Path], names: Sequence[str], top: Path) -> list[int]:
    """Return the class of each folder.

    Raises:
        InvalidInputError: One has the name of none; all such are told of.
    """
    ids, lost, reason = [], [], ""
    for folder in folders:
        try:
            ids.append(class_id(folder.name, names))
            if ids[-1] >= len(names):
                raise InvalidInputError(f"there are {len(names)} classes, and no class {ids[-1]}")
        except InvalidInputError as error:
            lost.append(folder.name)
            reason = reason or str(error)
    if lost:
        raise InvalidInputError(
            f"every folder of {str(top)!r} must be called as one of class_names, and these are not: "
            f"{', '.join(map(repr, lost))}; {reason}"
        )
    return ids
