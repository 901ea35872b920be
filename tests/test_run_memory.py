"""The memory of a run depends on its window, not on the number of its images."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

RUN = """
import json, resource, sys
import numpy as np
import dfa

number, successes, optimizer, batch_size = json.loads(sys.argv[1])

class Images:
    def __len__(self):
        return number

    def __getitem__(self, index):
        image = np.full((224, 224, 3), 20 + index % 200, dtype=np.uint8)
        image[1, 1] = index // 65536, index // 256 % 256, index % 256
        # What the oracle looks at, and here also whether it can be deceived.
        image[0, 0, 0] = 100 if index * successes % 100 < successes else 200
        return image

def oracle(images):
    pixel = images[:, 0, 0, 0].astype(np.int64)
    is_deceived = (pixel != 100) & (np.abs(pixel - 100) <= 10)
    probability = np.where(is_deceived, 0.75, 0.25)
    return np.stack([1 - probability, probability], axis=1)

optimizer = {"default": dfa.Racos(), "paper": dfa.Racos.paper()}[optimizer]
settings = {"max_queries": 10, "optimizer": optimizer, "threads": 1, "progress": False}
dfa.run(oracle, np.zeros((1, 8, 8, 3), dtype=np.uint8), **settings)

def peak():
    # Kilobytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

before = peak()
result = dfa.run(oracle, Images(), batch_size=batch_size, **settings)
print(json.dumps([peak() - before, int(result.success.sum()), result.summary().attacked]))
"""

IMAGE = 224 * 224 * 3 / 2**20
SPOOL = 256
"""MiB of adversarial images that a result keeps in memory before it moves them to a file."""


def peak_of(number, *, successes, optimizer="default", batch_size=256):
    """Return the MiB that a run adds to an interpreter with dfa imported."""
    pytest.importorskip("resource")
    arguments = json.dumps([number, successes, optimizer, batch_size])
    done = subprocess.run(
        [sys.executable, "-c", RUN, arguments], capture_output=True, text=True, check=True, timeout=120
    )
    peak, num_successes, num_attacked = json.loads(done.stdout)
    assert num_attacked == number
    assert num_successes == number * successes // 100
    return peak


@pytest.mark.parametrize("optimizer", ["default", "paper"])
def test_the_peak_does_not_grow_with_the_number_of_images(optimizer):
    # Both are many times what the window holds. Only the adversarial images themselves may add up, as far as the
    # result keeps them in memory.
    few, many = (peak_of(number, successes=20, optimizer=optimizer, batch_size=8) for number in (120, 300))
    kept, all_of_them = (IMAGE * share * (300 - 120) for share in (0.2, 1.0))
    assert many - few < kept + 0.3 * all_of_them


def test_ten_thousand_images_would_stay_below_a_gigabyte():
    # The window is full long before 1,000 images, and what still grows after that is bounded by the result's limit.
    number, successes = 1_000, 50
    peak = peak_of(number, successes=successes)
    kept = IMAGE * number * successes / 100
    assert kept < SPOOL
    assert peak - kept + SPOOL < 1_000
