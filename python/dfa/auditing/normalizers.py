"""Normalizers: T from images to the vectors that an attack works on, and its inverse, unrounded.

| the attack's vectors are | normalizer |
|---|---|
| 0..1 (the default) | `Affine()` |
| -1..1 | `Affine(mean=0.5, std=0.5)` |
| 0..255 | `Affine(white=255.0)` |
| standardised by channel | `Affine(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))` |
| any of these, (N, C, H, W) as in torch | the same with `layout="NCHW"` |
| anything else | a pair of functions (T, inverse of T), or `Normalizer(T, inverse)` |

Source: paper, section 2.1 (Table 1). There the inverse gives images; here it gives grey levels that are not rounded
yet, because how they are rounded is what an audit compares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.checks import refuse_masked
from dfa.errors import InvalidInputError, told_with_place
from dfa.types import Images

Vectors: TypeAlias = NDArray[np.floating[Any]]
"""Vectors of an attack: float, (n, ...), in whatever space it worked in."""

Levels: TypeAlias = NDArray[np.floating[Any]]
"""Grey levels that are not rounded yet: float, (n, H, W, C), 0..255."""

Layout: TypeAlias = Literal["NHWC", "NCHW"]

_SLACK: Final = 0.02
_SLACK_OF_HALF_PRECISION: Final = 0.25
"""Grey levels by which arithmetic in the vectors' precision may be off."""


@runtime_checkable
class AnyNormalizer(Protocol):
    """What an audit needs of a normalizer."""

    def vectors(self, images: Images) -> Any:
        """Return T of images, uint8, (n, H, W, C): float, (n, ...)."""
        ...

    def levels(self, vectors: Vectors) -> Any:
        """Return the inverse of T, unrounded: float, (n, H, W, C), 0..255."""
        ...

    def describe(self) -> str:
        """Return what records call it."""
        ...


@dataclass(frozen=True)
class Affine:
    """v = (d / 255 * white - mean) / std, channel by channel.

    It computes in the precision of the vectors, as the code that saves an image would: whether 102 / 255 * 255 comes
    out at 101.99999 decides what truncation makes of it.

    Attributes:
        mean: One number, or one per channel, (C,).
        std: One number, or one per channel, (C,); not 0.
        white: What 255 becomes before mean and std: 1.0, or 255.0 where the vectors are plain grey levels.
        layout: How vectors lie: "NHWC", or "NCHW" as in torch.

    Raises:
        InvalidInputError: A value is not finite, `std` or `white` is 0, or `layout` is unknown.
    """

    mean: ArrayLike = 0.0
    std: ArrayLike = 1.0
    white: float = 1.0
    layout: Layout = "NHWC"

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("mean", "std", "white"):
            values = np.asarray(getattr(self, name))
            if values.dtype.kind not in "fiu" or values.ndim > (0 if name == "white" else 1):
                raise InvalidInputError(f"{name} must be a number{_OR_CHANNELS[name]}, got {getattr(self, name)!r}")
            if not np.isfinite(values).all() or (name != "mean" and not np.all(values)):
                wanted = "finite" if name == "mean" else "finite and not 0"
                raise InvalidInputError(f"{name} must be {wanted}, got {getattr(self, name)!r}")
        if self.layout not in get_args(Layout):
            raise InvalidInputError(
                f"layout must be one of {', '.join(map(repr, get_args(Layout)))}, got {self.layout!r}"
            )

    @classmethod
    def between(cls, low: float, high: float, *, layout: Layout = "NHWC") -> Affine:
        """Return the normalizer for vectors of `low` (black) to `high` (white)."""
        if not low < high:
            raise InvalidInputError(f"low must be below high, got {low!r} and {high!r}")
        return cls(mean=-float(low), white=float(high) - float(low), layout=layout)

    def vectors(self, images: Images) -> Vectors:
        """Return T of images, uint8, (n, H, W, C): float32, (n, H, W, C) or (n, C, H, W)."""
        self._check_channels(images.shape[-1])
        values = images.astype(np.float32) / np.float32(255.0)
        if self.white != 1.0:
            values *= np.float32(self.white)
        if np.any(self.mean):
            values -= np.asarray(self.mean, dtype=np.float32)
        if not np.all(np.asarray(self.std) == 1.0):
            values /= np.asarray(self.std, dtype=np.float32)
        return np.ascontiguousarray(np.moveaxis(values, -1, 1)) if self.layout == "NCHW" else values

    def levels(self, vectors: Vectors) -> Levels:
        """Return the inverse of T, unrounded: (n, H, W, C), of the precision of the vectors."""
        values = np.moveaxis(vectors, 1, -1) if self.layout == "NCHW" and vectors.ndim == 4 else vectors
        self._check_channels(values.shape[-1])
        dtype = values.dtype
        if not np.all(np.asarray(self.std) == 1.0):
            values = values * np.asarray(self.std, dtype=dtype)
        if np.any(self.mean):
            values = values + np.asarray(self.mean, dtype=dtype)
        levels: Levels = values * dtype.type(255.0 / self.white)
        return levels

    def describe(self) -> str:
        """Return what records call it."""
        mean, std = np.asarray(self.mean).tolist(), np.asarray(self.std).tolist()
        return f"(d / 255 * {self.white:g} - {mean}) / {std}, {self.layout}"

    def _check_channels(self, channels: int) -> None:
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name))
            if values.ndim == 1 and len(values) not in (1, channels):
                raise InvalidInputError(
                    f"the normalizer's {name} must be one number or one per channel, and has {len(values)} for "
                    f"{channels} channels (vectors are read as {self.layout})"
                )


