"""DLV, SafeCV, DeepGo and DeepConcolic in small: what each promises of the points that it looks at."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def module():
    """LeNet-1 with random weights."""
    from systems.torch_models import LeNet1

    rng = np.random.default_rng(0)
    shapes = [(5, 5, 1, 4), (4,), (5, 5, 4, 12), (12,), (588, 10), (10,)]
    weights = [rng.normal(size=shape).astype(np.float32) / (np.prod(shape[:-1]) or 1) ** 0.5 for shape in shapes]
    return LeNet1([each * 0.1 if each.ndim == 1 else each for each in weights]).eval()


@pytest.fixture(scope="module")
def subject(module):
    from systems.context import SPACE, Subject

    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    with torch.no_grad():
        labels = module(torch.tensor(SPACE.vectors(images))).argmax(1).numpy()
    return Subject("random LeNet-1", module, None, images, labels, 64, images)


class Asked:
    """A model that remembers what it was asked, with the layers of the real one."""

    def __init__(self, module):
        self.module, self.vectors = module, []
        self.conv1, self.conv2, self.dense = module.conv1, module.conv2, module.dense

    def __call__(self, vectors):
        self.vectors.append(vectors.clone())
        return self.module(vectors)

    @property
    def all(self):
        return torch.cat(self.vectors)


def classes(module, vectors):
    with torch.no_grad():
        return module(vectors).argmax(1)


def test_dlv_looks_at_points_of_its_grid_only(module, subject):
    from systems.dlv import search_input

    asked = Asked(module)
    x, y = subject.tensors
    shares = torch.tensor(list(product((-1, -0.5, 0, 0.5, 1), repeat=3)))
    # A label that no change of few pixels leads away from is searched to the end.
    search_input(asked, x[0], y[0], shares, features=6, span=20)
    looked_at, clean = torch.round(asked.all * 255), torch.round(x[0] * 255)
    assert torch.allclose(looked_at, asked.all * 255, atol=1e-3)
    steps = torch.stack([(clean + step).clamp(0, 255) for step in (-20, -10, 0, 10, 20)])
    assert (looked_at[:, None] == steps).any(1).all()
    # One feature after the other, each of three other pixels.
    assert len(asked.vectors) == 6
    changed = [(each != x[0]).any(0).sum() for each in asked.vectors]
    assert 3 * 6 >= changed[-1] > changed[0] == 3


def test_dlv_maps_hidden_features_back_to_images_within_the_span(module, subject):
    from systems.dlv import search_first_layer

    asked = Asked(module)
    x, y = subject.tensors
    shares = torch.tensor(list(product((-1.0, 0, 1), repeat=3)))
    search_first_layer(asked, x[0], y[0], shares, features=6, span=9)
    looked_at = asked.all * 255
    assert torch.allclose(looked_at, torch.round(looked_at), atol=1e-3)
    assert (looked_at - x[0] * 255).abs().max() <= 9 + 1e-3
    # Where nothing is clipped, the hidden dimensions become what was wanted, but for the rounding of pixels.
    gray = torch.round(127.5 + 20 * torch.randn(1, 28, 28, generator=torch.Generator().manual_seed(0))) / 255
    asked = Asked(module)
    search_first_layer(asked, gray, y[0], torch.full((1, 2), 0.1), features=1, span=255)
    with torch.no_grad():
        before, after = module.conv1(gray[None]).flatten(), module.conv1(asked.all).flatten()
        most = torch.conv2d(torch.ones(1, 1, 28, 28), module.conv1.weight.clamp_min(0), module.conv1.bias, padding=2)
    chosen = (before - before.mean()).abs().topk(2).indices
    wanted = before + 0.1 * (most.flatten() - before)
    rounding = module.conv1.weight.abs().sum((1, 2, 3)).max() / 2 / 255
    assert ((after - wanted)[chosen].abs() <= rounding + 1e-4).all()
    assert ((wanted - before)[chosen] > 3 * rounding).all()


@pytest.mark.parametrize("from_input", [True, False])
def test_dlv_finds_examples(module, subject, from_input):
    from systems.dlv import measure_dlv

    result = measure_dlv(subject, from_input=from_input)
    assert (result["images"], result["SR"], result["TSR"], result["GAP"]) == (3, 1, 1, 0)


POINTS = np.array([[6.0, 6.0, 1.0, 0.1], [20.0, 15.0, 2.5, 0.3]])
"""Columns, rows, sizes and responses."""


def test_safecv_sets_pixels_near_key_points_to_extremes_and_no_more_than_it_needs(module, subject):
    from systems.safecv import safecv

    asked = Asked(module)
    x, y = subject.tensors
    vectors = safecv(asked, x, y, [POINTS, POINTS, POINTS[:0]], simulations=4)
    rows, columns = np.indices((28, 28))
    near = np.zeros((28, 28), dtype=bool)
    for column, row, size, _ in POINTS:
        near |= np.hypot(rows - row, columns - column) <= 2 * (size + 1)
    looked_at = asked.all
    for image in x[:2]:
        ours = looked_at[((looked_at == image).float().mean((1, 2, 3)) > 0.8)]
        assert len(ours) > 100
        changed = ours != image
        assert not changed[:, 0, ~torch.tensor(near)].any()
        assert (ours[changed] == (image < 0.5).float().expand_as(ours)[changed]).all()
    is_found = classes(module, vectors) != y
    assert is_found.tolist()[:2] == [True, True]
    # Without any one of the changed pixels it is none.
    for vector, image, label in zip(vectors[:2], x, y, strict=False):
        for place in (vector != image).nonzero():
            fewer = vector.clone()
            fewer[tuple(place)] = image[tuple(place)]
            assert classes(module, fewer[None]) == label
    # Without key points nothing is changed.
    assert torch.equal(vectors[2], x[2])


def test_safecvs_turns_change_the_pixels_they_say():
    from systems.safecv import _Game, mixture

    image = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0))
    game = _Game(lambda x: x.flatten(1), image, torch.tensor(0), POINTS, 6, 2, torch.Generator().manual_seed(0))
    boards = torch.zeros(500, 784, dtype=torch.bool)
    once = game._moved(boards, 1)
    assert (once.sum(1) == 6).all()
    twice = game._moved(once, torch.tensor([1] * 500))
    assert (twice.sum(1) == 12).all()
    assert (twice | once == twice).all()
    # Where a Gaussian has no pixel left, less is changed.
    _, weights = mixture(POINTS, (28, 28))
    assert torch.allclose(weights, torch.tensor([0.25, 0.75], dtype=torch.float64))
    full = mixture(POINTS, (28, 28))[0][0] > 0
    assert torch.equal(game._moved(full[None], 0), full[None])
    # Pixels are as frequent as their chances, of the first drawn.
    game = _Game(lambda x: x.flatten(1), image, torch.tensor(0), POINTS, 1, 2, torch.Generator().manual_seed(0))
    shares = game._moved(torch.zeros(20_000, 784, dtype=torch.bool), 0).double().mean(0)
    assert (shares - mixture(POINTS, (28, 28))[0][0]).abs().max() < 0.01


def test_safecvs_key_points_are_in_pixels_of_the_image():
    pytest.importorskip("cv2")
    from systems.safecv import key_points

    image = np.zeros((28, 28), dtype=np.uint8)
    image[6:14, 8:18] = 255
    points = key_points(image)
    assert len(points) > 0
    assert ((points[:, 0] > 5) & (points[:, 0] < 21)).all()
    assert ((points[:, 1] > 3) & (points[:, 1] < 17)).all()
    assert ((points[:, 2] > 0) & (points[:, 2] < 28) & (points[:, 3] > 0)).all()
    assert key_points(np.zeros((28, 28), dtype=np.uint8)).shape == (0, 4)


@pytest.mark.parametrize("tolerance", [0.1, 0.5, 1.2])
def test_deepgos_bounds_hold_the_least_value_of_a_function_as_steep_as_it_may_be(tolerance):
    from systems.deepgo import minimise

    asked = []

    def wells(points):
        """Two narrow wells as steep as the constants say, the deeper one where the ends tell nothing of it."""
        asked.append(len(points))
        first = np.abs(points - [0.37, 0.61]) @ [8, 5] - 0.9
        second = np.abs(points - [0.81, 0.12]) @ [8, 5] - 0.7
        return np.minimum(np.minimum(first, second), 0)

    least = minimise(wells, np.array([8.0, 5.0]), tolerance)
    assert least.lower[0] <= -0.9 <= least.upper[0] <= least.lower[0] + tolerance
    assert np.allclose(wells(least.points), least.upper)
    # What the inner level leaves open stays open, where the outer one adds nothing to it.
    least = minimise(lambda points: np.minimum(np.abs(points[:, 1] - 0.61) * 5 - 0.3, 0), np.array([0.0, 5.0]), 0.7)
    assert least.lower[0] <= -0.3 < least.upper[0] - 0.01
    # Places that bounds exclude are not looked at: a grid as fine would take 80 times 50.
    assert sum(asked) < 2_000


@pytest.mark.parametrize(("pixels", "levels"), [(1, 256), (2, 52)])
def test_deepgos_bounds_hold_the_least_margin_of_a_grid(module, subject, pixels, levels):
    from systems.deepgo import search_image, slopes

    x, y = subject.tensors
    for image, label in zip(x, y, strict=True):
        search = search_image(module, image, label, pixels=pixels, tolerance=0.02)
        grid = np.stack(np.meshgrid(*[np.linspace(0, 1, levels)] * pixels, indexing="ij"), axis=-1)
        vectors = image.flatten().repeat(grid[..., 0].size, 1)
        vectors[:, search.chosen] = torch.tensor(grid.reshape(-1, pixels), dtype=torch.float32)
        with torch.no_grad():
            logits = module(vectors.reshape(-1, 1, 28, 28)).double()
        others = logits.clone()
        others[:, label] = -torch.inf
        margins = (logits[:, label] - others.amax(1)).numpy().reshape(grid.shape[:-1])
        lower, upper = search.least.lower[0], search.least.upper[0]
        assert lower <= margins.min() + 1e-5
        assert upper <= margins.min() + 0.02
        assert lower <= upper <= lower + 0.02
        # The constants are slopes that nothing exceeds, and not many times what there is.
        constants = slopes(module, image, label, search.chosen)
        for axis in range(pixels):
            steepest = np.abs(np.diff(margins, axis=axis)).max() * (levels - 1)
            assert steepest <= constants[axis] + 1e-3
            assert constants[axis] < 8 * steepest


@pytest.mark.parametrize(
    ("weight", "bias", "neighbour", "steepest"), [(1, -0.5, 0.0, 3), (-1, 0.5, 1.0, 3), (1, 0, 2.0, 0), (1, -2, 0.0, 0)]
)
def test_deepgos_constants_know_what_units_can_do(module, weight, bias, neighbour, steepest):
    import copy

    from systems.deepgo import slopes

    # Three times what the first unit sees of a pixel: it is on from the middle up or down, below its neighbour in the
    # window, or off.
    plain = copy.deepcopy(module)
    with torch.no_grad():
        for each in plain.parameters():
            each.zero_()
        plain.conv1.weight[0, 0, 2, 2], plain.conv1.bias[0] = weight, bias
        plain.conv2.weight[0, 0, 2, 2] = 1
        plain.dense.weight[0, 0] = 3
    image = torch.full((1, 28, 28), 1.0 if weight < 0 else 0.0)
    image[0, 0, 1] = neighbour
    assert slopes(plain, image, torch.tensor(0), torch.tensor([0]))[0] == pytest.approx(steepest, rel=0.002)


def test_deepgo_takes_the_pixels_that_lower_the_margin_most(subject):
    from systems.deepgo import weakest_pixels

    def hanging(vectors):
        """A margin that falls with one of two pixels as much as with both."""
        values = vectors.flatten(1)
        first = 3 * torch.minimum(values[:, 5], values[:, 6]) - 2 * values[:, 300] + values[:, 700]
        return torch.stack([first, torch.zeros_like(first)], dim=1)

    image = torch.full((1, 28, 28), 0.5)
    pixels = weakest_pixels(hanging, image, torch.tensor(0), 5).tolist()
    assert pixels[:3] in ([5, 300, 700], [6, 300, 700])
    assert len(set(pixels)) == 5


def test_deepgo_reports_what_it_found_and_what_it_proved(module, subject):
    from systems.deepgo import deepgo, measure_deepgo

    vectors, lower, upper = deepgo(module, *subject.tensors)
    assert ((vectors != subject.tensors[0]).sum((1, 2, 3)) <= 4).all()
    result = measure_deepgo(subject)
    assert (result["images"], result["SR"]) == (3, (upper < 0).mean())
    assert f"{(lower > 0).sum()} images proven" in result["note"]


def test_deepgos_points_of_one_image_are_those_of_least_margin(module, subject):
    from dataclasses import replace

    from systems.deepgo import measure_one_image, search_image
    from systems.dlv import dlv
    from systems.rows import CannotRunError

    # Halfway to another class until the label hangs on few pixels.
    near, label = subject.images[0].astype(float), int(subject.labels[0])
    far = np.asarray(dlv(module, *subject.first(1).tensors))[0].transpose(1, 2, 0) * 255
    for _ in range(12):
        middle = np.rint((near + far) / 2)
        is_near = classes(module, torch.tensor(middle / 255).float().permute(2, 0, 1)[None]) == label
        near, far = (middle, far) if is_near else (near, middle)
    images = np.stack([subject.images[1], near.astype(np.uint8)])
    weak = replace(subject, images=images, labels=np.array([subject.labels[1], label]))
    searches = [search_image(module, image, goal) for image, goal in zip(*weak.tensors, strict=True)]
    assert searches[0].least.upper[0] > 0 > searches[1].least.upper[0]
    number, everything = int((searches[1].margins < 0).sum()), len(searches[1].margins)
    assert number < everything < 1_000
    result = measure_one_image(weak, number=number)
    assert (result["images"], result["SR"]) == (number, 1)
    result = measure_one_image(weak)
    assert (result["images"], result["SR"]) == (everything, pytest.approx(number / everything))
    assert result["note"].endswith("of image 1")
    with pytest.raises(CannotRunError, match="no image has"):
        measure_one_image(weak.first(1))


def test_deepconcolics_layers_are_the_modules(module, subject):
    from systems.deepconcolic import hidden_of_lenet1, values_of

    x, _ = subject.tensors
    with torch.no_grad():
        first = module.conv1(x)
        second = module.conv2(torch.max_pool2d(torch.relu(first), 2))
    values = values_of(hidden_of_lenet1(module), np.asarray(x.double()).reshape(3, -1))
    assert np.allclose(values[0], first.flatten(1), atol=1e-4)
    assert np.allclose(values[1], second.flatten(1), atol=1e-4)


def pattern(module, vector):
    """Return which units of the first convolution are on, and where the largest of each window that is on lies."""
    with torch.no_grad():
        first = module.conv1(torch.tensor(vector, dtype=torch.float32).reshape(1, 1, 28, 28))
    pooled, places = torch.nn.functional.max_pool2d(first, 2, return_indices=True)
    return first.flatten() > 0, torch.where(pooled > 0, places, -1)


def test_deepconcolic_turns_on_the_wanted_neuron_and_keeps_what_is_before_it(module, subject):
    from systems.deepconcolic import hidden_of_lenet1, turned_on, values_of

    layers = hidden_of_lenet1(module)
    test = np.asarray(subject.tensors[0][0].double()).flatten()
    values = np.concatenate(values_of(layers, test))
    off = np.flatnonzero(values < 0)
    nearest = off[np.argsort(-values[off])]
    for neurons in (nearest[nearest < 3136][:4], nearest[nearest >= 3136][:12]):
        found = [(neuron, vector) for neuron in neurons if (vector := turned_on(layers, test, neuron)) is not None]
        assert len(found) >= 4
        for neuron, vector in found:
            assert vector.min() >= 0
            assert vector.max() <= 1
            assert np.concatenate(values_of(layers, vector))[neuron] == pytest.approx(1 / 255, abs=1e-6)
            if neuron >= 3136:
                before, after = pattern(module, test), pattern(module, vector)
                assert torch.equal(before[0], after[0])
                assert torch.equal(before[1], after[1])
                # The neuron sees 14 x 14 pixels at most.
                changed = np.argwhere((vector != test).reshape(28, 28))
                assert (np.ptp(changed, axis=0) < 14).all()
            else:
                # The nearest is in the corner of the box that the weights point to, as small as it can be.
                weights, radius = layers[0].weight[[neuron]].toarray()[0], np.abs(vector - test).max()
                corner = np.clip(test + 0.999 * radius * np.sign(weights), 0, 1)
                assert layers[0].before(corner)[neuron] < 1 / 255


def test_deepconcolic_turns_on_neurons_of_dense_layers():
    from systems.deepconcolic import hidden_of_dense, turned_on, values_of

    torch.manual_seed(0)
    dense = [torch.nn.Linear(*sizes) for sizes in ((30, 8), (8, 6), (6, 3))]
    layers = hidden_of_dense(torch.nn.Sequential(dense[0], torch.nn.ReLU(), dense[1], torch.nn.ReLU(), dense[2]))
    assert [layer.weight.shape for layer in layers] == [(8, 30), (6, 8)]
    number = 0
    for test in np.random.default_rng(0).random((8, 30)):
        values = values_of(layers, test)
        first = torch.relu(dense[0](torch.tensor(test).float()))
        assert np.allclose(values[1], dense[1](first).detach(), atol=1e-5)
        for neuron in np.flatnonzero(values[1] < 0):
            vector = turned_on(layers, test, 8 + neuron)
            if vector is None:
                continue
            number += 1
            first, second = values_of(layers, vector)
            assert second[neuron] == pytest.approx(1 / 255, abs=1e-6)
            assert ((first > 0) == (values[0] > 0)).all()
            # Nothing at nine tenths of the distance, in any of many directions, does the same.
            radius = 0.9 * np.abs(vector - test).max()
            near = np.clip(test + radius * np.random.default_rng(1).choice([-1, 1], (5_000, 30)), 0, 1)
            firsts, seconds = values_of(layers, near)
            assert not ((seconds[:, neuron] > 1 / 255) & ((firsts > 0) == (values[0] > 0)).all(1)).any()
    assert number >= 3
    with pytest.raises(IndexError, match="no such neuron"):
        turned_on(layers, test, 14)


def test_deepconcolics_tests_cover_more_within_the_bound(module, subject):
    from systems.deepconcolic import deepconcolic, generated, hidden_of_lenet1, measure_lenet1, values_of
    from systems.rows import CannotRunError

    layers = hidden_of_lenet1(module)
    image = np.asarray(subject.tensors[0][0].double()).flatten()
    tests = generated(layers, image, steps=5, bound=0.3)
    assert tests
    covered = np.concatenate(values_of(layers, image)) > 0
    for test in tests:
        more = covered | (np.concatenate(values_of(layers, test)) > 0)
        assert more.sum() > covered.sum()
        covered = more
    distances = [np.abs(test - image).max() for test in tests]
    assert max(distances) <= 0.3
    bounded = generated(layers, image, steps=5, bound=sorted(distances)[0] * 1.001)
    assert 0 < len(bounded) < len(tests)
    tests, rows = deepconcolic(layers, subject.tensors[0], steps=2)
    assert tests.shape == (len(rows), 1, 28, 28)
    assert set(rows) == {0, 1, 2}
    assert all((test != subject.tensors[0][row]).float().mean() < 0.3 for test, row in zip(tests, rows, strict=True))
    assert measure_lenet1(subject, steps=2)["images"] == len(rows)
    with pytest.raises(CannotRunError, match="no program"):
        measure_lenet1(subject, steps=0)
