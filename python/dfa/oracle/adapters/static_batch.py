"""Batches of one size, whatever number of rows is asked: what makes a float32 model's answers exact.

A model's answer to an image depends, in its last bits, on the size of the batch that the image is in, since kernels are
chosen by size, and as a rule not on its place there nor on its neighbours. So an adapter gives its model batches of one
size only, the last one filled up with rows of no meaning, and an image's answer is the same whatever else is asked with
it. `dfa.testing.check_oracle` finds the exceptions: some products of float32 matrices round a row by its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa.checks import is_integer
from dfa.errors import InvalidInputError
from dfa.types import Images

StaticBatch: TypeAlias = bool | int
"""True: one size that the adapter chooses; False: batches go as they come; a number: that size."""

_CACHED: Final = 2**16
"""Coordinates of a batch. More rows at once outgrow a CPU's caches, and a run that drains asks for few: ResNet-20
answers 1,590 images of 32x32x3 a second in batches of 256, 3,050 in batches of 32, 2,640 in batches of 16; MobileNetV2
39 of 224x224x3 in batches of 64, 185 in batches of 4."""

_LEAST, _MOST = 4, 64
"""Rows of a batch on a CPU."""


def checked_static_batch(static_batch: StaticBatch) -> StaticBatch:
    """Return `static_batch` if it is one.

    Raises:
        InvalidInputError: It is neither True, False nor an integer of at least 1.
    """
    if isinstance(static_batch, bool) or (is_integer(static_batch) and static_batch >= 1):
        return static_batch
    raise InvalidInputError(
        "static_batch must be True, False (batches go to the model as they come) or the number of rows that every "
        f"batch is to have, got {static_batch!r}"
    )


def rows_of_batch(static_batch: StaticBatch, shape: tuple[int, ...], batch_size: int, *, on_cpu: bool) -> int | None:
    """Return how many rows every batch is to have, or None for as many as come.

    On a CPU that is a power of two that depends on the images alone, so results do not depend on the run's batch size;
    an accelerator is given the run's batch size, since it needs the whole of it to be busy.

    Args:
        static_batch: What the user asked for.
        shape: (H, W, C) of the images.
        batch_size: The most images that the run asks at once.
        on_cpu: Where the model runs.
    """
    if static_batch is False:
        return None
    if static_batch is not True:
        return int(static_batch)
    if not on_cpu:
        return batch_size
    rows = _CACHED // max(1, int(np.prod(shape)))
    return min(_MOST, max(_LEAST, 1 << max(0, rows.bit_length() - 1)))


def ask_in_batches(
    images: Images, room: NDArray[Any] | None, ask: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any]:
    """Return a model's answers to images, asked in batches of one size.

    Args:
        images: (n, H, W, C).
        room: (rows, H, W, C), of the images' dtype: where every batch is put together, such as pinned memory; what it
            held is lost. None for all images at once, as they come.
        ask: From a C-contiguous batch, which is `room` if there is one, to an array of its own, one row per row.

    Returns:
        (n, ...): the answers, those to rows that only fill a batch left out.
    """
    if room is None:
        return ask(np.ascontiguousarray(images))
    answers = []
    for start in range(0, len(images), len(room)):
        part = images[start : start + len(room)]
        room[: len(part)] = part
        # Not what was asked before: a model that minds its batch would then remember it.
        room[len(part) :] = 0
        answers.append(ask(room)[: len(part)])
    return answers[0] if len(answers) == 1 else np.concatenate(answers)
