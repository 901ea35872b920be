"""Renderers of the search spaces other than the ball, written anew and slowly."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def clamp(value: int) -> int:
    """Into 0..255."""
    return min(max(value, 0), 255)


def pixels(image: Image, x: list[int], number: int) -> Image:
    """Row, column and colour of each pixel, the last one on top."""
    shown: Image = image.copy()
    width = 2 + image.shape[2]
    for i in range(number):
        row, column, *colour = x[i * width : (i + 1) * width]
        shown[row, column] = colour
    return shown


def rectangle(image: Image, x: list[int], colour: int) -> Image:
    """Top, left, height, width, and unless it is given a colour."""
    shown: Image = image.copy()
    top, left, height, width, *own = x
    shown[top : top + height, left : left + width] = own or colour
    return shown


def tiny_rectangles(image: Image, x: list[int], height: int, width: int) -> Image:
    """Top and left of each."""
    shown: Image = image.copy()
    for top, left in zip(x[::2], x[1::2], strict=True):
        shown[top : top + height, left : left + width] = 0
    return shown


def patch(image: Image, x: list[int], size: int) -> Image:
    """Top, left, and what a square shows."""
    shown: Image = image.copy()
    top, left, *values = x
    shown[top : top + size, left : left + size] = np.array(values).reshape(size, size, -1)
    return shown


def frame(image: Image, x: list[int], width: int) -> Image:
    """What the border shows, row by row."""
    shown: Image = image.copy()
    values = iter(x)
    height, columns, channels = image.shape
    for row, column, channel in np.ndindex(height, columns, channels):
        if min(row, height - 1 - row, column, columns - 1 - column) < width:
            shown[row, column, channel] = next(values)
    return shown


def tiled(image: Image, x: list[int], factor: int) -> Image:
    """One value per tile and channel."""
    shown: Image = image.copy()
    columns = -(-image.shape[1] // factor)
    for row, column, channel in np.ndindex(image.shape):
        value = x[((row // factor) * columns + column // factor) * image.shape[2] + channel]
        shown[row, column, channel] = clamp(int(image[row, column, channel]) + value)
    return shown


def shift(image: Image, x: list[int]) -> Image:
    """Rows down and columns to the right; edges repeated."""
    shown: Image = image.copy()
    height, width, _ = image.shape
    for row, column in np.ndindex(height, width):
        shown[row, column] = image[min(max(row - x[0], 0), height - 1), min(max(column - x[1], 0), width - 1)]
    return shown


def lighting(image: Image, x: list[int]) -> Image:
    """Brightness, contrast in 64ths, gamma in 8ths; one rounding, of what stands in 1/256 of a grey level."""
    brightness, contrast, gamma = [*x, 0][:3]
    table = []
    for d in range(256):
        value = d * 256
        if gamma:
            eighth = (d << 30) // 255
            for _ in range(3):
                eighth = isqrt(eighth << 30)
            power = 1 << 30
            for _ in range(8 + gamma):
                power = power * eighth >> 30
            value = power * 255 * 256 >> 30
        # (64 + contrast) / 64 * value / 256 + brightness, halves up.
        scaled = (64 + contrast) * value + 64 * 256 * brightness
        table.append(clamp((2 * scaled + 64 * 256) // (2 * 64 * 256)))
    shown: Image = np.array(table, np.uint8)[image]
    return shown
