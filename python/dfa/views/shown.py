"""One image of a result as a picture: original, adversarial image and difference, with words."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from dfa.checks import counted_queries
from dfa.errors import InvalidInputError
from dfa.originals import Form
from dfa.results.rates import percent
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.types import Image
from dfa.views.gallery import amplification, tile
from dfa.views.pictures import ALARM, FAINT, INK, LINE, amplified_difference, write, write_centred

_SIDE: Final = 224
"""Pixels that the longer side of an image is drawn with, or a little less where each value is a square."""

_MARGIN: Final = 16
_GAP: Final = 12
_LINE_HEIGHT: Final = 22
_LETTERS: Final = 100


def show(result: Result, index: int) -> Pillow.Image:
    """Return a picture of one image; `Result.show` says how.

    Raises:
        InvalidInputError: As in `Result.show`.
        IndexError: There is no such image.
        MissingDependencyError: Pillow is older than 10.1.
    """
    record = result.records[index]
    original = _original(result, record.index)
    changed = result.images[record.index] if record.found else None
    if changed is None:
        images: list[Image | None] = [original, None, None]
        captions = [_class(result, record.class_before, record.probability_before), *_without(record)]
    else:
        factor = amplification(result, [record.index])
        images = [original, changed, amplified_difference(original, changed, factor)]
        captions = [
            _class(result, record.class_before, record.probability_before),
            _class(result, record.class_after, record.probability_after),
            "the difference" if factor == 1 else f"the difference, {factor} times",
        ]
    return _drawn(_title(record), images, captions, _foot(record))


def _original(result: Result, index: int) -> Image:
    original = None
    with suppress(Exception):  # a file may be gone, and a user's own sequence may raise anything
        original = None if result.originals is None else np.asarray(result.originals[index])
    if original is None:
        raise InvalidInputError(
            f"the original of image {index} must be at hand to be shown, and cannot be had: a result that was loaded "
            "has those of images that fell"
        )
    problem = Form.IMAGES.why_not(original)
    if problem:
        raise InvalidInputError(f"what is shown {problem}")
    return original


def _without(record: Record) -> list[str]:
    if record.status is Status.FAILURE:
        return [f"not broken by {counted_queries(record.queries_sent)}", ""]
    return [record.reason or record.status.value, ""]


def _title(record: Record) -> str:
    return f"image {record.index}{f', {record.source}' if record.source else ''}: {record.status.value}"


def _foot(record: Record) -> str:
    if record.linf is None:
        return ""
    return (
        f"after {counted_queries(record.queries)}: {record.l0:,} values differ, by at most {record.linf:g} grey levels"
    )


def _class(result: Result, number: int | None, probability: float | None) -> str:
    share = "" if probability is None else f" {percent(probability)}"
    return f"{result.class_name(number) or '?'}{share}"


def _drawn(title: str, images: list[Image | None], captions: list[str], foot: str) -> Pillow.Image:
    first = images[0]
    assert first is not None
    height, width = first.shape[:2]
    scale = _SIDE / max(height, width)
    # Each value of a small image is a square of one colour, to be seen as it is.
    scale = float(int(scale)) if scale >= 1 else scale
    size = max(1, round(width * scale)), max(1, round(height * scale))
    cell = max(_SIDE, size[0])
    whole = 2 * _MARGIN + 3 * cell + 2 * _GAP, 2 * _MARGIN + size[1] + 3 * _LINE_HEIGHT + 8
    picture = Pillow.new("RGB", whole, "white")
    draw = ImageDraw.Draw(picture)
    write(draw, (_MARGIN, _MARGIN - 4), _one_line(title), 15, INK)
    top = _MARGIN + _LINE_HEIGHT
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        cell_left = _MARGIN + place * (cell + _GAP)
        left = cell_left + (cell - size[0]) // 2
        if image is not None:
            way = Pillow.Resampling.NEAREST if scale >= 1 else Pillow.Resampling.BOX
            picture.paste(tile(image, max(image.shape)).resize(size, way), (left, top))
        if image is not None or place == 1:
            draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=LINE)
        colour = ALARM if place == 1 and image is not None else INK
        write_centred(draw, cell_left, top + size[1] + 5, cell, (_one_line(caption, 34),), colour)
    write(draw, (_MARGIN, top + size[1] + 5 + _LINE_HEIGHT), _one_line(foot), 13, FAINT)
    return picture


def _one_line(text: str, most: int = _LETTERS) -> str:
    """Return what of a text that may be anybody's is written on one line."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain if len(plain) <= most else f"{plain[: most - 3]}..."
