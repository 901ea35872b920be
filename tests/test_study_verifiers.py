"""Verifiers of the paper's Table 4, written small: what they say of a network is so."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_can_be_imported():
    sys.path.insert(0, BENCHMARKS)
    yield
    sys.path.remove(BENCHMARKS)


def small_network(seed):
    """A network of two pixels, three hidden units and three classes, and what it calls the middle."""
    from systems.verifier import Network

    rng = np.random.default_rng(seed)
    network = Network(rng.normal(size=(3, 2)) * 3, rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=3) / 4)
    return network, np.array([0.5, 0.5]), int(network.logits(np.full((1, 2), 0.5)).argmax())


def grid(middle, radius, points=201):
    steps = np.linspace(-radius, radius, points)
    return middle + np.array(list(itertools.product(steps, steps)))


RADII = (0.03, 0.15, 0.45)


def test_planet_finds_a_target_where_there_is_one_and_proves_that_there_is_none_elsewhere():
    from systems.planet import find

    found, proven = 0, 0
    for seed, radius in itertools.product(range(12), RADII):
        network, middle, label = small_network(seed)
        classes = network.logits(grid(middle, radius)).argmax(1)
        for target in {0, 1, 2} - {label}:
            verdict = find(network, middle - radius, middle + radius, target, most_programs=100)
            assert verdict.proven == (verdict.vector is None)
            if verdict.proven:
                assert (classes != target).all()
                proven += 1
            else:
                assert np.abs(verdict.vector - middle).max() <= radius + 1e-9
                assert network.logits(verdict.vector[None]).argmax() == target
                found += 1
    assert found >= 5
    assert proven >= 5


def test_planet_ends_on_the_edge_of_what_it_may_return():
    """It has nothing to minimise but ReLUs, so a vertex of the program: the class's boundary, or the box's."""
    from systems.planet import find

    for seed in range(12):
        network, middle, label = small_network(seed)
        for target in {0, 1, 2} - {label}:
            vector = find(network, middle - 0.45, middle + 0.45, target, most_programs=100).vector
            if vector is not None:
                logits = network.logits(vector[None])[0]
                is_near = logits[target] - np.delete(logits, target).max() < 2e-6
                assert is_near or np.isclose(np.abs(vector - middle), 0.45).any() or _at_kink(network, vector)


def _at_kink(network, vector):
    return np.abs(network.w1 @ vector + network.b1).min() < 1e-6


def test_planet_says_when_it_gave_up():
    from systems.planet import find

    network, middle, label = small_network(0)
    for target in {0, 1, 2} - {label}:
        assert find(network, middle - 0.1, middle + 0.1, target, most_programs=0) == (None, False)


def test_reluval_finds_a_witness_where_there_is_one_and_proves_that_there_is_none_elsewhere():
    from systems.reluval import find

    found, proven = 0, 0
    for seed, radius in itertools.product(range(12), RADII):
        network, middle, label = small_network(seed)
        verdict = find(network, middle, radius, label, most_boxes=2_000)
        assert verdict.proven == (verdict.vector is None)
        if verdict.proven:
            assert (network.logits(grid(middle, radius)).argmax(1) == label).all()
            proven += 1
        else:
            assert np.abs(verdict.vector - middle).max() <= radius + 1e-9
            assert network.logits(verdict.vector[None]).argmax() != label
            found += 1
    assert found >= 5
    assert proven >= 5
    assert find(network, middle, 0.45, label, most_boxes=0) == (None, False)


def test_symbolic_intervals_hold_every_margin_and_every_derivative():
    from systems.reluval import margin_of

    are_open = 0
    for seed, radius in itertools.product(range(12), RADII):
        network, middle, label = small_network(seed)
        points = grid(middle, radius, 41)
        logits = network.logits(points)
        least, most = network.hidden_bounds(middle - radius, middle + radius)
        inside = points @ network.w1.T + network.b1
        assert np.allclose(inside.min(0), least)
        assert np.allclose(inside.max(0), most)
        are_open += ((least < 0) & (most > 0)).sum()
        for other in {0, 1, 2} - {label}:
            margin = margin_of(network, middle - radius, middle + radius, label, other)
            assert margin.least <= (logits[:, label] - logits[:, other]).min() + 1e-9
            slopes = ((inside > 0) * (network.w2[label] - network.w2[other])) @ network.w1
            assert (margin.falls <= slopes + 1e-9).all()
            assert (margin.rises >= slopes - 1e-9).all()
            if not ((least < 0) & (most > 0)).any():  # then nothing is lost
                assert np.isclose(margin.least, (logits[:, label] - logits[:, other]).min())
    assert are_open > 10


def random_layers(*, pooling):
    nn = torch.nn
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = nn.Conv2d(1, 3, 3, padding=1) if pooling else nn.Conv2d(1, 3, 4, stride=2, padding=1)
        second = nn.Conv2d(3, 4, 3, padding=1)
        pool = [nn.MaxPool2d(2)] if pooling else []
        size = 4 * (8 // 4) ** 2 if pooling else 4 * 4 * 4
        layers = [first, nn.ReLU(), *pool, second, nn.ReLU(), *pool]
        layers += [nn.Flatten(), nn.Linear(size, 6), nn.ReLU(), nn.Linear(6, 3)]
    return [layer.double() for layer in layers]


@pytest.mark.parametrize("pooling", [False, True])
@torch.no_grad()
def test_bounds_of_deeppoly_hold_every_output_and_are_tighter_than_intervals(pooling):
    from systems.deeppoly import interval_bounds, margins_of, output_bounds

    layers = random_layers(pooling=pooling)
    generator = torch.Generator().manual_seed(2)
    for radius in (0.0, 0.02, 0.1, 0.3):
        x = torch.rand(1, 8, 8, generator=generator, dtype=torch.double)
        low, high = (x - radius).clamp_min(0), (x + radius).clamp_max(1)
        least, most = output_bounds(layers, low, high)
        samples = low + (high - low) * torch.rand(2_000, 1, 8, 8, generator=generator, dtype=torch.double).round()
        margins = margins_of(layers, low, high, 0)
        samples = torch.cat([samples, margins.corners, x[None]])
        logits = torch.nn.Sequential(*layers)(samples)
        assert (logits >= least - 1e-9).all()
        assert (logits <= most + 1e-9).all()
        assert (logits[:, :1] - logits[:, 1:] >= margins.least - 1e-9).all()
        assert ((margins.corners >= low) & (margins.corners <= high)).all()
        loose_least, loose_most = (each[0] for each in interval_bounds(layers, low[None], high[None]))
        if radius == 0:
            assert torch.allclose(least, logits[-1])
            assert torch.allclose(most, logits[-1])
        else:
            assert (most - least).sum() < (0.5 if radius == 0.02 else 1) * (loose_most - loose_least).sum()
            # The margin's own bound is better than that of two logits.
            assert (margins.least > least[0] - most[1:]).all()


@torch.no_grad()
def test_corners_of_deeppoly_are_where_the_margin_is_least_if_every_unit_keeps_its_phase():
    from systems.deeppoly import margins_of

    layers = random_layers(pooling=True)
    x = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.double)
    low, high = x - 1e-5, x + 1e-5
    margins = margins_of(layers, low, high, 2)
    logits = torch.nn.Sequential(*layers)(margins.corners)
    assert torch.allclose(margins.least, logits[[0, 1], 2] - logits[[0, 1], [0, 1]], atol=1e-12)


def test_deeppoly_refuses_a_layer_that_it_has_no_bounds_for():
    from systems.deeppoly import output_bounds

    one = torch.ones(1, 4, 4)
    for layer in (torch.nn.Tanh(), torch.nn.MaxPool2d(3, stride=1), torch.nn.Conv2d(1, 1, 3, bias=False)):
        with pytest.raises(TypeError, match="no bounds for"):
            output_bounds([layer], one, one)


def test_boxes_that_a_network_is_trained_on_become_provable():
    from systems.certified import train_by_boxes
    from systems.deeppoly import interval_bounds

    generator = torch.Generator().manual_seed(4)
    y = torch.arange(128) % 2
    x = (0.5 + 0.3 * (2 * y[:, None, None, None] - 1) + 0.05 * torch.randn(128, 1, 4, 4, generator=generator)).clamp(
        0, 1
    )

    def proven(layers):
        low, high = interval_bounds(layers, (x - 0.1).clamp_min(0), (x + 0.1).clamp_max(1))
        others = torch.nn.functional.one_hot(y, 2).bool()
        return float((low[others] > high[~others]).float().mean())

    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 2)]
        before = proven(layers)
        train_by_boxes(layers, x, y, radius=0.1, epochs=50)
    assert before < 0.2
    assert proven(layers) > 0.9


@torch.no_grad()
def test_what_is_proven_stays_as_it_is_and_what_is_not_gets_a_corner():
    from systems.context import Subject
    from systems.deeppoly import measure_deeppoly

    class Middle(torch.nn.Module):
        """Class 1 where the first pixel is above a half."""

        def __init__(self):
            super().__init__()
            self.layers = [torch.nn.Flatten(), torch.nn.Linear(4, 2)]
            self.layers[1].weight.copy_(torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0]]))
            self.layers[1].bias.copy_(torch.tensor([0.0, -0.5]))

        def forward(self, x):
            return torch.nn.Sequential(*self.layers)(x)

    module = Middle().eval()
    images = np.full((4, 2, 2, 1), 128, np.uint8)
    images[:, 0, 0, 0] = [0, 51, 52, 255]
    subject = Subject("Middle", module, None, images, np.array([0, 0, 0, 1]), 76, images)
    result = measure_deeppoly(subject, module.layers)
    # 51 + 76.5 is 127.5, the half itself, which is class 0 and cannot be proven; 52 + 76 is above it.
    assert (result["not_proven"], result["not_proven_in_integers"]) == (2, 1)
    assert (result["images"], result["SR"]) == (4, 1 / 4)


def test_witnesses_of_the_authors_tool_take_the_place_of_ours(tmp_path):
    from systems.context import Context
    from systems.table_4 import _ours_or_witnesses

    run = _ours_or_witnesses("X", lambda context: {"note": "ours"})
    assert run(Context(tmp_path, 1, 1)) == {"note": "ours"}
    assert run(Context(tmp_path, 1, 1, witnesses=tmp_path)) == {"note": "ours"}
    (tmp_path / "x.npz").touch()
    with pytest.raises(BaseException, match="lenet1"):  # the witnesses are of LeNet-1, which is not there
        run(Context(tmp_path, 1, 1, witnesses=tmp_path))
