"""Items of a data set: image and label told apart, and the image as an array (H, W, C)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dfa.data.image_set import UNKNOWN
from dfa.errors import InvalidInputError
from dfa.oracle.base import descends_from

IMAGE_NAMES: Final = ("image", "images", "img", "pixel_values", "pixels", "x")
LABEL_NAMES: Final = ("label", "labels", "fine_label", "target", "y")
"""What the columns of public data sets are called."""

_LOOKED_AT: Final = 100
"""Items, spread over a data set, in which one with a label is looked for, before all are read for theirs."""
_LEAVE_OUT: Final = "images = dfa.data.as_images(images).without_labels()"


@dataclass(frozen=True)
class ItemImages:
    """The images of a data set of items, each read when it is asked for.

    Attributes:
        data: The data set: an image, a pair (image, label) or a dict by its place.
        pixels: Makes an array of an image of it.
        unreadable: What was raised where items were read for their labels: such an image is not attacked as one
            without a label if it can be read later.
    """

    data: Any
    pixels: Callable[[Any], NDArray[Any]]
    unreadable: dict[int, Exception] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.data)

    def __getitem__(self, index: int, /) -> NDArray[Any]:
        """Return one image.

        Raises:
            InvalidInputError: It is none.
            Exception: Whatever the data set raises.
        """
        if index in self.unreadable:
            raise self.unreadable[index]
        return self.pixels(taken_apart(self.data[index])[0])


def labels_of(images: ItemImages, starts: Sequence[int] = ()) -> list[int] | None:
    """Return the labels that items have, each read once, `UNKNOWN` for none; None where no item has one.

    Of a data set of images alone a hundred items are read to see that, spread over it.

    Args:
        images: The images.
        starts: Items to be looked at as well, where other items may begin.

    Raises:
        InvalidInputError: A label is no integer.
    """
    spread = np.linspace(0, max(0, len(images) - 1), min(len(images), _LOOKED_AT)).astype(int).tolist()
    if not any(_label(images.data, index) is not None for index in [*starts, *spread]):
        return None
    labels = []
    for index in range(len(images)):
        try:
            labels.append(class_of(_label(images.data, index, images.unreadable)))
        except InvalidInputError as error:
            raise InvalidInputError(f"image {index}: {error}") from error
    return labels


def _label(data: Any, index: int, unreadable: dict[int, Exception] | None = None) -> Any:
    """Return the label of an item, None where it has none, or cannot be read; that is told when its turn comes."""
    try:
        return taken_apart(data[index])[1]
    except Exception as error:  # a user's data set may raise anything
        if unreadable is not None:
            unreadable[index] = error.with_traceback(None)
        return None


def name_among(names: Iterable[str], item: Mapping[Any, Any]) -> str | None:
    """Return the first of the names that a mapping has."""
    return next((name for name in names if name in item), None)


def taken_apart(item: Any) -> tuple[Any, Any]:
    """Return the image of an item, and its label, None where it has none.

    Args:
        item: An image; a pair of an image and a label; or a dict with an entry of each, by their usual names.

    Raises:
        InvalidInputError: It is another tuple or dict.
    """
    if isinstance(item, Mapping):
        image = name_among(IMAGE_NAMES, item)
        if image is None:
            raise InvalidInputError(
                f"an item must be an image, a pair (image, label), or a dict with one of {', '.join(IMAGE_NAMES)}; it "
                f"is a dict of {', '.join(map(repr, item))}"
            )
        return item[image], item.get(name_among(LABEL_NAMES, item))
    if not isinstance(item, tuple | list):
        return item, None
    if not 1 <= len(item) <= 2:
        raise InvalidInputError(
            f"an item must be an image, a pair (image, label), or a dict; it is a {type(item).__name__} of "
            f"{len(item)} ({', '.join(type(each).__name__ for each in item[:4])})"
        )
    return item[0], item[1] if len(item) == 2 else None


def class_of(label: Any) -> int:
    """Return the class id that a label of an item is; `UNKNOWN` for None.

    Raises:
        InvalidInputError: It is no integer.
    """
    if label is None:
        return UNKNOWN
    try:
        array = np.asarray(label)
    except Exception:  # of a library's own type
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iu" or array.size != 1:
        shown = f"{array.dtype} of shape {array.shape}" if array.ndim else f"{label!r:.60}"
        raise InvalidInputError(
            f"its label must be an integer class id, got {shown}; pass labels=, or leave the labels out: {_LEAVE_OUT}"
        )
    return int(array.reshape(-1)[0])


def as_pixels(image: Any, layout: str | None = None) -> NDArray[Any]:
    """Return the pixels of an image as a library gives it: (H, W, C), in the dtype that they have.

    Args:
        image: A Pillow image of mode L or RGB; a tensor of torch; or an array.
        layout: Of tensors and arrays: "NCHW" for (C, H, W), "NHWC" for (H, W, C). None: a tensor with 1 or 3 channels
            first is (C, H, W), since torch has no other habit, and refused if its last axis may be channels as well;
            everything else is (H, W, C).

    Raises:
        InvalidInputError: It is a Pillow image of another mode, a tensor of floats, or one that may be either.
    """
    if isinstance(image, PIL.Image.Image):
        return _of_picture(image)
    is_tensor = descends_from(image, "torch", "Tensor")
    if is_tensor:
        _refuse_floats(image)
        image = image.detach().cpu()
    array = np.asarray(image)
    is_first = is_tensor and array.ndim == 3 and array.shape[0] in (1, 3)
    if is_first and layout is None and array.shape[2] in (1, 3):
        raise InvalidInputError(
            f"a tensor of shape {array.shape} may be (C, H, W) or (H, W, C); pass layout='NCHW' or layout='NHWC'"
        )
    if array.ndim == 3 and (layout == "NCHW" or (layout is None and is_first)):
        array = array.transpose(1, 2, 0)
    return array


def _of_picture(picture: PIL.Image.Image) -> NDArray[np.uint8]:
    if picture.mode not in ("L", "RGB"):
        deep = " with more than 8 bits" if picture.mode[0] in "IF" else ""
        raise InvalidInputError(
            f"a Pillow image must be of mode L or RGB, and is of mode {picture.mode}{deep}; convert it where the data "
            "set reads it, such as with image.convert('RGB'), and the converted pixels are attacked"
        )
    pixels = np.array(picture, dtype=np.uint8)
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def _refuse_floats(tensor: Any) -> None:
    """Refuse a tensor of floats, with how the data set would give 8-bit pixels.

    Raises:
        InvalidInputError: It is one.
    """
    if not tensor.is_floating_point():
        return
    low, high = (float(tensor.min()), float(tensor.max())) if tensor.numel() else (0.0, 0.0)
    if low < 0:
        cure = (
            "as Normalize makes them; drop Normalize, and ToTensor for torchvision.transforms.PILToTensor(): the "
            "oracle normalises, dfa.as_oracle(model, mean=, std=)"
        )
    elif high <= 1:
        cure = (
            "as ToTensor makes them; give the data set transform=torchvision.transforms.PILToTensor() in place of "
            "ToTensor(), or convert with (image * 255).round().to(torch.uint8)"
        )
    else:
        cure = "convert with image.round().to(torch.uint8) if they lie in [0, 255]"
    raise InvalidInputError(
        f"a tensor must be uint8, and is {tensor.dtype} of shape {tuple(tensor.shape)} with values in "
        f"{low:.3g}..{high:.3g}, {cure}"
    )
