"""What may become of an original: search spaces, each a box of integers and a renderer."""

from __future__ import annotations

from dfa.space.ball import BoundBall, LinfBall
from dfa.space.base import BoundSpace, Space
from dfa.space.boxes import (
    CoreSpace,
    Frame,
    Lighting,
    Patch,
    Pixels,
    Rectangle,
    Shift,
    Tiled,
    TinyRectangles,
    core_spaces,
    read_space,
)
from dfa.space.custom import Custom

__all__ = [
    "BoundBall",
    "BoundSpace",
    "CoreSpace",
    "Custom",
    "Frame",
    "Lighting",
    "LinfBall",
    "Patch",
    "Pixels",
    "Rectangle",
    "Shift",
    "Space",
    "Tiled",
    "TinyRectangles",
    "core_spaces",
    "read_space",
]