_OR_CHANNELS: Final = {"mean": " or one per channel", "std": " or one per channel", "white": ""}


class Normalizer:
    """Any pair of functions as a normalizer.

    Example:
        >>> import numpy as np
        >>> caffe = Normalizer(
        ...     lambda images: images[..., ::-1] - np.float32([103.9, 116.8, 123.7]),
        ...     lambda vectors: (vectors + np.float32([103.9, 116.8, 123.7]))[..., ::-1],
        ... )
        >>> caffe.vectors(np.zeros((1, 1, 1, 3), np.uint8)).ravel().round(1).tolist()
        [-103.9000015258789, -116.80000305175781, -123.69999694824219]
    """

    def __init__(self, forward: Callable[[Any], Any], inverse: Callable[[Any], Any]) -> None:
        """Take T and its inverse.

        Args:
            forward: From uint8 images (n, H, W, C) to vectors, float, (n, ...).
            inverse: From vectors to grey levels, float, (n, H, W, C), 0..255, not rounded.

        Raises:
            InvalidInputError: One of them is no function.
        """
        for name, function in (("T", forward), ("the inverse of T", inverse)):
            if not callable(function):
                raise InvalidInputError(f"a normalizer needs two functions, and {name} is {function!r}")
        self._forward = forward
        self._inverse = inverse

    def vectors(self, images: Images) -> Any:
        """Return T of images."""
        return self._forward(images)

    def levels(self, vectors: Vectors) -> Any:
        """Return the inverse of T, unrounded."""
        return self._inverse(vectors)

    def describe(self) -> str:
        """Return what records call it."""
        return " and ".join(
            str(getattr(each, "__qualname__", type(each).__qualname__)) for each in (self._forward, self._inverse)
        )


def as_normalizer(value: Any) -> AnyNormalizer:
    """Return the normalizer that `value` stands for: one as it is, a pair of functions as `Normalizer`.

    Raises:
        InvalidInputError: `value` is neither.
    """
    if isinstance(value, type):
        raise InvalidInputError(f"normalizer must be an instance, got the class {value.__name__}; call it")
    if isinstance(value, AnyNormalizer):
        return value
    if isinstance(value, tuple | list) and len(value) == 2:
        return Normalizer(*value)
    raise InvalidInputError(
        f"normalizer must be a dfa.Affine, a dfa.Normalizer, or a pair of functions (T, inverse of T), got {value!r}"
    )


def checked_vectors(normalizer: AnyNormalizer, images: Images) -> Vectors:
    """Return T of images, as an array that belongs to nobody else.

    Raises:
        InvalidInputError: T failed, or gave something other than finite floats, one vector per image.
    """
    vectors = _called("T", normalizer.vectors, images)
    if vectors.dtype.kind != "f" or vectors.ndim < 2 or len(vectors) != len(images):
        raise InvalidInputError(
            f"the normalizer's T must make float vectors (n, ...) of {len(images)} images, it made {vectors.dtype} of "
            f"shape {vectors.shape}"
        )
    return vectors


