"""The benchmarks of models in several frameworks: what counts as a success and as a query, and that two agree."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

import accelerator
import frameworks
import side_by_side
import throughput
from oracles import random_images

torch = pytest.importorskip("torch")


class Brightest(torch.nn.Module):
    """Logits of two classes: whether the first value of the first channel is above the middle."""

    def forward(self, x):
        first = x[:, 0, 0, 0]
        return torch.stack([torch.full_like(first, 0.5), first], dim=1)


@pytest.fixture
def subject():
    images = np.full((4, 2, 3, 3), 120, dtype=np.uint8)
    return side_by_side.Subject(Brightest().eval(), images, np.zeros(4, dtype=np.int64), epsilon=8, budget=100)


def vectors_of(subject, *greys):
    found = subject.x.numpy().copy()
    found[:, 0, 0, 0] = np.array(greys, dtype=np.float32) / 255
    return found


def test_a_success_is_wrong_and_within_epsilon_in_floats_and_after_a_png(subject):
    # 127.5 is the boundary, and 129 too far away.
    figures = side_by_side.judged(subject, vectors_of(subject, 120, 127.501, 128, 129))
    assert (figures["success"], figures["wrong_at_any_distance"]) == (0.5, 0.75)
    figures = side_by_side.judged(subject, vectors_of(subject, 120, 127.499, 128, 129))
    assert (figures["success"], figures["after_png"], figures["lost"]) == (0.25, 0.25, 0)


def test_what_rounding_undoes_is_lost(subject):
    subject.images[:, :, :, 1:] = 0
    module = subject.module
    # Just above what 8 bits can tell apart.
    module.forward = lambda x: torch.stack([torch.full((len(x),), 124.2 / 255), x[:, 0, 0, 0]], dim=1)
    figures = side_by_side.judged(subject, vectors_of(subject, 120, 124.4, 125, 124.0))
    assert (figures["success"], figures["after_png"], figures["lost"]) == (0.5, 0.25, 1)


def test_a_png_rounds_to_the_nearest_grey_level_and_keeps_the_axes():
    image = random_images(1, (5, 4, 3))[0]
    vector = image.transpose(2, 0, 1).astype(np.float32) / 255
    np.testing.assert_array_equal(side_by_side.through_png(vector), image)
    np.testing.assert_array_equal(side_by_side.through_png(vector + np.float32(0.4 / 255)), image)


def test_the_hook_counts_what_dfa_sends_and_nothing_else(subject):
    attack = side_by_side.ATTACKS["dfa, batches as they come"]
    figures = side_by_side.measure(subject, attack)
    number = len(subject.images)
    assert figures["success"] == figures["after_png"] == 1
    # A clean prediction and a confirmation of each image, and a trial of five calls of two rows.
    assert figures["rows_per_image"] * number == figures["reported_per_image"] * number + 2 * number + 5 * 2
    assert not subject.module._forward_hooks


def test_hopskipjump_gets_the_steps_that_a_budget_holds():
    steps = side_by_side.steps_of_hopskipjump(5_000)
    cost = [100 * np.sqrt(np.arange(1, count + 1)).sum() + 40 * count + 150 for count in (steps, steps + 1)]
    assert cost[0] <= 5_000 < cost[1]


@pytest.mark.weekly
def test_keras_and_torch_break_the_same_images_with_as_many_queries(data):
    pytest.importorskip("keras")
    images = side_by_side.load_images(data, "cifar10_correct500.npz").images[300:330]
    asked = frameworks.oracles(data)
    for rank in frameworks.GOALS.values():
        figures = frameworks.compare(asked, images, rank, epsilon=8, max_queries=1_000, seed=0)
        assert figures["broken_by_one_alone"] == 0
        assert abs(figures["difference"]) < 0.02
        assert figures["torch_TSR"] > 0.95


@pytest.mark.parametrize("place", [0, 3])
def test_the_script_for_an_accelerator_goes_its_way_on_a_cpu(torchvision, place):
    arguments = argparse.Namespace(
        device="cpu", model="resnet18", side=32, batch_sizes=[64], dtypes=["float32", "bf16"], generations=1
    )
    cases = accelerator.cases(arguments)
    assert [case.name.partition(", ")[2] for case in cases] == [
        f"{dtype}, batch 64, {setting}" for dtype in ("float32", "bf16") for setting in ("paper's setting", "default")
    ]
    few = argparse.Namespace(batch_size=None, seconds=0.1, repeats=1, threads=None)
    figures = throughput.measure(cases[place], few)
    # No attack ended early, so that every batch was as full as it could be.
    (repeat,) = figures["repeats"]
    assert repeat["profile"]["rows_sent"] == figures["images"] * figures["max_queries"]
    models = figures["models"]
    assert models.keys() == {
        f"{what}{name}" for what in ("", "over_", "all_over_") for name in ("model", "model_static")
    }
    # And each clean prediction was asked beside them.
    assert models["all_over_model"] / models["over_model"] == pytest.approx(1 + 1 / figures["max_queries"])
