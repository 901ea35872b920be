"""The originals of a run: checked, read one at a time, and named for their random streams."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.checks import as_array, as_length, as_text, refuse_masked
from dfa.data.choice import as_images
from dfa.data.image_set import own_names
from dfa.data.items import IMAGE_NAMES, LABEL_NAMES, name_among
from dfa.data.torch_loader import KeptImages
from dfa.errors import InvalidInputError, told
from dfa.oracle.base import descends_from
from dfa.originals import Form, conversion_hint, is_channels_first
from dfa.types import Classes

OTHER_SHAPE: Final = "must have the shape of the first"
"""What is said of an image that has another; also whoever can resize images knows it by that."""
_LOOKED_AT: Final = 100
"""Images in which the first good one is looked for: a sequence of another kind than images is refused soon."""
_READ_FILES: Final = (
    "read the files, such as images=[np.asarray(PIL.Image.open(path).convert('RGB')) for path in paths]; of a folder "
    "or a glob, images=dfa.data.image_files(path); of a folder for each class, images=dfa.data.image_folder(path)"
)


class Inputs:
    """The originals of a run, whatever sequence they came as; images, but for a user's search space.

    Attributes:
        num_images: N.
        form: What they are.
        shape: (H, W, C) of every image: that of the first one that is good; of a part, of the whole set.
        dtype: uint8 of images.
        names: Files that they came from, or other names, one per image; or None.
        class_names: What the data calls its classes, or None.
        part: Which part of a larger set they are, or None.
        is_held: They lie in memory or in a file of ours, so that reading one again gives the same.
    """

    def __init__(
        self,
        images: Any,
        form: Form = Form.IMAGES,
        *,
        layout: str | None = None,
        names: Sequence[str | os.PathLike[str]] | None = None,
    ) -> None:
        """Look at the length and at the images up to the first good one; read nothing else.

        Args:
            images: uint8, (N, H, W, C); any sequence (a list, a memory map, a lazily read folder) that gives uint8
                (H, W, C) images of one shape; or what `as_images` recognises.
            form: What they are to be instead.
            layout: "NCHW" where they are (C, H, W); "NHWC" where images that look like that are (H, W, C) all the same.
            names: Files that the images came from, or other names, one per image; None: those of the data, or the
                `names` of the sequence, if it has a list of strings under that name.

        Raises:
            InvalidInputError: It is neither, holds no image, none of the first 100 is uint8 (H, W, C), or the first one
                that is looks like (C, H, W).
        """
        self._set = as_images(images, layout=layout, form=form)
        given, images = images, self._set.images
        is_array = form is Form.IMAGES and isinstance(images, np.ndarray)
        if is_array and (images.dtype != np.uint8 or images.ndim != 4):
            raise InvalidInputError(_describe_array(np.asarray(images)))
        if form is Form.IMAGES and descends_from(given, "torch", "Tensor"):
            _refuse_batch(given, layout)
        if isinstance(images, Mapping):
            name = name_among(IMAGE_NAMES, images) or "images"
            raise InvalidInputError(f"images must be a sequence, and are {_keys(images)}; pass data[{name!r}]")
        if isinstance(images, str | os.PathLike):
            raise InvalidInputError(f"images must be arrays, and {str(images)!r} is a name; {_READ_FILES}")
        if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
            raise InvalidInputError(
                "images must be uint8 of shape (N, H, W, C), or a sequence of uint8 images with __len__ and "
                f"__getitem__, got {type(images).__name__}{_as_sequence(images)}"
            )
        self.num_images = len(images)
        if self.num_images == 0:
            raise InvalidInputError("images must hold at least one image, got none")
        self._images = images
        self.is_held = isinstance(images, np.ndarray | KeptImages)
        self.form = form
        self.shape: Any = None  # a tuple of integers, three of images
        first = self._first_good()
        if form is Form.IMAGES and layout is None and is_channels_first(first.shape):
            raise InvalidInputError(
                f"each image must be of shape (H, W, C), and {first.shape} looks like (C, H, W); pass layout='NCHW' if "
                f"it is, or layout='NHWC' if it is {first.shape[0]} high and has {first.shape[2]} channels"
            )
        self.shape = first.shape
        self.dtype = first.dtype
        self.names = _names(self._set.names if names is None else names, given, self.num_images)
        self.class_names = self._set.class_names
        self.part = self._set.which

    def source(self, index: int) -> str | None:
        """Return the name of image `index`, if it has one."""
        return None if self.names is None else self.names[index]

    def labels_in(self, class_names: Sequence[str] | None) -> Classes | None:
        """Return the labels that the data brings, as ids of classes that are called so; see `ImageSet.labels_in`.

        Raises:
            InvalidInputError: They are no class ids.
        """
        return self._set.labels_in(class_names)

    def _first_good(self) -> NDArray[Any]:
        """Return the first image that can be attacked; one that cannot is no reason to refuse the others.

        Raises:
            InvalidInputError: None can.
        """
        reason: InvalidInputError | None = None
        # The first one of the whole set, that all its parts may be of one shape.
        places = ((images, index) for images in (self._set.before, self._images) for index in range(len(images)))
        tried = 0
        for images, index in itertools.islice(places, _LOOKED_AT):
            try:
                return self._load(images, index)
            except InvalidInputError as error:
                reason, tried = reason or error, tried + 1
        more = f"; nor can any other of the first {tried} images be attacked" if tried > 1 else ""
        raise InvalidInputError(f"{reason}{more}") from reason

    def load(self, index: int) -> NDArray[Any]:
        """Return a copy of image `index`: uint8, (H, W, C), C-contiguous.

        Raises:
            InvalidInputError: It cannot be read, or is not a uint8 image of the run's shape.
        """
        return self._load(self._images, index)

    def earlier(self) -> Iterator[NDArray[Any]]:
        """Yield the images before these in the set that they are a part of; those that can be attacked."""
        for index in range(len(self._set.before)):
            try:
                image = self._load(self._set.before, index)
            except InvalidInputError:
                continue
            yield image

    def _load(self, images: Any, index: int) -> NDArray[Any]:
        try:
            item = images[index]
            _refuse_item(item)
            refuse_masked("it", item)
            image = np.asarray(item)
        except InvalidInputError as error:
            raise InvalidInputError(f"image {index}: {error}") from error
        except Exception as error:  # a user's sequence may raise anything
            raise InvalidInputError(f"image {index} cannot be read: {told(error)}") from error
        problem = self.form.why_not(image)
        if problem:
            raise InvalidInputError(f"image {index} {_of_torch(problem) if _is_of_torch(item) else problem}")
        if self.shape is not None and image.shape != self.shape:
            raise InvalidInputError(
                f"image {index} {OTHER_SHAPE}, {self.shape}, got {image.shape}; attack images "
                "of another shape in a run of their own"
            )
        if self.shape is not None and image.dtype != self.dtype:
            raise InvalidInputError(f"image {index} must have the dtype of the first, {self.dtype}, got {image.dtype}")
        # A copy: a sequence may hand out the same memory for every image.
        return np.array(image, order="C")


class StreamIds:
    """Names the random stream of each image after the image, not after its place.

    So a shuffled or split set gives every image the same search. Copies of one image get different names by a
    running number, in the order in which they are read.

    Attributes:
        given: int64, (N,): the user's ids, or None.
    """

    def __init__(self, given: ArrayLike | None, num_images: int) -> None:
        """Take the user's ids, or none.

        Args:
            given: Integers of 0..2**32 - 1, (N,), or None to name images after their bytes.
            num_images: N.

        Raises:
            InvalidInputError: Ids of another kind, number or range.
        """
        self.given: NDArray[np.int64] | None = None
        self._copies: Counter[bytes] = Counter()
        if given is None:
            return
        ids = as_array("ids", given)
        if ids.dtype.kind not in "iu" or ids.shape != (num_images,):
            raise InvalidInputError(
                f"ids must be integers of shape ({num_images},), got {ids.dtype} of shape {ids.shape}"
            )
        if int(ids.min()) < 0 or int(ids.max()) >= 2**32:
            raise InvalidInputError(f"ids must be in 0..2**32 - 1, got {ids.min()}..{ids.max()}")
        self.given = ids.astype(np.int64)

    def name(self, index: int, image: NDArray[Any]) -> int:
        """Return the id of image `index`; to be called once per image, in order."""
        if self.given is not None:
            return int(self.given[index])
        digest, copy = self.count(image)
        named = hashlib.blake2b(digest + copy.to_bytes(8, "little"), digest_size=4).digest()
        return int.from_bytes(named, "little")

    def count(self, image: NDArray[Any]) -> tuple[bytes, int]:
        """Return what names an image, and how many copies of it came before this one, which counts from now on."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        copy = self._copies[digest]
        self._copies[digest] += 1
        return digest, copy


