"""The README's picture: a photograph, what dfa made of it, and the difference, beside what MobileNetV2-224 says of it.

The photograph is scikit-learn's china.jpg, by danielbuechele, CC BY 2.0 (flickr.com/photos/danielbuechele/6061409035).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import dfa
from harness.arguments import make_parser
from harness.arrays import Images
from harness.inputs import load_model

EPSILON: Final = 8
SIDE: Final = 224
GAP: Final = 12
LINE: Final = 34
NAMES: Final = {663: "monastery", 687: "organ", 698: "palace"}
"""Of the classes that are seen; others go by their number."""


def photograph() -> Images:
    """Return the left square of the photograph, uint8 (224, 224, 3)."""
    from sklearn.datasets import load_sample_image  # type: ignore[import-untyped]

    whole = Image.fromarray(load_sample_image("china.jpg"))
    left = whole.width - whole.height
    square = whole.crop((left, 0, left + whole.height, whole.height))
    image: Images = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    return image


def draw(panels: list[tuple[Images, str]]) -> Image.Image:
    """Return images side by side with a line below each."""
    font = ImageFont.load_default(size=15)
    picture = Image.new("RGB", (len(panels) * (SIDE + GAP) + GAP, SIDE + GAP + LINE), "white")
    pen = ImageDraw.Draw(picture)
    for index, (image, words) in enumerate(panels):
        left = GAP + index * (SIDE + GAP)
        picture.paste(Image.fromarray(image), (left, GAP))
        pen.text((left + SIDE / 2, GAP + SIDE + 8), words, fill="black", font=font, anchor="ma")
    return picture


def attacked(oracle: Any, image: Images) -> dfa.Result:
    """Return what dfa makes of an image."""
    optimizer = dfa.Racos(archive=False)
    return dfa.run(oracle, image[np.newaxis], epsilon=EPSILON, optimizer=optimizer, progress=False)


def answer(oracle: Any, image: Images) -> str:
    """Return the likeliest class and its probability in words."""
    (scores,) = oracle.scores(image[np.newaxis])
    best = int(scores.argmax())
    return f"{NAMES.get(best, best)}, {scores[best]:.0%}".replace("%", " %")


def main() -> None:
    """Attack the photograph and save the picture."""
    parser = make_parser("pair", __doc__)
    parser.set_defaults(out=Path("docs/_static/pair.png"))
    arguments: argparse.Namespace = parser.parse_args()
    oracle = dfa.as_oracle(load_model(arguments.data, "mobilenet_v2_224.keras"))
    original = photograph()
    result = attacked(oracle, original)
    found = result.adversarial()[0]
    change = found.astype(np.int16) - original
    difference = np.clip(128 + 12 * change, 0, 255).astype(np.uint8)
    panels = [
        (original, answer(oracle, original)),
        (found, f"{answer(oracle, found)}, after {result.records[0].queries} queries"),
        (difference, "the difference, 12 times as large"),
    ]
    draw(panels).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
