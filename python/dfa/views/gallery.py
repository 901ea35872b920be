"""The pictures of a page: strips of original, adversarial image and difference, as data that stands in the page."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image as Pillow

from dfa.originals import Form
from dfa.results.record import Record
from dfa.results.result import Result
from dfa.types import Image
from dfa.views.pictures import amplified_difference
from dfa.views.verdict import epsilon_of

SMALL: Final = 64
"""Images up to this side are shown value by value, larger ones as thumbnails."""

THUMBNAIL: Final = 112
LARGE: Final = 224

_MOST_FACTOR: Final = 32
_TRIED: Final = 8
"""Images of which one can be had, or it is looked for no further."""


@dataclass(frozen=True)
class Picture:
    """A strip of images of one size.

    Attributes:
        data: As a URL.
        width: Pixels.
        height: Pixels.
        text: What it shows, for those who do not see it.
        record: Of the image, where it is of one that fell.
    """

    data: str
    width: int
    height: int
    text: str
    record: Record | None = None

    @property
    def is_exact(self) -> bool:
        """Whether it holds the images value by value."""
        return self.data.startswith("data:image/png")


@dataclass(frozen=True)
class Gallery:
    """What a page shows of a run's images.

    Attributes:
        worst: Large, those that fell to the fewest queries.
        pictures: Small, from few queries to many.
        factor: How many times as large differences are shown.
    """

    worst: list[Picture]
    pictures: list[Picture]
    factor: int


def gallery(result: Result, most: int, *, worst: int) -> Gallery:
    """Return the pictures of the images that fell.

    Args:
        result: What a run found. An image whose file is gone, or whose original cannot be had, is left out.
        most: Small pictures; of more images, every n-th by queries.
        worst: Large ones.
    """
    found = _by_queries(result)
    chosen = found
    if len(found) > most:
        chosen = [found[place] for place in np.linspace(0, len(found) - 1, most).astype(int)] if most else []
    factor = amplification(result, found)
    return Gallery(
        worst=first_strips(result, fallen(result), worst, factor, LARGE),
        pictures=[picture for index in chosen if (picture := strip(result, index, factor, THUMBNAIL))],
        factor=factor,
    )


def fallen(result: Result) -> list[int]:
    """Return the images that fell and whose files hold, as far as they were looked at, from few queries to many."""
    return [index for index in _by_queries(result) if result.records[index].verified and index not in result.refuted]


def _by_queries(result: Result) -> list[int]:
    """Return the images of which something was found that is held, from few queries to many."""
    held = [index for index in result.images.held() if result.records[index].found]
    return sorted(held, key=lambda index: (result.records[index].queries, index))


def amplification(result: Result, indices: Sequence[int]) -> int:
    """Return how many times as large the differences of images may be shown."""
    largest = max((result.records[index].linf or 1 for index in indices), default=1)
    return max(1, min(_MOST_FACTOR, 120 // max(1, round(largest))))


def pair_of(result: Result, index: int) -> tuple[Image, Image] | None:
    """Return original and adversarial image, or None where either cannot be had or is no image."""
    original = changed = None
    # Files may be gone; a user's own sequence may raise anything when it is read once more.
    with suppress(Exception):
        changed = result.images[index]
        original = None if result.originals is None or changed is None else np.asarray(result.originals[index])
    if changed is None or original is None or changed.shape != original.shape:
        return None
    return None if any(map(Form.IMAGES.why_not, (original, changed))) else (original, changed)


def strip(result: Result, index: int, factor: int, side: int) -> Picture | None:
    """Return an image that fell: original, adversarial and difference; None where `pair_of` has none.

    Args:
        result: What a run found.
        index: The image.
        factor: Of the difference.
        side: Pixels at most, of an image that is not small.
    """
    pair = pair_of(result, index)
    if pair is None:
        return None
    record = result.records[index]
    text = (
        f"image {record.index}: original, class {result.class_name(record.class_before)}; adversarial, class "
        f"{result.class_name(record.class_after)}; difference, {factor} times"
    )
    return _joined([*pair, amplified_difference(*pair, factor)], side, text, record)


def what_is_allowed(result: Result) -> Picture | None:
    """Return what epsilon looks like: an image, and the same with every value moved by epsilon at random.

    Of a run whose images may not all change by one epsilon there is none.
    """
    epsilon, shape = epsilon_of(result.config), result.config.get("shape")
    if epsilon is None or not isinstance(shape, list | tuple) or len(shape) != 3:
        return None
    # Where nothing fell, or nothing is left of it: mid-grey, as large as the images and not too large.
    original, what = np.full((*(min(side, LARGE) for side in shape[:2]), 1), 128, np.uint8), "mid-grey"
    for index in fallen(result)[:_TRIED]:
        if pair := pair_of(result, index):
            original, what = pair[0], f"image {index}"
            break
    signs = np.random.default_rng(0).choice([-1, 1], original.shape)
    moved = np.clip(original + epsilon * signs, 0, 255).astype(np.uint8)
    return _joined([original, moved], LARGE, f"{what}, and the same with every value {epsilon} up or down")


def first_strips(result: Result, indices: Sequence[int], number: int, factor: int, side: int) -> list[Picture]:
    """Return the first pictures that can be had of images, `number` at most."""
    strips = (strip(result, index, factor, side) for index in indices[: number * _TRIED])
    return list(itertools.islice((each for each in strips if each is not None), number))


def _joined(images: Sequence[Image], side: int, text: str, record: Record | None = None) -> Picture:
    tiles = [tile(image, side) for image in images]
    width, height = tiles[0].size
    gap = max(1, width // 28)
    is_grey = tiles[0].mode == "L"
    joined = Pillow.new(tiles[0].mode, (len(tiles) * (width + gap) - gap, height), 128 if is_grey else (128, 128, 128))
    for place, each in enumerate(tiles):
        joined.paste(each, (place * (width + gap), 0))
    buffer = io.BytesIO()
    # Small images are kept as they are; of large ones only a thumbnail is shown, which nobody measures.
    is_small = max(images[0].shape[:2]) <= SMALL
    if is_small:
        joined.save(buffer, format="png", optimize=True)
    else:
        joined.save(buffer, format="jpeg", quality=80)
    kind = "png" if is_small else "jpeg"
    data = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(data, joined.width, joined.height, text, record)


def tile(image: Image, side: int) -> Pillow.Image:
    """Return an image of any number of channels as a picture, a large one as a thumbnail of at most `side` pixels."""
    channels = image.shape[2]
    if channels not in (1, 3):
        # Whatever the channels stand for, the first three (or the only one of two) give an idea.
        image = image[:, :, :3] if channels > 3 else image[:, :, :1]
    picture = Pillow.fromarray(image[:, :, 0] if image.shape[2] == 1 else np.ascontiguousarray(image))
    if max(picture.size) > SMALL:
        picture.thumbnail((side, side), Pillow.Resampling.BOX)
    return picture
