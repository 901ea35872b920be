"""What each image is to stop or to become: its label, and in a targeted run its target, a class id or a rank.

`parse_labels` and `parse_targets` check what the user gave before anything is queried; `resolve_targets` turns targets
into one class per image once the oracle has scored the clean images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from dfa.checks import as_array, is_integer, refuse_masked
from dfa.errors import InvalidInputError
from dfa.search.class_names import ClassNames, ids_of
from dfa.types import Classes, Indices, Scores


@dataclass(frozen=True)
class Rank:
    """The j-th likeliest class of the clean image, as a target.

    Attributes:
        j: The rank, 2 or more; 1 is the image's own class.

    Raises:
        InvalidInputError: If `j` is not an integer of 2 or more.
    """

    j: int

    def __post_init__(self) -> None:
        """Check the rank."""
        if not is_integer(self.j) or self.j < 2:
            raise InvalidInputError(
                f"rank must be an integer of 2 or more (1 is the class the image already has), got {self.j!r}"
            )


def rank(j: int) -> Rank:
    """Return the target "the j-th likeliest class of the clean image".

    The paper attacks towards rank 4 on MNIST and rank 11 on ImageNet.

    Args:
        j: The rank, 2 or more.

    Raises:
        InvalidInputError: If `j` is not an integer of 2 or more.

    Source:
        Paper, section 5 (Table 5).
    """
    return Rank(j)


def parse_labels(labels: ArrayLike | None, num_images: int, class_names: ClassNames = None) -> Classes | None:
    """Return the user's labels as int64, (N,), or None; names of `class_names` stand for their ids.

    Raises:
        InvalidInputError: They are not integers of 0 or more, one per image.
    """
    if labels is None:
        return None
    given = ids_of(as_array("labels", labels), class_names)
    if given.dtype.kind not in "iu" or given.shape != (num_images,):
        raise InvalidInputError(
            f"labels must be None or integer class ids of shape ({num_images},), got {given.dtype} of shape "
            f"{given.shape}{_hint('labels', given)}"
        )
    if int(given.min()) < 0:
        raise InvalidInputError(f"labels must be class ids of 0 or more, got {given.min()}")
    if int(given.max()) > np.iinfo(np.int64).max:
        # It would wrap in the conversion below and come out as another class.
        raise InvalidInputError(f"labels must be class ids of the oracle, got {given.max()}")
    return given.astype(np.int64)


def check_label_range(labels: Classes | None, num_classes: int) -> None:
    """Check all labels once the oracle has told its number of classes.

    Raises:
        InvalidInputError: A label is not below it.
    """
    if labels is not None and int(labels.max()) >= num_classes:
        row = int(np.argmax(labels >= num_classes))
        raise InvalidInputError(
            f"labels must be class ids 0..{num_classes - 1}, since the oracle knows {num_classes} classes, got "
            f"{labels[row]} for image {row}{_off_by_one(labels, num_classes)}"
        )


Targets: TypeAlias = Rank | Classes | None
"""Checked targets: a rank, one class id per image (int64, (N,)), or None in an untargeted run."""


def parse_targets(
    targets: Rank | ArrayLike | None,
    *,
    num_images: int,
    labels: Classes | None = None,
    class_names: ClassNames = None,
) -> Targets:
    """Return the user's targets, checked as far as possible without asking the oracle.

    A single class id stands for all images. An image that already has that class is not an error (it is
    skipped), while a target given for one image that equals the label given for that image is a
    contradiction.

    Args:
        targets: None, a `Rank`, one class id, or one per image: integers, (N,).
        num_images: N.
        labels: The labels that the user gave, int64, (N,), or None where the oracle's own answers serve.
        class_names: What the classes are called, in place of whose ids `targets` may hold their names; or None.

    Returns:
        None, the `Rank`, or int64, (N,).

    Raises:
        InvalidInputError: If `targets` is not of integers (bools and floats are refused), has another length
            than N, holds a negative id, or holds an image's own label.
    """
    if targets is None or isinstance(targets, Rank):
        return targets
    given = ids_of(_as_array(targets), class_names)
    if given.dtype.kind not in "iu":
        raise InvalidInputError(
            "targets must be None, dfa.rank(j), one integer class id, or one per image, "
            f"got {_described(targets, given)}{_hint('targets', given)}"
        )
    if given.ndim and given.shape != (num_images,):
        raise InvalidInputError(
            f"targets must be one class id or one per image, shape ({num_images},), got shape {given.shape}"
            f"{_hint('targets', given)}"
        )
    # An id past int64 would wrap in the conversion below and come out as another class.
    outside = (given < 0) | (given > np.iinfo(np.int64).max)
    if np.any(outside):
        row = int(np.argmax(outside))
        raise InvalidInputError(f"targets must be class ids of 0 or more, got {given.flat[row]}{_at(given, row)}")
    classes: Classes = np.broadcast_to(given.astype(np.int64), (num_images,))
    if given.ndim and labels is not None and np.any(classes == labels):
        row = int(np.argmax(classes == labels))
        raise InvalidInputError(
            f"the target of image {row} is its own label, {classes[row]}; give it another, or leave it out"
        )
    return classes


def check_ranked(targets: Targets, num_ranked: int | None) -> None:
    """Check that the clean images' answers will tell the target.

    Args:
        targets: What `parse_targets` returned.
        num_ranked: How many of the likeliest classes an answer names in their order; None for all.

    Raises:
        InvalidInputError: A rank lies beyond them.
    """
    if isinstance(targets, Rank) and num_ranked is not None and targets.j > num_ranked:
        raise InvalidInputError(
            f"rank {targets.j} cannot be told: an answer of the oracle names the likeliest {num_ranked} of its "
            "classes; give class ids as targets, or a smaller rank"
        )


def resolve_targets(targets: Targets, clean_scores: Scores, indices: Indices) -> Classes | None:
    """Return the target class of each of n images, or None in an untargeted run.

    Args:
        targets: What `parse_targets` returned.
        clean_scores: float64, (n, K), the scores of the clean images.
        indices: int64, (n,), the places of these images in the run's array.

    Returns:
        int64, (n,), 0..K-1. Among equally likely classes the smaller id has the smaller rank.

    Raises:
        InvalidInputError: If a class id, of whichever image, is not below K, or the rank is above K.
    """
    if targets is None:
        return None
    num_classes = clean_scores.shape[1]
    if isinstance(targets, Rank):
        if targets.j > num_classes:
            raise InvalidInputError(f"rank {targets.j} does not exist: the oracle knows {num_classes} classes")
        # Sorting -scores, and not scores backwards, keeps the smaller id first on ties.
        order = np.argsort(-clean_scores, axis=1, kind="stable")
        return order[:, targets.j - 1].astype(np.int64)
    # All N and not only these n: a bad id of the last image should not surface after hours.
    outside = targets >= num_classes
    if np.any(outside):
        row = int(np.argmax(outside))
        raise InvalidInputError(
            f"targets must be class ids 0..{num_classes - 1}, since the oracle knows {num_classes} classes, "
            f"got {targets[row]} for image {row}"
        )
    return targets[indices]


def _as_array(targets: ArrayLike) -> np.ndarray:
    """Return `targets` as an array, refusing what numpy cannot read (a ragged list, say)."""
    refuse_masked("targets", targets)
    try:
        return np.asarray(targets)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"targets must be None, dfa.rank(j), one integer class id, or one per image; {error}"
        ) from error


def _off_by_one(labels: Classes, num_classes: int) -> str:
    """Return the likeliest cure of labels that reach one too far, as the end of a message."""
    is_so = int(labels.max()) == num_classes and int(labels.min()) > 0
    return "; they seem to count from 1, and classes count from 0: subtract 1 from each" if is_so else ""


def _hint(name: str, given: np.ndarray) -> str:
    """Return how class ids are made of what was given, as the end of a message; nothing where that is not plain."""
    if given.dtype.kind == "U":
        return f"; {name} by name need class_names=, the oracle's classes in their order"
    if given.dtype.kind not in "iufb" or given.size == 0:
        return ""
    if given.ndim == 2 and given.shape[1] == 1:
        return f"; take the one column, np.asarray({name})[:, 0]"
    if given.ndim == 2 and np.isin(given, (0, 1)).all() and (given.sum(axis=1) == 1).all():
        return f"; they look one-hot, so pass np.asarray({name}).argmax(1)"
    if given.dtype.kind == "f" and np.isfinite(given).all() and (given == np.rint(given)).all():
        return f"; pass np.asarray({name}).astype(int)"
    return ""


def _described(targets: ArrayLike, given: np.ndarray) -> str:
    """Say what was given: a single value as it is, an array by its dtype and shape."""
    return f"{targets!r}" if given.ndim == 0 else f"dtype {given.dtype} of shape {given.shape}"


def _at(given: np.ndarray, row: int) -> str:
    """Say which image a value belongs to, where there is one value per image."""
    return f" for image {row}" if given.ndim else ""
