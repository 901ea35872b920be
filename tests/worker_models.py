"""Models that workers make, each of which writes down what it was asked: imported by them from here."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil

import dfa
from oracles import LinearClassifier, random_images

SHAPE = (6, 6, 3)
_CLASSIFIER = LinearClassifier(SHAPE)


class Logged:
    """A classifier that appends the number of images to a file before it answers; noise of the trial is left out."""

    def __init__(self, log, seconds, *, num_wrong=0):
        self._pids = None if log is None else f"{log}.pids"
        self._log = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._seconds = seconds
        self._num_wrong = num_wrong
        self._noise = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)

    def __call__(self, images):
        if self._log is not None and not np.array_equal(images, self._noise[: len(images)]):
            os.write(self._log, b"%d\n" % len(images))
            if self._pids is not None:  # who has a model, and was asked
                with open(self._pids, "a", encoding="utf-8") as file:
                    file.write(f"{os.getpid()}\n")
                self._pids = None
        time.sleep(self._seconds)
        return _CLASSIFIER(images) + self._num_wrong * 1e-9


def make(log=None, seconds=0.0):
    return Logged(log, seconds)


def make_on(device, log=None):
    """Return one whose last bits tell its device, where that is "other"."""
    return Logged(log, 0.0, num_wrong=device == "other")


def classify(images):
    return _CLASSIFIER(images)


def make_random():
    random = np.random.default_rng()
    return lambda images: _CLASSIFIER(images + random.integers(0, 3, images.shape, dtype=np.uint8))


def fails(*, device=None):
    raise OSError(f"no weights for {device}")


def fails_later():
    def answer(images):
        if len(images) == 16:
            raise ValueError("16 are too many")
        return _CLASSIFIER(images)

    return answer


def sees_memory():
    def answer(images):
        assert images.flags.c_contiguous
        return _CLASSIFIER(images)

    return answer


def ends():
    os._exit(3)


def of_rows(dtype, device=None):
    """Return a classifier of rows of one dtype, whose last bits tell its device, where that is "other"."""

    def answer(rows):
        if rows.dtype != dtype:
            raise TypeError(f"no {rows.dtype}")
        scores = np.abs(rows[:, :4]).astype(np.float64) + 1 + (device == "other") * 1e-9
        return scores / scores.sum(axis=1, keepdims=True)

    return answer


def torch_of_rows():
    import torch

    torch.manual_seed(0)
    return torch.nn.Linear(5, 3).eval()


class Killer(threading.Thread):
    """Ends workers that have answered, now and then, but not before the run has got on since the last.

    Attributes:
        killed: How many.
        is_over: To be set when the run is.
    """

    def __init__(self, log, number, seed):
        super().__init__(daemon=True)
        self._log = log
        self._number = number
        self._random = random.Random(seed)
        self.is_over = False
        self.killed = 0

    def run(self):
        until = 20
        while not self.is_over and self.killed < self._number:
            time.sleep(self._random.uniform(0.0, 0.02))
            if not self._log.exists() or rows_in(self._log) < until:
                continue
            pids = {int(pid) for pid in Path(f"{self._log}.pids").read_text("utf-8").split()}
            alive = sorted(pid for pid in pids if psutil.pid_exists(pid))
            if not alive:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(alive), signal.SIGKILL)
                self.killed += 1
            # The same batch is not to be lost three times, which would end the run.
            until = rows_in(self._log) + self._random.randrange(100, 160)


def rows_in(log):
    """Return how many images the models of a log were asked about."""
    return sum(map(int, Path(log).read_text("utf-8").split()))


def from_file(path):
    Path(path).read_bytes()
    return classify


def of_any_shape():
    def answer(images):
        scores = images.reshape(len(images), -1)[:, :10].astype(np.float64) + 1
        return scores / scores.sum(axis=1, keepdims=True)

    return answer


def begins_workers(pipe):
    try:
        dfa.run(classify, random_images(2, SHAPE), workers=1, progress=False)
    except dfa.InvalidInputError as error:
        pipe.send(str(error))