def _names(given: Any, images: Any, number: int) -> list[str] | None:
    """Return a name for every image, or None.

    Raises:
        InvalidInputError: What was given is not one string or path per image.
    """
    if given is None:
        return own_names(images, number)
    if isinstance(given, str | bytes | Mapping | set) or as_length(given) != number:
        shown = f"{given!r:.60}" if as_length(given) is None else f"{as_length(given)} of type {type(given).__name__}"
        raise InvalidInputError(
            f"names must be None or a list of {number} strings or paths, one per image, got {shown}"
        )
    names = list(given)
    wrong = next((place for place, each in enumerate(names) if not isinstance(each, str | os.PathLike)), None)
    if wrong is not None:
        raise InvalidInputError(f"names must be strings or paths, got {names[wrong]!r:.60} for image {wrong}")
    return [as_text(each) for each in names]


def _refuse_item(item: Any) -> None:
    """Refuse an item that is more than an image, as a data set gives it, with how to take it apart.

    Raises:
        InvalidInputError: It is a dict, a pair of an array and a label, or the name of a file.
    """
    if isinstance(item, str | os.PathLike):
        raise InvalidInputError(f"it must be an array, and {str(item)!r} is a name; {_READ_FILES}")
    if isinstance(item, Mapping):
        image, label = name_among(IMAGE_NAMES, item), name_among(LABEL_NAMES, item)
        name = image or next(iter(item), "")
        cure = f"images=[{_converted(f'each[{name!r}]', item.get(name))} for each in data]"
        cure += f", labels=[each[{label!r}] for each in data]" if label else ""
        raise InvalidInputError(f"it must be an array alone, and is {_keys(item)}; pass {cure}")
    if isinstance(item, tuple | list) and len(item) == 2 and _num_axes(item[0]) > max(0, _num_axes(item[1])):
        raise InvalidInputError(
            f"it must be an array alone, and is a pair ({type(item[0]).__name__}, {type(item[1]).__name__}); pass "
            f"images=[{_converted('image', item[0])} for image, _ in data], labels=[label for _, label in data]"
        )


