"""What an ONNX model takes and gives, as its file tells it, and whether that is a classifier of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dfa.checks import counted, is_integer
from dfa.errors import InvalidInputError

CHANNELS: Final = {"NCHW": 1, "NHWC": 3}
"""The axis of the channels in each layout."""

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
}


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: What the graph calls it.
        kind: ONNX Runtime's word for its type, such as "tensor(float)".
        shape: Its sides, None for any size; empty where the file does not tell.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]

    @classmethod
    def of(cls, described: Any) -> Tensor:
        """Return what a session says of a tensor."""
        sides = tuple(side if isinstance(side, int) else None for side in described.shape or ())
        return cls(str(described.name), str(described.type), sides)

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Of uint8 or floats; None of anything else."""
        return _DTYPES.get(self.kind)

    def fits(self, shape: Sequence[int]) -> bool:
        """Tell whether an array of a shape is one of these."""
        return not self.shape or (
            len(shape) == len(self.shape)
            and all(side in (None, given) for side, given in zip(self.shape, shape, strict=True))
        )

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.name!r}, {self.kind} of shape {told(self.shape)}"

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of it, in plain JSON types."""
        return {"name": self.name, "type": self.kind, "shape": list(self.shape)}


def told(shape: Sequence[int | None]) -> str:
    """Return a shape in words, "any" for a side of any size."""
    return f"({', '.join('any' if side is None else str(side) for side in shape)})"


def input_of(session: Any, model: str) -> Tensor:
    """Return the input of a model that has one.

    Args:
        session: Of the model.
        model: What messages call it.

    Raises:
        InvalidInputError: It has several, or takes neither uint8 nor floats.
    """
    inputs = [Tensor.of(each) for each in session.get_inputs()]
    if len(inputs) != 1:
        raise InvalidInputError(
            f"an ONNX oracle needs a model with one input, the image, and {model!r} has {len(inputs)}: "
            f"{'; '.join(map(str, inputs))}; pass a function that asks the session and fixes the others"
        )
    if inputs[0].dtype is None:
        raise InvalidInputError(
            f"an ONNX oracle needs an input of uint8, float16, float32 or float64, and {model!r} takes {inputs[0]}; "
            "pass a function that asks the session"
        )
    return inputs[0]


def output_of(session: Any, output: str | int | None, model: str) -> Tensor:
    """Return the output of a model that its scores are in.

    Args:
        session: Of the model.
        output: Its name or place; None: the only one.
        model: What messages call it.

    Raises:
        InvalidInputError: There is none or several, or it holds no row of scores per image.
    """
    outputs = [Tensor.of(each) for each in session.get_outputs()]
    if output is None and len(outputs) > 1:
        raise InvalidInputError(
            f"the model {model!r} has {len(outputs)} outputs: {'; '.join(map(str, outputs))}; say which holds the "
            f"scores, such as output={outputs[-1].name!r}"
        )
    found = {each.name: each for each in outputs} | dict(enumerate(outputs))
    place = 0 if output is None else output
    if not (isinstance(place, str) or is_integer(place)) or place not in found:
        raise InvalidInputError(
            f"output must be the name or the place of one of {counted(len(outputs), 'output')} of {model!r}, "
            f"{'; '.join(map(str, outputs))}; got {output!r}"
        )
    chosen = found[place]
    if chosen.kind.startswith("seq(map("):
        raise InvalidInputError(
            f"the output {chosen.name!r} of {model!r} is a list of dicts, and an oracle gives a table of scores; "
            "convert the model without them: skl2onnx.to_onnx(estimator, X, options={'zipmap': False})"
        )
    if chosen.dtype is None or chosen.dtype == np.uint8 or len(chosen.shape) == 1:
        raise InvalidInputError(
            f"an ONNX oracle needs one row of scores per image, floats of shape (n, K), and {model!r} gives {chosen}; "
            "if these are labels, pass a function that asks the session, with returns='label'"
        )
    return chosen


def num_outputs_of(given: Tensor) -> int | None:
    """Return how many numbers an output holds per image, sides of length 1 left out; None where it does not tell."""
    sides = [side for side in given.shape[1:] if side != 1]
    if len(sides) > 1:
        return given.shape[1]
    return sides[0] if sides else 1 if given.shape else None


def layout_of(taken: Tensor, layout: str | None) -> str | None:
    """Return where the channels of a model's images are: as is said, or as its file tells, or None if neither is.

    Raises:
        InvalidInputError: What is said is no layout.
    """
    if layout is not None:
        if layout not in CHANNELS:
            raise InvalidInputError(f"layout, of what the model takes, must be 'NCHW' or 'NHWC', got {layout!r}")
        return layout
    if len(taken.shape) != 4:
        return None
    told_by = [each for each, axis in CHANNELS.items() if taken.shape[axis] in (1, 3)]
    return told_by[0] if len(told_by) == 1 else None


def check_images(shape: Sequence[int], taken: Tensor, layout: str | None, model: str) -> None:
    """Refuse images that a model does not take.

    Args:
        shape: (H, W, C) of the images.
        taken: The model's input.
        layout: Of the input; None where that is not known.
        model: What messages call it.

    Raises:
        InvalidInputError: They are of another shape, or it is not known where the model has its channels.
    """
    if taken.shape and len(taken.shape) != 4:
        raise InvalidInputError(
            f"the model {model!r} takes {taken}, no images; pass preprocess=, a function from float32 images "
            "(n, H, W, C), 0..255, to what it takes, such as lambda images: images.reshape(len(images), -1) / 255"
        )
    if layout is None:
        raise InvalidInputError(
            f"the model {model!r} takes {taken}, which does not tell where an image's channels are; pass layout='NCHW' "
            "or layout='NHWC'"
        )
    height, width, channels = shape
    given = (channels, height, width) if layout == "NCHW" else tuple(shape)
    if not taken.fits((taken.shape[0] or 1, *given) if taken.shape else given):
        sides = taken.shape[1:] if layout == "NHWC" else (*taken.shape[2:], taken.shape[1])
        raise InvalidInputError(
            f"the model {model!r} takes images of shape {told(sides)} ({layout}), and these have {tuple(shape)}; "
            "resize them first, or in front of the model by a dfa.Pipeline"
        )
