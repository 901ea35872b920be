"""Defended models: what happens to an image on its way to a model, as steps to put in front of any oracle.

A step is any function from a uint8 batch (n, H, W, C) to another, so a step of your own is a function. These are ready:

=================================  ================================================  =====================
step                               what it does                                      source
=================================  ================================================  =====================
`Jpeg(quality)`                    writes and reads a JPEG (Pillow)                  Guo et al., ICLR 2018
`BitDepth(bits)`                   leaves 2**bits grey levels                        Xu et al., NDSS 2018
`Median(size)`                     median filter, each channel by itself             Xu et al., NDSS 2018
`RandomResizePad(smallest, seed)`  shrinks and pads at random: a randomised defence  Xie et al., ICLR 2018
=================================  ================================================  =====================

`Pipeline(steps, model)` is an oracle like any other: an image sent to it is a query, whatever the steps make of it.
`Vote(models)` is an ensemble as one oracle.

>>> import numpy as np
>>> import dfa
>>> def brightness(images):
...     bright = images.mean(axis=(1, 2, 3)) / 255
...     return np.stack([1 - bright, bright], axis=1)
>>> defended = dfa.Pipeline([dfa.pipelines.BitDepth(1), dfa.pipelines.Median(3)], brightness)
>>> images = np.full((4, 8, 8, 1), 125, dtype=np.uint8)
>>> dfa.run(defended, images, epsilon=10, progress=False).summary().TSR
1.0

Against a randomised defence pass `confirmations=` to `dfa.run`: one lucky answer is no success.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageFilter

from dfa.checks import require_integer
from dfa.errors import InvalidInputError, OracleError, PartialAnswer
from dfa.oracle import Oracle, as_oracle
from dfa.oracle.base import DEFAULT_TOLERANCE, ScoreKind, name_of
from dfa.oracle.codecs import Codec
from dfa.oracle.gate import Gate, Purpose
from dfa.types import Image, Images, Scores

Step: TypeAlias = Callable[[Images], Any]
"""From uint8 (n, H, W, C) to uint8 (n, H', W', C'). It must not change the batch that it is given."""


class Pipeline(Oracle):
    """A model behind steps, as one oracle.

    With steps that are fixed functions of one image, as all of this module but `RandomResizePad` are, an image's answer
    is what the model says of its steps' image, for any batch size, order and number of threads.

    Attributes:
        kind: "pipeline".
        name: The steps' names and the model's.
    """

    kind = "pipeline"

    def __init__(self, steps: Sequence[Step], model: Any, *, threads: int = 1, name: str | None = None) -> None:
        """Put steps in front of a model.

        Args:
            steps: Functions from uint8 (n, H, W, C) to uint8 (n, H', W', C'), the first one first.
            model: Anything that `dfa.as_oracle` takes, and so another pipeline, too.
            threads: Parts of a batch that go through this module's fixed steps side by side. A step of your own gets
                the whole batch, in one thread, unless it has an attribute `is_fixed` that is true.
            name: What records call the oracle.

        Raises:
            InvalidInputError: An argument is not what it should be.
        """
        if not isinstance(steps, Sequence) or not all(callable(step) for step in steps):
            raise InvalidInputError(
                f"steps must be a list of functions of a uint8 batch, such as [dfa.pipelines.Jpeg(75)], got {steps!r}"
            )
        require_integer("threads", threads, 1)
        self._steps = tuple(steps)
        self._model = as_oracle(model)
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="dfa-pipeline") if threads > 1 else None
        self.name = " > ".join([*map(_name_of, self._steps), self._model.name]) if name is None else name
        self.returns = self._model.returns
        self.tolerance = self._model.tolerance
        self.num_classes, self.num_shown = self._model.num_classes, self._model.num_shown
        self.class_names = self._model.class_names
        self.in_callers_thread = self._model.in_callers_thread
        # One call at a time: a step may draw from a generator of its own.
        self.stand_for(self._model)

    def keep_with(self, books: Any, names: Any) -> None:
        """Let the model keep its books and names where a run has them, if it is a service."""
        self._model.keep_with(books, names)

    def hang_up(self) -> None:
        """Let calls that are under way end soon."""
        self._model.hang_up()

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let the model get ready for what the steps make of such images, which one black image shows.

        Raises:
            InvalidInputError: A step or the model cannot take such images.
            OracleError: What a step gives is no batch of images.
        """
        probe = np.zeros((1, *shape), dtype=np.uint8)
        for step in self._steps:
            # A draw from a random step's generator would make the run depend on how often it was prepared.
            if getattr(step, "keeps_shape", False):
                continue
            probe = self._checked(step, step(probe), len(probe))
        height, width, channels = probe.shape[1:]
        self._model.prepare((height, width, channels), batch_size)

    def transform(self, images: Images) -> Images:
        """Return what the model is asked about: uint8, (n, H', W', C').

        Args:
            images: uint8, (n, H, W, C).

        Raises:
            InvalidInputError: A step cannot take such images.
            OracleError: What a step gives is no batch of images.
        """
        batch: Images = images.view()
        batch.flags.writeable = False
        for step in self._steps:
            if self._executor is not None and getattr(step, "is_fixed", False) and len(batch) > 1:
                parts = np.array_split(batch, min(self._threads, len(batch)))
                made: Any = np.concatenate(list(self._executor.map(step, parts)))
            else:
                made = step(batch)
            batch = self._checked(step, made, len(images))
        return batch

    def scores(self, images: Images) -> Any:
        """Return what the model answers about what the steps make of a batch.

        Args:
            images: uint8, (n, H, W, C), 0..255.
        """
        return self._model.scores(self.transform(images))

    def fingerprint(self) -> str | None:
        """Return what names the steps and the model's parameters, or None where nothing names the latter."""
        model = self._model.fingerprint()
        if model is None:
            return None
        return hashlib.sha256("\n".join([*map(_name_of, self._steps), model]).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        return super().describe() | {"steps": [*map(_name_of, self._steps)], "model": self._model.describe()}

    def _checked(self, step: Step, made: Any, number: int) -> Images:
        batch = np.asarray(made)
        if batch.dtype != np.uint8 or batch.ndim != 4 or len(batch) != number:
            raise OracleError(
                f"the step {_name_of(step)} must make uint8 images (n, H, W, C) of {number} images, and made "
                f"{batch.dtype} of shape {batch.shape}"
            )
        return batch


@dataclass(frozen=True)
class Jpeg:
    """Writes each image as a JPEG and reads it back, with Pillow's defaults (colours at half resolution).

    Attributes:
        quality: 1..100.

    Raises:
        InvalidInputError: `quality` is out of range; or, when called, images have neither 1 nor 3 channels.
    """

    quality: int = 75
    is_fixed: ClassVar[bool] = True
    keeps_shape: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the quality."""
        require_integer("quality", self.quality, 1, 100)

    def __call__(self, images: Images) -> Images:
        """Return the images as they are read back: uint8, (n, H, W, C)."""
        codec = Codec.of(f"jpeg:{self.quality}")
        return _each(images, lambda row, image: codec.round_trip(image, row))


@dataclass(frozen=True)
class BitDepth:
    """Leaves 2**bits grey levels, evenly from 0 to 255; each value becomes the nearest.

    Attributes:
        bits: 1..8.

    Raises:
        InvalidInputError: `bits` is out of range.
    """

    bits: int
    is_fixed: ClassVar[bool] = True
    keeps_shape: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the number of bits."""
        require_integer("bits", self.bits, 1, 8)

    def __call__(self, images: Images) -> Images:
        """Return the images in fewer levels: uint8, (n, H, W, C)."""
        steps = 2**self.bits - 1
        levels = np.rint(np.rint(np.arange(256) * steps / 255) * 255 / steps).astype(np.uint8)
        reduced: Images = levels[images]
        return reduced


@dataclass(frozen=True)
class Median:
    """Replaces each value by the median of the square around it, within its channel; edges are repeated outward.

    Attributes:
        size: Side of the square: odd, 3..99.

    Raises:
        InvalidInputError: `size` is none of these.
    """

    size: int = 3
    is_fixed: ClassVar[bool] = True
    keeps_shape: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the size."""
        require_integer("size", self.size, 3, 99)
        if self.size % 2 == 0:
            raise InvalidInputError(f"size must be odd, so that a square has a middle, got {self.size}")

    def __call__(self, images: Images) -> Images:
        """Return the filtered images: uint8, (n, H, W, C)."""
        if self.size == 3:
            return _median_of_nine(images)
        kernel = PIL.ImageFilter.MedianFilter(self.size)

        def filtered(row: int, image: Image) -> Image:
            channels = [PIL.Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(image, 2, 0)]
            return np.stack([np.asarray(channel.filter(kernel)) for channel in channels], axis=2)

        return _each(images, filtered)


class RandomResizePad:
    """Shrinks each image by a random share, and pads it back to its size at a random place: a randomised defence.

    The height becomes each of ceil(smallest * H)..H with the same chance, the width keeps the proportion, pixels are
    those nearest, and each place of the shrunken image on the canvas has the same chance. The n-th image that was ever
    asked draws the n-th three numbers of the generator: asked in the same order, by the same batches or others, images
    get the same answers. (The state of the generator is not part of a run's checkpoint, so a run that is resumed goes
    on with other draws.)

    Source: Xie et al., "Mitigating adversarial effects through randomization", ICLR 2018. There images grow from 299 to
    at most 331; here the canvas stays what the model takes.
    """

    is_fixed: ClassVar[bool] = False
    keeps_shape: ClassVar[bool] = True

    def __init__(self, smallest: float = 0.9, seed: int | np.random.Generator = 0, *, fill: int = 0) -> None:
        """Choose how far images shrink.

        Args:
            smallest: The smallest share of the height, in (0, 1].
            seed: A seed, 0 or more, or a numpy generator to draw from.
            fill: The grey level around a shrunken image, 0..255.

        Raises:
            InvalidInputError: An argument is not what it should be.
        """
        if isinstance(smallest, bool) or not isinstance(smallest, int | float) or not 0 < smallest <= 1:
            raise InvalidInputError(f"smallest must be a share of the height, in (0, 1], got {smallest!r}")
        require_integer("fill", fill, 0, 255)
        # A generator of the user's has no number to be named by.
        self._seed = None if isinstance(seed, np.random.Generator) else require_integer("seed", seed, 0, 2**63 - 1)
        self._smallest = float(smallest)
        self._fill = fill
        self._generator = np.random.default_rng(seed)

    def __repr__(self) -> str:
        """Return the arguments."""
        return f"RandomResizePad(smallest={self._smallest}, seed={self._seed}, fill={self._fill})"

    def __call__(self, images: Images) -> Images:
        """Return the images, each shrunken and padded by draws of its own: uint8, (n, H, W, C)."""
        draws = self._generator.random((len(images), 3))
        return _each(images, lambda row, image: self._placed(image, *draws[row].tolist()))

    def _placed(self, image: Image, size: float, top: float, left: float) -> Image:
        height, width = image.shape[:2]
        least = max(1, int(np.ceil(self._smallest * height)))
        rows = least + int(size * (height - least + 1))
        columns = max(1, round(width * rows / height))
        first_row, first_column = int(top * (height - rows + 1)), int(left * (width - columns + 1))
        canvas = np.full_like(image, self._fill)
        shrunken = image[_nearest(rows, height)][:, _nearest(columns, width)]
        canvas[first_row : first_row + rows, first_column : first_column + columns] = shrunken
        return canvas


class Vote(Oracle):
    """An ensemble as one oracle: each member is asked about every image, and an image sent to all of them is one query.

    Attributes:
        kind: "vote".
        name: The members' names.
    """

    kind = "vote"
    returns = ScoreKind.PROBABILITIES
    tolerance = DEFAULT_TOLERANCE

    def __init__(
        self, models: Sequence[Any], *, by: Literal["votes", "probabilities"] = "votes", name: str | None = None
    ) -> None:
        """Let models vote.

        Args:
            models: Two or more of what `dfa.as_oracle` takes, all of the same classes.
            by: A class's score is its share of the "votes", which moves in steps of one member (a member whose classes
                tie shares its vote among them), or its mean over the members' "probabilities".
            name: What records call the oracle.

        Raises:
            InvalidInputError: An argument is not what it should be.
        """
        if isinstance(models, str) or not isinstance(models, Sequence) or len(models) < 2:
            raise InvalidInputError(f"a vote needs a list of at least two models, got {models!r}")
        if by not in ("votes", "probabilities"):
            raise InvalidInputError(f"by must be 'votes' or 'probabilities', got {by!r}")
        self._members = [as_oracle(model) for model in models]
        self._by = by
        self.name = f"vote({', '.join(each.name for each in self._members)})" if name is None else name
        # The members' answers are checked, and logits become probabilities, as those of any oracle.
        self._gates = [Gate(each, num_images=1, max_queries=0) for each in self._members]

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let all members get ready.

        Raises:
            InvalidInputError: One cannot take such images.
        """
        for gate in self._gates:
            gate.prepare(shape, batch_size)

    def scores(self, images: Images) -> Any:
        """Return the shares of the votes, or the mean probabilities: float64, (n, K).

        Args:
            images: uint8, (n, H, W, C), 0..255.

        Raises:
            OracleError: A member failed, or the members do not know the same classes.
        """
        indices = np.zeros(len(images), dtype=np.int64)
        try:
            answers = [gate.ask(images, indices, Purpose.CLEAN) for gate in self._gates]
        except PartialAnswer as error:
            # What one member answered is no answer of them all.
            raise OracleError(str(error)) from error
        sizes = [answer.shape[1] for answer in answers]
        if len(set(sizes)) > 1:
            raise OracleError(f"the models that vote must know the same classes, and know {sizes} of them")
        if self._by == "votes":
            answers = [_votes(answer) for answer in answers]
        return np.mean(answers, axis=0)

    def fingerprint(self) -> str | None:
        """Return what names the parameters of all members, or None where nothing names those of one."""
        names = [each.fingerprint() for each in self._members]
        known = [each for each in names if each is not None]
        return hashlib.sha256("\n".join([self._by, *known]).encode()).hexdigest() if known == names else None

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        return super().describe() | {"by": self._by, "models": [each.describe() for each in self._members]}


def _votes(scores: Scores) -> Scores:
    """Return each row's vote, shared evenly by classes that tie: by ids alone it would be decided by nothing."""
    is_first = scores == scores.max(axis=1, keepdims=True)
    votes: Scores = is_first / is_first.sum(axis=1, keepdims=True)
    return votes


# Smith's network: 19 exchanges, after which the fifth of nine values is their median. With whole images as values it
# takes a seventh of Pillow's time, whose filter would cost more than a small model.
_EXCHANGES: Final = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8)),
    *((0, 3), (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


def _median_of_nine(images: Images) -> Images:
    height, width = images.shape[1:3]

    def filtered(row: int, image: Image) -> Image:
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        values = [padded[top : top + height, left : left + width] for top in range(3) for left in range(3)]
        for one, other in _EXCHANGES:
            pair = values[one], values[other]
            values[one], values[other] = np.minimum(*pair), np.maximum(*pair)
        return values[4]

    return _each(images, filtered)


def _each(images: Images, function: Callable[[int, Image], Image]) -> Images:
    """Return what a function of (row, image) makes of each image."""
    made = np.empty_like(images)
    for row, image in enumerate(images):
        made[row] = function(row, image)
    return made


def _nearest(number: int, of: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return, for each of `number` pixels, which of `of` lies at its place."""
    places: np.ndarray[Any, np.dtype[np.int64]] = ((np.arange(number) + 0.5) * of / number).astype(np.int64)
    return places


def _name_of(step: Step) -> str:
    """Return a step's name, which tells its arguments where it is one of this module."""
    return repr(step) if isinstance(step, Jpeg | BitDepth | Median | RandomResizePad) else name_of(step)
