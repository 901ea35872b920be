"""What an attack is asked to do to which model, and the images that it is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dfa
from harness.arrays import Classes, Images
from harness.inputs import first_correct, load_images, load_model, targets_of
from harness.promises import Promise


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A model, its images, and what is asked of the attack.

    Attributes:
        model: File in the data folder.
        images: File in the data folder.
        promise: What may become of an image.
        rank: The target is the rank-th likeliest class of the clean image; None in an untargeted attack.
        number: Images: the first that the model classifies correctly.
        batch_size: Rows of the oracle's batch.
    """

    model: str
    images: str
    promise: Promise
    rank: int | None
    number: int
    batch_size: int = 256


class Subject(NamedTuple):
    """A setting's model and images.

    Attributes:
        model: As `load_model` returns it.
        images: uint8, (N, H, W, C), all classified as labelled.
        labels: int64, (N,).
        targets: int64, (N,); None in an untargeted attack.
    """

    model: Any
    images: Images
    labels: Classes
    targets: Classes | None


def load_setting(setting: Setting, data: Path, number: int | None = None, *, skip: int = 0) -> Subject:
    """Load a setting's model and the first images that it classifies correctly, and choose their targets.

    Args:
        setting: The setting.
        data: Folder of images and models.
        number: Images, instead of the setting's own number.
        skip: So many correctly classified images are left out before those.

    Raises:
        SystemExit: No image is left.
    """
    model = load_model(data, setting.model)
    (images, labels), scores = first_correct(
        dfa.as_oracle(model), load_images(data, setting.images), number or setting.number, setting.batch_size, skip=skip
    )
    if not len(images):
        raise SystemExit(f"{setting.model} classifies no more than {skip} images correctly; --skip fewer")
    return Subject(model, images, labels, None if setting.rank is None else targets_of(setting.rank, scores))
