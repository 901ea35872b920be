"""Pictures for people: rows of enlarged images with a line of text under each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from dfa.errors import MissingDependencyError
from dfa.types import Image

Caption: TypeAlias = tuple[str, ...]
"""One text, or two: what was, and what became of it."""

_Colour: TypeAlias = tuple[int, int, int]

INK: _Colour = (34, 34, 34)
FAINT: _Colour = (112, 112, 112)
ALARM: _Colour = (190, 30, 45)
LINE: _Colour = (205, 205, 205)

_MARGIN = 24
_GAP = 18
_LABELS = 112
_HEADING = 96
_SECTION = 40
_CAPTION = 30
_ARROW = 12
_CAPTION_SIZE = 13


def amplified_difference(original: Image, changed: Image, factor: int) -> Image:
    """Return 128 + factor * (changed - original), clamped: uint8, (H, W, C); mid-grey is no change."""
    difference = changed.astype(np.int64) - original
    amplified: Image = np.clip(128 + factor * difference, 0, 255).astype(np.uint8)
    return amplified


@dataclass(frozen=True)
class _Section:
    title: str
    height: int = _SECTION


@dataclass(frozen=True)
class _Row:
    label: str
    images: tuple[Image | None, ...]
    captions: tuple[Caption, ...]
    height: int


class Sheet:
    """A contact sheet: a heading, then sections and rows from top to bottom."""

    def __init__(self, title: str, text: str, *, num_columns: int, cell: int) -> None:
        """Begin an empty sheet.

        Args:
            title: Its heading.
            text: A line or more under the heading.
            num_columns: Images per row, at most.
            cell: Width and height that each image is enlarged to, in pixels of the picture.
        """
        self._title = title
        self._text = text
        self._num_columns = num_columns
        self._cell = cell
        self._parts: list[_Section | _Row] = []

    def add_section(self, title: str) -> None:
        """Add a line and a title under what is there."""
        self._parts.append(_Section(title))

    def add_row(self, label: str, images: Sequence[Image | None], captions: Sequence[Caption]) -> None:
        """Add a row of images under what is there.

        Args:
            label: Stands to the left of the row.
            images: uint8, (H, W, 1) or (H, W, 3), or None for an empty frame.
            captions: One for each image.
        """
        self._parts.append(_Row(label, tuple(images), tuple(captions), self._cell + _CAPTION))

    def draw(self) -> Pillow.Image:
        """Return the picture."""
        width = 2 * _MARGIN + _LABELS + self._num_columns * (self._cell + _GAP) - _GAP
        height = 2 * _MARGIN + _HEADING + sum(part.height for part in self._parts)
        picture = Pillow.new("RGB", (width, height), "white")
        draw = ImageDraw.Draw(picture)
        write(draw, (_MARGIN, _MARGIN), self._title, 22, INK)
        write(draw, (_MARGIN, _MARGIN + 34), self._text, 14, FAINT)
        top = _MARGIN + _HEADING
        for part in self._parts:
            if isinstance(part, _Section):
                draw.line((_MARGIN, top + 4, width - _MARGIN, top + 4), fill=LINE)
                write(draw, (_MARGIN, top + 13), part.title, 16, INK)
            else:
                self._draw_row(picture, draw, part, top)
            top += part.height
        return picture

    def _draw_row(self, picture: Pillow.Image, draw: ImageDraw.ImageDraw, row: _Row, top: int) -> None:
        write(draw, (_MARGIN, top + self._cell // 2 - 9), row.label, 15, FAINT)
        left = _MARGIN + _LABELS
        for image, caption in zip(row.images, row.captions, strict=True):
            draw.rectangle((left - 1, top - 1, left + self._cell, top + self._cell), outline=LINE)
            if image is None:
                write_centred(draw, left, top + self._cell // 2 - 8, self._cell, ("none found",), FAINT)
            else:
                pixels = image[:, :, 0] if image.shape[2] == 1 else image
                size = (self._cell, self._cell)
                # Each value of the image stays a square of one colour, to be seen as it is.
                picture.paste(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.NEAREST), (left, top))
            if image is not None or len(caption) == 1:
                write_centred(draw, left, top + self._cell + 4, self._cell, caption, INK)
            left += self._cell + _GAP


def write_centred(
    draw: ImageDraw.ImageDraw, left: float, top: float, width: float, caption: Caption, colour: _Colour
) -> None:
    """Write one text, or two with an arrow between them, centred over `width`."""
    lengths = [_font(_CAPTION_SIZE).getlength(text) for text in caption]
    if len(caption) == 1:
        write(draw, (left + (width - lengths[0]) / 2, top), caption[0], _CAPTION_SIZE, colour)
        return
    space = 5
    start = left + (width - sum(lengths) - _ARROW - 2 * space) / 2
    tail = start + lengths[0] + space
    tip, middle = tail + _ARROW, top + 8
    write(draw, (start, top), caption[0], _CAPTION_SIZE, FAINT)
    # Drawn, because the font that comes with Pillow has no arrow.
    draw.line((tail, middle, tip - 4, middle), fill=FAINT)
    draw.polygon([(tip - 5, middle - 3), (tip, middle), (tip - 5, middle + 3)], fill=FAINT)
    write(draw, (tip + space, top), caption[1], _CAPTION_SIZE, ALARM)


def write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, colour: _Colour) -> None:
    """Write a text, its upper left corner at a place."""
    draw.text(place, text, fill=colour, font=_font(size))


def _font(size: int) -> Any:
    try:
        return ImageFont.load_default(size)
    except TypeError as error:  # before 10.1 its font was of one size, and of few letters
        raise MissingDependencyError("pictures with words need Pillow 10.1 or newer: pip install -U pillow") from error
