"""Which images a user's data become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_length
from dfa.data.hugging_face import read_hugging_face, refuse_other_kinds
from dfa.data.image_set import ImageSet
from dfa.data.items import as_pixels
from dfa.data.torch_data import read_torch
from dfa.data.torch_loader import read_loader
from dfa.errors import InvalidInputError
from dfa.oracle.base import descends_from
from dfa.originals import Form


def as_images(data: Any, *, layout: str | None = None, form: Form = Form.IMAGES) -> ImageSet:
    """Return images as `dfa.run` sees them, with their labels, names and class names where the data has them.

    Recognised are

    - a `torch.utils.data.Dataset` of images or pairs (image, label), read item by item: Pillow images of mode L or RGB,
      uint8 tensors (C, H, W) or (H, W, C), uint8 arrays (H, W, C). torchvision's own labels, files and classes are
      taken from its lists; of another data set every item is read once when the labels are asked for. It must give the
      same image twice: of one with a random transform what was attacked with success is kept, and nothing else;
    - a `torch.utils.data.DataLoader`, gone through once here, in its own order and with its workers. dfa reads images
      again when it saves or resumes a run, so they are kept until then: up to 256 MiB in memory, more in a file of the
      folder for temporary files. A run is resumed only with the same images in the same order, so seed the `generator`
      of a loader that shuffles;
    - a Hugging Face `datasets.Dataset`, decoded row by row: see `dfa.data.hugging_face.read_hugging_face`.

    Anything else is taken as it is, without labels and names. Labels are the ids that the data has. Whether they are
    the model's ids nobody can know: where the model was trained with other classes, or the same in another order, pass
    the model's `class_names` (where the data has names of its own, each label is then the class of its name), pass
    `labels`, or leave them out with `without_labels()`.

    Args:
        data: What holds the images.
        layout: Of tensors and arrays: "NCHW" for (C, H, W), "NHWC" for (H, W, C). None: as in `dfa.run`.
        form: What they are to be instead of images.

    Raises:
        InvalidInputError: The layout is none, or what is recognised cannot be read.
    """
    if not (layout is None or (isinstance(layout, str) and layout in ("NHWC", "NCHW"))):
        raise InvalidInputError(f"layout must be None, 'NHWC' or 'NCHW', got {layout!r}")
    if form is Form.ARRAYS and layout == "NCHW":
        raise InvalidInputError("layout='NCHW' is of images, and the search space is of other arrays")
    if isinstance(data, ImageSet):
        if layout == "NCHW":
            raise InvalidInputError(
                "layout='NCHW' goes to what made these images: dfa.data.as_images(data, layout='NCHW')"
            )
        return data
    pixels: Callable[[Any], NDArray[Any]] = partial(as_pixels, layout=layout) if form is Form.IMAGES else np.asarray
    if descends_from(data, "torch", "DataLoader"):
        return read_loader(data, pixels)
    refuse_other_kinds(data)
    if descends_from(data, "torch", "IterableDataset"):
        raise InvalidInputError(
            "images must be a data set that can be read at any place, and this one is a stream; let a loader go "
            "through it: torch.utils.data.DataLoader(data, batch_size=None)"
        )
    if descends_from(data, "torch", "Dataset") and hasattr(data, "__len__"):
        return read_torch(data, pixels)
    if descends_from(data, "datasets", "Dataset"):
        return read_hugging_face(data, pixels)
    if _is_pair(data):
        raise InvalidInputError(
            "images must be the images alone, got a pair of images and their labels; pass one after the other: "
            "dfa.run(oracle, images, labels, ...)"
        )
    if layout == "NCHW" and not isinstance(data, str | Mapping) and hasattr(data, "__getitem__"):
        is_batch = isinstance(data, np.ndarray) and data.ndim == 4
        return ImageSet(data.transpose(0, 2, 3, 1) if is_batch else ChannelsFirst(data))
    return ImageSet(data)


def _is_pair(data: Any) -> bool:
    """Tell whether something is a pair of images, (N, ...), and their labels, (N,)."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        return False
    shapes = [getattr(each, "shape", None) for each in data]
    if shapes[0] is None or len(shapes[0]) != 4:
        return False
    return as_length(data[1]) == shapes[0][0] and (shapes[1] is None or len(shapes[1]) < 3)


@dataclass(frozen=True)
class ChannelsFirst:
    """A sequence of images (C, H, W), as one of images (H, W, C).

    Attributes:
        images: The sequence.
    """

    images: Any

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int, /) -> NDArray[Any]:
        """Return one image."""
        return as_pixels(self.images[index], "NCHW")
