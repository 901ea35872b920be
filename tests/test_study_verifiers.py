"""Verifiers of the paper's Table 4, written small: what they say of a network is so."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")


def small_network(seed, units=3):
    """A network of two pixels, some hidden units and three classes, and what it calls the middle."""
    from systems.verifier import Network

    rng = np.random.default_rng(seed)
    w1, b1 = rng.normal(size=(units, 2)) * 3, rng.normal(size=units)
    network = Network(w1, b1, rng.normal(size=(3, units)), rng.normal(size=3) / 4)
    return network, np.array([0.5, 0.5]), int(network.logits(np.full((1, 2), 0.5)).argmax())


def grid(middle, radius, points=201):
    steps = np.linspace(-radius, radius, points)
    return middle + np.array(list(itertools.product(steps, steps)))


RADII = (0.03, 0.15, 0.45)


def test_planet_finds_a_target_where_there_is_one_and_proves_that_there_is_none_elsewhere():
    from systems.planet import find

    found, proven = 0, 0
    for seed, radius in itertools.product(range(12), RADII):
        network, middle, label = small_network(seed, units=8)
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


def test_planet_relaxes_units_to_triangles():
    from systems.planet import find
    from systems.verifier import Network

    # |v| as two units: their triangles leave at most 1, so one program shows that it is never 1.2.
    network = Network(np.array([[1.0], [-1.0]]), np.zeros(2), np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([1.2, 0.0]))
    one = np.ones(1)
    assert find(network, -one, one, 1, most_programs=1) == (None, True)


def test_planet_holds_units_without_a_phase_down():
    from systems.planet import _relaxed

    compared = 0
    for seed in range(12):
        network, middle, label = small_network(seed)
        points = grid(middle, 0.45)
        logits, hidden = network.logits(points), np.maximum(points @ network.w1.T + network.b1, 0)
        # Points that win by less than Planet asks for are not of its program.
        second, first = np.sort(logits, axis=1).T[-2:]
        targets = np.where(first - second > 1e-6, logits.argmax(1), label)
        least, most = network.hidden_bounds(middle - 0.45, middle + 0.45)
        is_open = (least < 0) & (most > 0)
        for target in set(targets.tolist()) - {label}:
            _, relaxed = _relaxed(
                network, middle - 0.45, middle + 0.45, target, np.where(is_open, -1, (least >= 0).astype(int))
            )
            assert relaxed[is_open].sum() <= hidden[targets == target][:, is_open].sum(1).min() + 1e-9
            compared += 1
    assert compared > 5


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


@torch.no_grad()
@pytest.mark.parametrize(("low", "lost"), [(-1.0, 0.0), (-3.0, 1.0)])
def test_a_relu_is_above_its_input_where_that_leaves_less_area_and_else_above_zero(low, lost):
    from systems.deeppoly import margins_of

    layers = [torch.nn.Flatten(), torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2)]
    layers[1].weight.copy_(torch.tensor([[1.0], [lost - 1]]))
    layers[1].bias.copy_(torch.tensor([0.0, 9.0]))
    layers[3].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    layers[3].bias.copy_(torch.tensor([-8.5, 0.0]))
    # The margin is relu(x) - x + 0.5 from -1 to 3, and relu(x) + 0.5 from -3 to 1: both 0.5 by the better bound.
    box = torch.full((1, 1, 1), low), torch.full((1, 1, 1), low + 4)
    assert margins_of(layers, *box, 0).least.item() == pytest.approx(0.5)


@torch.no_grad()
def test_the_corner_that_is_likeliest_wrong_is_taken_of_the_classes_that_are_not_excluded():
    from systems.deeppoly import Margins, _likeliest

    layers = [torch.nn.Flatten(), torch.nn.Linear(1, 2)]
    layers[1].weight.copy_(torch.tensor([[1.0], [0.0]]))
    corners = torch.tensor([0.1, 0.7, 0.5, 0.6]).reshape(4, 1, 1, 1)
    assert _likeliest(layers, Margins(torch.tensor([1.0, -1, -1, -1]), corners), 0).item() == 0.5


def test_deeppoly_refuses_a_layer_that_it_has_no_bounds_for():
    from systems.deeppoly import output_bounds

    one, nn = torch.ones(2, 4, 4), torch.nn
    convolutions = nn.Conv2d(2, 2, 3, bias=False), nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(2, 2, 3, padding="same")
    for layer in (nn.Tanh(), nn.MaxPool2d(3, stride=1), nn.MaxPool2d(2, padding=1), *convolutions):
        with pytest.raises(TypeError, match="no bounds for"):
            output_bounds([layer], one, one)


def test_training_on_boxes_makes_more_of_them_provable():
    from systems.certified import train_by_boxes
    from systems.deeppoly import interval_bounds

    y = torch.arange(128) % 2
    noise = torch.randn(128, 1, 4, 4, generator=torch.Generator().manual_seed(4))
    x = (0.5 + 0.2 * (2 * y[:, None, None, None] - 1) + 0.1 * noise).clamp(0, 1)
    is_label = torch.nn.functional.one_hot(y, 2).bool()
    proven = {}
    for radius in (0, 0.1):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = [torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 2)]
            train_by_boxes(layers, x, y, radius=radius, epochs=50)
        low, high = interval_bounds(layers, (x - 0.1).clamp_min(0), (x + 0.1).clamp_max(1))
        proven[radius] = float((low[is_label] > high[~is_label]).float().mean())
    assert proven[0.1] > proven[0] + 0.1


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
