"""Search spaces: what may become of an original, as a box of integers and a renderer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dfa.space.ball import LinfBall
from dfa.space.base import BoundSpace, Space
from dfa.space.boxes import CoreSpace, Lighting, Pixels, Rectangle, Shift, Tiled, TinyRectangles
from dfa.space.custom import Custom

__all__ = [
    "BoundSpace",
    "CoreSpace",
    "Custom",
    "Lighting",
    "LinfBall",
    "Pixels",
    "Rectangle",
    "Shift",
    "Space",
    "Tiled",
    "TinyRectangles",
    "core_spaces",
    "read_space",
]


def core_spaces() -> dict[str, type[CoreSpace]]:
    """Return the spaces of the core by their kinds, in the order of these."""
    return dict(sorted((each.kind(), each) for each in CoreSpace.__subclasses__()))


def read_space(description: Mapping[str, Any]) -> CoreSpace | None:
    """Return the space that run.json describes; None for one that it cannot describe, such as a user's."""
    fields = dict(description)
    kind = fields.pop("kind", None)
    for known in CoreSpace.__subclasses__():
        if known.__name__ == kind:
            if "base" in fields:
                fields["base"] = LinfBall(fields["base"])
            return known(**fields)
    return None
