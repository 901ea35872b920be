"""How spaces draw and move their vectors themselves, written anew and slowly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .philox import Stream

Image = NDArray[np.uint8]

ATTEMPTS = 16
NEAR = 2
MOVES_TO_ONE_PLACE = 5


@dataclass(frozen=True)
class Moves:
    """What a space does with a whole vector."""

    start: Callable[[Stream, Image], list[int]]
    move: Callable[[Stream, Image, list[int], float], list[int]]
    """Of the vector, and the share of it that is to be drawn anew."""


def half_up(value: float) -> int:
    """The nearest integer."""
    return math.floor(value + 0.5)


def corner(stream: Stream, channels: int) -> list[int]:
    """A corner of the colour cube."""
    return [255 * stream.below(2) for _ in range(channels)]


def draw_pixel(stream: Stream, image: Image, places: list[tuple[int, int]], taken: set[tuple[int, int]]) -> list[int]:
    """Row, column and colour: a place that is not taken, half of the time near one of `places`."""
    height, width, channels = image.shape
    for _ in range(ATTEMPTS):
        if places and stream.below(2):
            row, column = places[stream.below(len(places))]
            row = min(max(row + stream.below(2 * NEAR + 1) - NEAR, 0), height - 1)
            column = min(max(column + stream.below(2 * NEAR + 1) - NEAR, 0), width - 1)
        else:
            row, column = divmod(stream.below(height * width), width)
        if (row, column) not in taken:
            break
    colour = corner(stream, channels)
    if colour == image[row, column].tolist():
        turned = stream.below(channels)
        colour[turned] = 255 - colour[turned]
    return [row, column, *colour]


def pixels(number: int) -> Moves:
    """Pixels at places of their own, in colours that the image does not have there."""

    def start(stream: Stream, image: Image) -> list[int]:
        vector: list[int] = []
        taken: set[tuple[int, int]] = set()
        for _ in range(number):
            pixel = draw_pixel(stream, image, [], taken)
            taken.add((pixel[0], pixel[1]))
            vector += pixel
        return vector

    def move(stream: Stream, image: Image, vector: list[int], share: float) -> list[int]:
        width = 2 + image.shape[2]
        drawn = [vector[i * width : (i + 1) * width] for i in range(number)]
        taken = {(pixel[0], pixel[1]) for pixel in drawn}
        order = list(range(number))
        for i in range(min(max(half_up(share * number), 1), number)):
            j = i + stream.below(number - i)
            order[i], order[j] = order[j], order[i]
            pixel = draw_pixel(stream, image, [(each[0], each[1]) for each in drawn], taken)
            taken.add((pixel[0], pixel[1]))
            drawn[order[i]] = pixel
        return [value for pixel in drawn for value in pixel]

    return Moves(start, move)


def patch(size: int) -> Moves:
    """A patch of stripes, then squares of one colour in it, or one time in five another place."""

    def start(stream: Stream, image: Image) -> list[int]:
        height, width, channels = image.shape
        top, left = stream.below(height - size + 1), stream.below(width - size + 1)
        row = [value for _ in range(size) for value in corner(stream, channels)]
        return [top, left, *row * size]

    def move(stream: Stream, image: Image, vector: list[int], share: float) -> list[int]:
        height, width, channels = image.shape
        top, left, *values = vector
        if stream.below(MOVES_TO_ONE_PLACE) == 0:
            reach = max(1, half_up(math.sqrt(share) * max(height, width)))
            top = min(max(top + stream.below(2 * reach + 1) - reach, 0), height - size)
            left = min(max(left + stream.below(2 * reach + 1) - reach, 0), width - size)
            return [top, left, *values]
        side = min(max(half_up(math.sqrt(share) * size), 1), size)
        content = np.array(values).reshape(size, size, channels)
        row, column = stream.below(size - side + 1), stream.below(size - side + 1)
        content[row : row + side, column : column + side] = corner(stream, channels)
        return [top, left, *content.ravel().tolist()]

    return Moves(start, move)


def frame_places(height: int, columns: int, width: int) -> list[tuple[int, int]]:
    """The pixels of a border, row by row."""
    inside = {(row, column) for row in range(width, height - width) for column in range(width, columns - width)}
    return [place for place in np.ndindex(height, columns) if place not in inside]


def frame(width: int) -> Moves:
    """A frame of stripes, then one colour for what lies of it in a square around one of its pixels."""

    def start(stream: Stream, image: Image) -> list[int]:
        height, columns, channels = image.shape
        stripes = [corner(stream, channels) for _ in range(columns)]
        return [value for _, column in frame_places(height, columns, width) for value in stripes[column]]

    def move(stream: Stream, image: Image, vector: list[int], share: float) -> list[int]:
        height, columns, channels = image.shape
        places = frame_places(height, columns, width)
        area = share * len(places)
        side = max(1, half_up(math.sqrt(area) if area < width**2 else area / width))
        middle = places[stream.below(len(places))]
        top, left = (each - side // 2 for each in middle)
        colour = corner(stream, channels)
        moved = list(vector)
        for i, (row, column) in enumerate(places):
            if top <= row < top + side and left <= column < left + side:
                moved[i * channels : (i + 1) * channels] = colour
        return moved

    return Moves(start, move)
