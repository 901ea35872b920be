"""The images that broke soonest, as files to look at: what was attacked, what it became, and what changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from dfa.errors import StoreError
from dfa.originals import difference
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.runs.image_files import encode_image, image_file
from dfa.types import Image

_MOST: Final = 8
_NAME: Final = re.compile(r"image-\d{6,}-(original|adversarial|difference)\.(png|npy)")


class Broken(NamedTuple):
    """An image that broke, and the files that show it."""

    record: Record
    files: tuple[Path, ...]


def write_evidence(result: Result, folder: Path, *, most: int = _MOST) -> list[Broken]:
    """Write the images that broke by the fewest queries to a folder, three files each, in place of older ones.

    The files are called `image-<place>-original.png`, `-adversarial.png` and `-difference.png`; .npy where a PNG cannot
    hold them. In a difference, grey is no change and the largest change is black or white.

    Args:
        result: With its originals.
        folder: Made if absent; other files in it are left alone.
        most: The most images.

    Raises:
        StoreError: The folder cannot be written.
        InvalidInputError: An original cannot be read again.
    """
    broken = [record for record in result.records if record.status is Status.SUCCESS]
    worst = sorted(broken, key=lambda record: (record.queries, record.index))[:most]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if _NAME.fullmatch(file.name):
                file.unlink()
        return [Broken(record, _write(result, record.index, folder)) for record in worst]
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"cannot write pictures to {folder}: {error}; choose another folder") from error


def _write(result: Result, index: int, folder: Path) -> tuple[Path, ...]:
    adversarial = result.images[index]
    if adversarial is None or result.originals is None:
        return ()
    original = result.originals[index]
    pictures = {"original": original, "adversarial": adversarial}
    if image_file(adversarial, index).endswith(".png"):
        pictures["difference"] = _stretched(adversarial, original)
    files = []
    for name, picture in pictures.items():
        suffix = Path(image_file(picture, index)).suffix
        files.append(folder / f"image-{index:06d}-{name}{suffix}")
        files[-1].write_bytes(encode_image(picture))
    return tuple(files)


def _stretched(adversarial: Image, original: Image) -> Image:
    """Return a difference as an image: 128 for none, and the largest at an end of 1..255; alpha, if any, opaque."""
    change = difference(adversarial, original)
    scaled = np.rint(change * (127 / max(1, int(np.abs(change).max())))).astype(np.int64)
    picture: Image = (128 + scaled).astype(np.uint8)
    if picture.shape[2] == 4:
        picture[:, :, 3] = 255
    return picture
