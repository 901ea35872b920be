"""Data sets of torch that tests share: six images, their labels, and what is known of them."""

from __future__ import annotations

import os

import PIL.Image
import pytest

import dfa
from oracles import LinearClassifier, random_images

torch = pytest.importorskip("torch")
Dataset = torch.utils.data.Dataset
DataLoader = torch.utils.data.DataLoader

SHAPE = (8, 7, 3)
IMAGES = random_images(6, SHAPE)
GREY = random_images(6, (8, 7, 1))
CLASSIFIER = LinearClassifier(SHAPE)
LABELS = CLASSIFIER.classes(IMAGES).tolist()
TENSORS = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())
NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]


def run(images, *arguments, **settings):
    settings = {"max_queries": 60, "epsilon": 12, "progress": False, **settings}
    return dfa.run(CLASSIFIER, images, *arguments, **settings)


PLAIN = run(IMAGES, LABELS)


class Items(Dataset):
    """A user's data set; counts what is read of it."""

    def __init__(self, items):
        self.items = items
        self.num_read = 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        self.num_read += 1
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


def pictures(images=IMAGES):
    return [PIL.Image.fromarray(image.squeeze()) for image in images]


class Files(Items):
    """What torchvision's folders know of their items, and reads as they do."""

    def __init__(self, items):
        super().__init__(items)
        paths = [os.path.join("photos", name, f"{index}.png") for index, name in enumerate("aabbba")]
        self.samples = list(zip(paths, LABELS, strict=True))
        self.classes = NAMES
        self.targets = [7] * 6

    def __getitem__(self, index):
        return super().__getitem__(index)

    __getitem__.__module__ = "torchvision.datasets.folder"


DATA = Files(list(zip(TENSORS, LABELS, strict=True)))
FILES = ["a/0.png", "a/1.png", "b/2.png", "b/3.png", "b/4.png", "a/5.png"]