def checked_levels(normalizer: AnyNormalizer, vectors: Vectors, shape: tuple[int, int, int], first: int) -> Levels:
    """Return the grey levels of vectors, unrounded and inside 0..255.

    Args:
        normalizer: The normalizer.
        vectors: Float, (n, ...), finite.
        shape: (H, W, C) of the images.
        first: The place of the first of them in the run, for messages.

    Raises:
        InvalidInputError: The inverse failed, or gave anything but float (n, H, W, C) within 0..255 (rounding errors of
            the arithmetic excepted).
    """
    levels = _called("the inverse of T", normalizer.levels, vectors)
    if levels.dtype.kind != "f":
        raise InvalidInputError(
            "the normalizer's inverse must give float grey levels that are not rounded yet, since `rounding` says how "
            f"they are rounded; it gave {levels.dtype}"
        )
    if levels.shape != (len(vectors), *shape):
        raise InvalidInputError(
            f"the normalizer's inverse must make {(len(vectors), *shape)} of vectors of shape {vectors.shape}, to fit "
            f"the originals; it made {levels.shape}. For vectors (N, C, H, W) pass dfa.Affine(layout='NCHW')"
        )
    lowest, highest = float(levels.min()), float(levels.max())
    slack = _slack(vectors.dtype)
    # A NaN makes these comparisons false.
    if not (lowest >= -slack and highest <= 255.0 + slack):
        rows = levels.reshape(len(levels), -1)
        row = int(np.argmax(~((rows.min(axis=1) >= -slack) & (rows.max(axis=1) <= 255.0 + slack))))
        raise InvalidInputError(
            f"vector {first + row} must lie within grey levels 0..255, and its levels are {rows[row].min():.6g}.."
            f"{rows[row].max():.6g} under the normalizer {normalizer.describe()}; name the space the attack worked in "
            "(normalizer=...), or clip what it returned to its own bounds"
        )
    inside: Levels = np.clip(levels, 0.0, 255.0)
    return inside


def check_round_trip(normalizer: AnyNormalizer, images: Images, dtype: np.dtype[Any], first: int) -> None:
    """Refuse a normalizer under which an image does not come back: T^-1(T(d)) must be d, up to float arithmetic.

    Args:
        normalizer: The normalizer.
        images: uint8, (n, H, W, C).
        dtype: The precision of the attack's vectors, in which this is computed.
        first: The place of the first image in the run, for messages.

    Raises:
        InvalidInputError: Some image does not come back.
    """
    with np.errstate(over="ignore"):
        vectors = checked_vectors(normalizer, images).astype(dtype)
    levels = _called("the inverse of T", normalizer.levels, vectors)
    if levels.shape != images.shape:
        raise InvalidInputError(
            f"the normalizer's inverse must bring images of shape {images.shape} back, it made {levels.shape}"
        )
    off = np.abs(levels - images)
    slack = _slack(np.dtype(dtype))
    # A NaN makes the comparison false.
    if not float(off.max()) < slack:
        off = off.reshape(len(images), -1)
        row = int(np.argmax(~(off.max(axis=1) < slack)))
        place = int(np.argmax(~(off[row] < slack)))
        raise InvalidInputError(
            f"the normalizer must bring every image back, T^-1(T(d)) = d, and does not for image {first + row}: the "
            f"grey level {images[row].ravel()[place]} comes back as {float(levels[row].ravel()[place]):.6g}; T and its "
            "inverse do not fit together"
        )


def _slack(dtype: np.dtype[Any]) -> float:
    return _SLACK_OF_HALF_PRECISION if dtype.itemsize == 2 else _SLACK


def _called(name: str, function: Callable[[Any], Any], argument: Any) -> NDArray[Any]:
    """Return what a user's function makes of an array, torch tensors brought to the host."""
    try:
        answer = function(argument)
        if hasattr(answer, "detach") and hasattr(answer, "cpu"):
            answer = answer.detach().cpu()
        refuse_masked("what it gives", answer)
        return np.asarray(answer)
    except InvalidInputError:
        raise
    except Exception as error:
        raise InvalidInputError(
            f"the normalizer's {name.removeprefix('the ')} failed on {argument.dtype} of shape {argument.shape}: "
            f"{told_with_place(error)}"
        ) from error
