"""What pictures of the documentation are made of: LeNet-1, and digits that it has not seen."""

from __future__ import annotations

import logging
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from dfa.cli.demo.classifier import Recipe, load_digits, train
from dfa.types import Images

logging.getLogger("tensorflow").setLevel(logging.ERROR)
plt.rcParams |= {"figure.dpi": 110, "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}

_digits = load_digits(Recipe())
_model = train(Recipe(epochs=8), _digits)
images, labels = _digits.test_images[:100], _digits.test_labels[:100]


def model(batch: Images) -> Any:
    """Return probabilities, (B, 10), of uint8 images (B, 28, 28, 1)."""
    return _model(batch.astype(np.float32)).numpy()


def show(axis: Axes, picture: Any, title: str = "", *, epsilon: int = 0) -> None:
    """Draw an image; or with `epsilon` a change: black is down, white is up, grey is none."""
    low, high = (-epsilon, epsilon) if epsilon else (0, 255)
    axis.imshow(picture[..., 0], cmap="gray", vmin=low, vmax=high)
    axis.set_title(title)
    axis.axis("off")