def _converted(name: str, value: Any) -> str:
    """Return the expression that makes a uint8 image (H, W, C) of an item of a data set such as this."""
    text = f"np.asarray({name})"
    try:
        array = np.asarray(value)
    except Exception:  # of a tensor that is elsewhere; its own error comes when it is read
        return text
    if is_channels_first(array.shape):
        text += ".transpose(1, 2, 0)"
    if array.dtype.kind != "f" or array.size == 0:
        return text
    return f"({text}{' * 255' if float(array.max()) <= 1.0 else ''}).round().astype('uint8')"


def _refuse_batch(tensor: Any, layout: str | None) -> None:
    """Refuse a tensor of several images that are no 8-bit ones, all at once, with what makes such of it.

    Raises:
        InvalidInputError: It is one.
    """
    if tensor.ndim != 4 or str(tensor.dtype) == "torch.uint8":
        return
    host = tensor.detach().cpu()
    array = (host.float() if host.is_floating_point() else host).numpy()
    text = _describe_array(array if layout != "NCHW" else array.transpose(0, 2, 3, 1))
    raise InvalidInputError(_of_torch(text))


def _as_sequence(images: Any) -> str:
    """Return how something to be gone through becomes a sequence, as the end of a message."""
    if hasattr(images, "dataset"):  # a loader of torch gives batches
        return "; pass its dataset, or a list: images=[image for batch, _ in loader for image in batch.numpy()]"
    return "; make a list of it: images=list(images)" if hasattr(images, "__iter__") else ""


def _is_of_torch(item: Any) -> bool:
    return hasattr(item, "permute")


def _of_torch(problem: str) -> str:
    """Return a problem with its cures as torch spells them."""
    return problem.replace(".transpose(", ".permute(").replace(".astype('uint8')", ".to(torch.uint8)")


def _num_axes(value: Any) -> int:
    """Return how many axes an array has that a value makes, -1 where it makes none."""
    try:
        return np.asarray(value).ndim
    except (ValueError, TypeError, RuntimeError):  # ragged, or a tensor elsewhere
        return -1


def _keys(item: Mapping[Any, Any]) -> str:
    shown = ", ".join(repr(key) for key in list(item)[:6])
    return f"a dict of {shown or 'nothing'}"


def _describe_array(images: NDArray[Any]) -> str:
    text = f"images must be uint8 of shape (N, H, W, C), got {images.dtype} of shape {images.shape}"
    if images.ndim == 4 and is_channels_first(images.shape[1:]):
        text += "; they look like (N, C, H, W), so pass layout='NCHW'"
    if images.dtype == np.uint8 and images.ndim == 3:
        text += "; pass images[..., None] for grey images (N, H, W), images[None] for one image (H, W, C)"
        return text + (
            ", images.transpose(1, 2, 0)[None] for one image (C, H, W)" if is_channels_first(images.shape) else ""
        )
    return text + conversion_hint(images)
