"""Runs with threads beside other processes and other libraries' threads: however a process begins, each run ends."""

from __future__ import annotations

import importlib.util
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")

# As a module of its own, since processes that do not begin as a fork import it.
WORK = """
import numpy as np

import dfa

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 96, 96, 3), dtype=np.uint8)


def ask(batch):
    return np.broadcast_to([0.75, 0.25], (len(batch), 2))


def attack(number=0, oracle=ask, threads=3):
    result = dfa.run(oracle, IMAGES, max_queries=20, threads=threads, progress=False)
    return [(record.queries, record.trace) for record in result.records]
"""

STARTED = """
import multiprocessing

from work import attack

if __name__ == "__main__":
    expected = attack()
    with multiprocessing.get_context(METHOD).Pool(2) as pool:
        assert pool.map(attack, range(3)) == [expected] * 3
    assert attack() == expected
"""

LOADED = """
import torch
from torch.utils.data import DataLoader

from work import IMAGES, attack


class Attacked(torch.utils.data.Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return str(attack(index))


def load(batch):
    # As a preprocessing in workers would: they begin while the core's threads are there, and maybe at work.
    (images,) = DataLoader(torch.from_numpy(batch.copy()), batch_size=len(batch), num_workers=1)
    return score(images)


def score(images):
    means = images.double().mean(dim=(1, 2, 3)).numpy() / 255
    return torch.stack([torch.from_numpy(means), torch.from_numpy(1 - means)], dim=1).numpy()


if __name__ == "__main__":
    expected = attack()
    assert list(DataLoader(Attacked(), batch_size=None, num_workers=2)) == [str(expected)] * 3
    assert attack(oracle=load) == attack(oracle=lambda batch: score(torch.from_numpy(batch.copy())), threads=1)
    assert attack() == expected
"""

SHARED = """
import numpy as np
import torch

from work import attack

if __name__ == "__main__":
    torch.set_num_threads(3)
    weights = torch.linspace(-1, 1, 96 * 96 * 3 * 64, dtype=torch.float64).reshape(-1, 64)

    def ask(batch):
        hidden = torch.from_numpy(batch.reshape(len(batch), -1) / 255) @ weights
        return torch.softmax(torch.stack([hidden[:, 0], hidden[:, 1]], dim=1) / 1e4, dim=1).numpy()

    alone = attack(threads=1)
    assert attack() == alone
    assert attack(oracle=ask) == attack(oracle=ask, threads=1)
    assert attack() == alone
"""


def finish(folder: Path, text: str) -> None:
    """Run a program to its end."""
    (folder / "work.py").write_text(WORK, encoding="utf-8")
    program = folder / "program.py"
    program.write_text(text, encoding="utf-8")
    # Later versions of Python warn of any fork beside threads.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program], timeout=120, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_process_that_begins_after_a_run_with_threads_runs_to_its_end(tmp_path: Path, method: str) -> None:
    finish(tmp_path, STARTED.replace("METHOD", repr(method)))


@TORCH
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="workers begin otherwise here")
def test_runs_in_workers_of_a_data_loader_and_loaders_in_an_oracle_come_to_their_end(tmp_path: Path) -> None:
    finish(tmp_path, LOADED)


@TORCH
def test_threads_of_torch_and_of_the_core_do_not_keep_each_other_from_working(tmp_path: Path) -> None:
    finish(tmp_path, SHARED)
