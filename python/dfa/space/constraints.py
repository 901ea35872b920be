"""What the search spaces promise of an image, told from the original, the image and run.json alone.

Nothing of the optimizer is used, nor of the renderers whose images are held to this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa.types import Image

Settings: TypeAlias = Mapping[str, Any]
"""What run.json says of a space: its `kind` and its fields."""


def why_broken(
    settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float] | None
) -> str | None:
    """Return in what an image breaks the promise of its space, nothing if it keeps it, None if there is none.

    A promise that cannot be checked, of a space that is not known here or with settings of none, is not kept.

    Args:
        settings: What run.json says of the space.
        index: Place of the original in the run.
        original: uint8, (H, W, C).
        shown: The image, likewise.
        distances: What the record reports of the space's own distances.
    """
    try:
        kind = settings["kind"]
        if kind in WITHOUT_PROMISE:
            return None
        if kind not in CHECKS:
            return f"it cannot be held to the promise of the space {kind!r}, which is not known"
        return CHECKS[kind](settings, index, original, shown, distances or {})
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        return f"it cannot be held to the promise of its space, as run.json has that: {type(error).__name__}: {error}"


def changed(original: Image, shown: Image) -> NDArray[np.bool_]:
    """Return which pixels differ: bool, (H, W)."""
    differs: NDArray[np.bool_] = (original != shown).any(axis=2)
    return differs


def _extent(differs: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the height and width of the smallest rectangle around what differs; (0, 0) where nothing does."""
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    return (int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1) if rows.size else (0, 0)


def _too_large(height: int, width: int, most: str) -> str:
    return f"what differs takes {height} x {width} pixels, where {most} may"


def _pixels(settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float]) -> str:
    """No more pixels differ than may."""
    found = int(changed(original, shown).sum())
    return "" if found <= settings["number"] else f"{found} pixels differ, where {settings['number']} may"


def _patch(settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float]) -> str:
    """What differs fits into the square."""
    height, width = _extent(changed(original, shown))
    size = settings["size"]
    return "" if max(height, width) <= size else _too_large(height, width, f"{size} x {size}")


def _frame(settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float]) -> str:
    """Nothing differs within the border."""
    width = settings["width"]
    if width < 1:
        raise ValueError(f"width is {width}")
    found = int(changed(original, shown)[width:-width, width:-width].sum())
    return f"{found} pixels differ within the frame of {width} pixels, where none may" if found else ""


def _rectangle(settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float]) -> str:
    """What differs has one colour and fits into the rectangle."""
    differs = changed(original, shown)
    height, width = _extent(differs)
    if not height:
        return ""
    if height > settings["height"] or width > settings["width"]:
        return _too_large(height, width, f"{settings['height']} x {settings['width']}")
    colours = np.unique(shown[differs], axis=0)
    if len(colours) > 1:
        return f"it has {len(colours)} colours, where one may be"
    is_other = settings["colour"] is not None and bool((colours != settings["colour"]).any())
    return f"its colour is {colours[0].tolist()}, where {settings['colour']} may be" if is_other else ""


def _tiny_rectangles(
    settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float]
) -> str:
    """What differs is black, and no more than the rectangles cover."""
    differs = changed(original, shown)
    height, width = np.broadcast_to(settings["size"], 2).tolist()
    found, most = int(differs.sum()), settings["number"] * height * width
    if found > most:
        return f"{found} pixels differ, where {most} may"
    return "pixels differ that are not black" if shown[differs].any() else ""


def _lighting(settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float]) -> str:
    """The steps are allowed, and give this image: exactly, or with a gamma to a grey level."""
    for name in ("brightness", "contrast", "gamma"):
        if abs(distances.get(name, 0)) > settings[name]:
            return f"{name} is {distances[name]} steps, where {settings[name]} may be"
    levels = original.astype(np.float64)
    exponent = 1 + distances.get("gamma", 0) / 8
    if exponent != 1:
        levels = 255 * (levels / 255) ** exponent
    moved = (1 + distances.get("contrast", 0) / 64) * levels + distances.get("brightness", 0)
    off = int(np.abs(np.clip(np.floor(moved + 0.5), 0, 255) - shown).max())
    return f"it is {off} grey levels from what these steps give" if off > (exponent != 1) else ""


def _tiled(settings: Settings, index: int, original: Image, shown: Image, distances: Mapping[str, float]) -> str:
    """The image lies in the ball, and is the original with one value to a tile."""
    difference = shown.astype(np.int16) - original
    given = settings["base"]
    epsilon = int(np.asarray(given).reshape(-1)[index if np.ndim(given) else 0])
    if np.abs(difference).max() > epsilon:
        return f"values lie up to {np.abs(difference).max()} grey levels away, where {epsilon} may"
    # What was clamped may stand for any value beyond it.
    least = np.where(shown == 0, np.int16(-255), difference)
    most = np.where(shown == 255, np.int16(255), difference)
    factor = settings["factor"]
    if factor < 1:
        raise ValueError(f"factor is {factor}")
    for top in range(0, len(shown), factor):
        for left in range(0, shown.shape[1], factor):
            part = np.s_[top : top + factor, left : left + factor]
            if (least[part].max(axis=(0, 1)) > most[part].min(axis=(0, 1))).any():
                return f"the tile at {(top, left)} has more than one value"
    return ""


CHECKS: Final[Mapping[str, Callable[[Settings, int, Image, Image, Mapping[str, float]], str]]] = {
    "Pixels": _pixels,
    "Patch": _patch,
    "Frame": _frame,
    "Rectangle": _rectangle,
    "TinyRectangles": _tiny_rectangles,
    "Lighting": _lighting,
    "Tiled": _tiled,
}

WITHOUT_PROMISE: Final = frozenset({"Custom", "Shift"})
"""The spaces of whose images nothing can be told: the user's own, and what is moved out of sight."""
