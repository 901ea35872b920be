"""The README's example and the package's own are run as they stand."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

import dfa

README = Path(__file__).parents[1] / "README.md"


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(README), module_relative=False)
    assert results.attempted >= 10
    assert results.failed == 0


def test_the_example_of_the_package_runs() -> None:
    results = doctest.testmod(dfa)
    assert results.attempted >= 5
    assert results.failed == 0


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    missing = [link for link in links if "://" not in link and not (README.parent / link).exists()]
    assert not missing
    assert len(links) >= 4


def test_the_readme_has_no_blank_to_fill_in() -> None:
    assert "@@" not in README.read_text()


@pytest.mark.parametrize("page", [README, README.parent / "docs" / "guides" / "models.md"], ids=["README", "models"])
def test_the_five_lines_of_a_torch_user_run(page: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    networks = pytest.importorskip("torch_networks", reason="torch is not installed", exc_type=ImportError)
    (lines,) = (
        block for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) if "load_my_model" in block
    )
    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:5], file["labels"][:5]
    model = networks.resnet20(data)
    monkeypatch.chdir(tmp_path)
    names = {"dfa": dfa, "load_my_model": lambda: model, "images": images, "labels": labels}
    exec(lines, names)
    assert names["result"].summary().attacked == 5
    assert names["result"].summary().TSR > 0.5


def test_the_way_back_into_a_pipeline_of_torch(data: Path) -> None:
    networks = pytest.importorskip("torch_networks", reason="torch is not installed", exc_type=ImportError)
    import torch

    page = (README.parent / "docs" / "guides" / "models.md").read_text()
    (lines,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "adversarial()" in block)
    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:8], file["labels"][:8]
    labels[0] = (labels[0] + 1) % 10
    model = networks.resnet20(data)
    oracle = dfa.as_oracle(model, mean=networks.MEAN, std=networks.STD)
    result = dfa.run(oracle, images, labels, epsilon=3, max_queries=10, progress=False)
    mean, std = (torch.tensor(each)[:, None, None] for each in (networks.MEAN, networks.STD))
    names = {"torch": torch, "result": result, "model": model, "mean": mean, "std": std}
    exec(lines, {**names, "labels": torch.from_numpy(labels)}, names)
    assert 0 < result.summary().robust_accuracy < 7 / 8
    assert float(names["robust_accuracy"]) == result.summary().robust_accuracy
