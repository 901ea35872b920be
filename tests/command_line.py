"""The command line under test: a folder to be in, with a model and photographs, and how to run a command there."""

from __future__ import annotations

import json

import PIL.Image

from dfa.cli.main import main
from oracles import random_images

SHAPE = (8, 7, 3)
IMAGES = random_images(10, SHAPE)

MODEL = """
import os
import numpy as np

def weights(size):
    return np.random.default_rng(1).integers(-9, 10, (size, 10)).astype(np.float64)

def classify(images):
    flat = images.reshape(len(images), -1).astype(np.float64)
    scores = flat @ (weights(flat.shape[1]) - weights(flat.shape[1]).mean(axis=1, keepdims=True))
    scores -= scores.min(axis=1, keepdims=True) - 1
    return scores / scores.sum(axis=1, keepdims=True)

def logits(images):
    return 5 * classify(images)

def halve(batch):
    return batch / 2

def broken(images):
    raise OSError("the line is dead")

def stubborn(images):
    return np.broadcast_to([0.75, 0.25], (len(images), 2))

def label(images):
    return classify(images).argmax(axis=1)

class Scores:
    __call__ = staticmethod(classify)

nested = Scores
"""

SPACES = """
import numpy as np
import dfa

left = dfa.LinfBall(12, mask=np.arange(8 * 7).reshape(8, 7) % 7 < 3)
ramp = dfa.Custom([-9], [9], lambda images, x: (images + x[:, :, None, None]).clip(0, 255).astype(images.dtype))
"""


def go_to_workplace(tmp_path, monkeypatch):
    """Change to a folder with a model and photographs, and return it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "photos").mkdir()
    for index, image in enumerate(IMAGES):
        PIL.Image.fromarray(image).save(tmp_path / "photos" / f"p{index}.jpg", quality=90)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path


def dfa_says(capsys, *words):
    """Run a command; return its exit status and what it wrote to either stream."""
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


def attack(capsys, *words):
    """Attack with settings that take no time, and return what the command's JSON says."""
    fast = ("--max-queries", 60, "--batch-size", 32, "--epsilon", 12, "--json")
    status, out, err = dfa_says(capsys, "attack", "model.py:classify", "photos", *fast, *words)
    document = json.loads(out)
    assert document["exit"] == status
    return status, document, err
