"""PyTorch modules as oracles: what they are given, and which bits they answer."""

from __future__ import annotations

import functools
import json
import warnings

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError, OracleError
from dfa.oracle import TorchOracle, as_oracle
from oracles import random_images

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402 -- once it is known to be there

from torch_networks import MEAN, STD, resnet20, small_network  # noqa: E402

SHAPE = (12, 12, 3)
IMAGES = random_images(20, SHAPE)


class Recorder(nn.Module):
    """Keeps what it is given, and answers with two classes."""

    def __init__(self, answer=None):
        super().__init__()
        self.given = []
        self.scale = nn.Parameter(torch.ones(1))
        self._answer = answer or (lambda rows: torch.stack([0 * rows, rows], 1))
        self.eval()

    def forward(self, batch):
        self.given.append(batch.clone())
        return self._answer(batch.float().reshape(len(batch), -1).mean(1))


def last_given(oracle_of, **settings):
    module = Recorder()
    oracle = TorchOracle(module, **({"static_batch": False} | settings))
    oracle.prepare(SHAPE, 20)
    oracle.scores(IMAGES)
    return module.given[-1].numpy()


def test_a_module_is_given_what_to_tensor_makes_of_an_image():
    given = last_given(TorchOracle)
    assert given.dtype == np.float32
    assert np.array_equal(given, (IMAGES.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)))


def test_mean_and_std_normalise_after_the_division():
    expected = torch.tensor(IMAGES).permute(0, 3, 1, 2).float().div(255)
    expected = (expected - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)
    assert np.array_equal(last_given(TorchOracle, mean=MEAN, std=torch.tensor(STD)), expected.numpy())
    assert np.array_equal(
        last_given(TorchOracle, mean=0.5, std=0.5),
        ((torch.tensor(IMAGES).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5).numpy(),
    )


def test_nhwc_is_given_as_it_is():
    assert np.array_equal(last_given(TorchOracle, layout="NHWC"), IMAGES.astype(np.float32) / np.float32(255))
    expected = (torch.tensor(IMAGES).float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert np.array_equal(last_given(TorchOracle, layout="NHWC", mean=MEAN, std=STD), expected.numpy())


def test_a_transform_gets_uint8_and_its_result_is_given():
    seen = []

    def transform(batch):
        seen.append(batch)
        return (batch.view(len(batch), -1).float() - 7).reshape(batch.shape)

    given = last_given(TorchOracle, transform=transform)
    assert seen[-1].dtype == torch.uint8
    assert np.array_equal(given, IMAGES.transpose(0, 3, 1, 2).astype(np.float32) - 7)


def test_a_module_in_half_precision_is_given_its_own_numbers():
    module = Recorder().half()
    oracle = TorchOracle(module)
    oracle.scores(IMAGES)
    assert module.given[-1].dtype == torch.float16
    assert oracle.describe()["dtype"] == "float16"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_what_a_transform_makes_is_cast_to_the_modules_precision(dtype):
    module = Recorder().to(dtype)
    TorchOracle(module, transform=lambda batch: batch.float() / 255).scores(IMAGES)
    assert module.given[-1].dtype == dtype
    TorchOracle(module, transform=lambda batch: batch.long()).scores(IMAGES)
    assert module.given[-1].dtype == torch.int64


def test_a_transform_decides_for_a_module_without_numbers():
    module = Recorder()
    del module.scale
    TorchOracle(module, transform=lambda batch: batch.double()).scores(IMAGES)
    assert module.given[-1].dtype == torch.float64


def test_the_precision_is_that_of_most_numbers():
    class Tempered(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("packed", torch.zeros(9_000).to(torch.float8_e4m3fn))
            self.temperature = nn.Parameter(torch.ones(1, dtype=torch.float64))
            self.inner = small_network()

        def forward(self, batch):
            return self.inner(batch) / self.temperature

    oracle = as_oracle(Tempered().eval())
    assert oracle.describe()["dtype"] == "float32"
    assert oracle.scores(IMAGES) == pytest.approx(as_oracle(small_network()).scores(IMAGES))


@pytest.mark.parametrize(
    ("answer", "settings"),
    [
        (lambda rows: {"logits": torch.stack([rows, rows], 1)}, {}),
        (lambda rows: type("Output", (), {"logits": torch.stack([rows, rows], 1)})(), {}),
        (lambda rows: {"a": 1, "b": torch.stack([rows, rows], 1)}, {"output": "b"}),
        (lambda rows: type("Output", (), {"head": torch.stack([rows, rows], 1)})(), {"output": "head"}),
        (lambda rows: (1, torch.stack([rows, rows], 1)), {"output": 1}),
        (lambda rows: rows, {"output": lambda rows: torch.stack([rows, rows], 1)}),
        (lambda rows: (torch.stack([rows, rows], 1),), {}),
        (lambda rows: [torch.stack([rows, rows], 1)], {}),
    ],
)
def test_scores_are_found_in_what_a_module_returns(answer, settings):
    scores = TorchOracle(Recorder(answer), **settings).scores(IMAGES)
    assert scores.shape == (20, 2)
    assert np.array_equal(scores[:, 0], scores[:, 1])


@pytest.mark.parametrize(
    ("answer", "settings", "message"),
    [
        (lambda rows: (rows, rows), {}, "say where they are: output='name'"),
        (lambda rows: {"a": rows}, {"output": "b"}, "without 'b'"),
        (lambda rows: rows, {"output": "b"}, "without 'b'"),
        (lambda rows: (rows,), {"output": 3}, "without 3"),
        (lambda rows: rows, {}, r"shape \(n, K\).* gives shape \(4,\).*torch.stack\(\[1 - p, p\], 1\)"),
    ],
)
def test_what_holds_no_scores_is_refused_before_the_first_query(answer, settings, message):
    # 4 rows, since images of 300x300 are many coordinates.
    with pytest.raises(InvalidInputError, match=message):
        TorchOracle(Recorder(answer), **settings).prepare((300, 300, 3), 256)


# --- which bits


def test_answers_do_not_depend_on_what_else_is_asked():
    oracle = as_oracle(small_network())
    oracle.prepare(SHAPE, 256)
    images = random_images(70, SHAPE)
    whole = oracle.scores(images)
    for rows in ([3], [69, 3], list(range(69, -1, -1)), list(range(30, 40))):
        assert np.array_equal(oracle.scores(images[rows]), whole[rows])


def test_a_run_is_the_same_for_every_batch_size_and_order_to_the_bit():
    images = random_images(24, SHAPE)
    oracle = as_oracle(small_network())
    settings = {"epsilon": 30, "max_queries": 150, "progress": False, "optimizer": dfa.Racos(archive=False)}
    runs = [dfa.run(oracle, images, batch_size=size, **settings) for size in (256, 7, 1)]
    turned = dfa.run(oracle, images[::-1], batch_size=5, **settings)
    first = runs[0]
    assert 0 < sum(record.status is dfa.Status.SUCCESS for record in first.records) <= 24
    for other, order in ((runs[1], 1), (runs[2], 1), (turned, -1)):
        assert [record.queries_sent for record in other.records][::order] == [r.queries_sent for r in first.records]
        assert [r.degree for r in other.records][::order] == [r.degree for r in first.records]
        found = dict(enumerate(list(other.images)[::order])) if order < 0 else dict(enumerate(other.images))
        assert all(np.array_equal(found[place], image) for place, image in enumerate(first.images))


@pytest.mark.parametrize(("static_batch", "rows"), [(True, {64}), (5, {5}), (False, {2, 20, 3})])
def test_batches_have_one_number_of_rows_unless_they_may_go_as_they_come(static_batch, rows):
    module = Recorder()
    oracle = TorchOracle(module, static_batch=static_batch)
    oracle.prepare((6, 6, 3), 256)
    for number in (20, 3):
        assert len(oracle.scores(random_images(number))) == number
    assert {len(batch) for batch in module.given} == rows


def test_on_a_cpu_the_number_of_rows_depends_on_the_images_alone():
    oracle, module = TorchOracle(module := Recorder()), module
    sizes = []
    for shape, batch_size in (((224, 224, 3), 1), ((224, 224, 3), 512), ((32, 32, 3), 8), ((28, 28, 1), 8)):
        oracle.prepare(shape, batch_size)
        sizes.append(len(module.given[-1]))
    assert sizes == [4, 4, 16, 64]


class MindsPlaces(nn.Module):
    """Rounds each row by its place, as some products of matrices do."""

    def forward(self, batch):
        scores = batch.flatten(1)[:, :2]
        return scores + torch.arange(len(batch))[:, None] * 1e-7


def test_a_module_that_minds_places_is_asked_row_by_row():
    oracle = as_oracle(MindsPlaces().eval())
    scores = oracle.scores(IMAGES)
    assert np.array_equal(oracle.scores(IMAGES[::-1])[::-1], scores)
    fixed = as_oracle(MindsPlaces().eval(), static_batch=8)
    assert not np.array_equal(fixed.scores(IMAGES[::-1])[::-1], fixed.scores(IMAGES))


def test_products_of_odd_matrices_are_exact_all_the_same():
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(432, 257), nn.ReLU(), nn.Linear(257, 101), nn.ReLU(), nn.Linear(101, 10)]
    dfa.testing.check_oracle(as_oracle(nn.Sequential(*layers).eval()), IMAGES)


def test_images_of_another_shape_are_looked_at_anew():
    oracle = as_oracle(small_network())
    oracle.scores(IMAGES)
    others = random_images(3, (9, 7, 3))
    assert np.array_equal(oracle.scores(others), as_oracle(small_network()).scores(others))


def test_an_answer_is_not_changed_by_the_next():
    oracle = as_oracle(small_network())
    first = oracle.scores(IMAGES)
    kept = first.copy()
    oracle.scores(IMAGES[::-1])
    assert np.array_equal(first, kept)


def test_images_stay_as_they_are_though_a_transform_writes():
    def transform(batch):
        return batch.mul_(0).float()

    images = IMAGES.copy()
    for layout in ("NCHW", "NHWC"):
        for static_batch in (True, False):
            TorchOracle(Recorder(), transform=transform, layout=layout, static_batch=static_batch).scores(images)
    assert np.array_equal(images, IMAGES)


# --- a module is left as it is


@pytest.mark.parametrize("part", ["", "1", "7"])
def test_a_part_in_training_mode_is_refused_and_not_switched(part):
    module = small_network()
    module.get_submodule(part).training = True
    with pytest.raises(InvalidInputError, match=r"training mode: .*call model.eval\(\) first"):
        as_oracle(module)
    assert module.get_submodule(part).training


def test_a_module_that_is_put_back_into_training_mode_is_refused_before_the_run():
    module = small_network()
    oracle = as_oracle(module)
    module.train()
    with pytest.raises(InvalidInputError, match="training mode"):
        dfa.run(oracle, IMAGES, progress=False)


def test_neither_modes_nor_gradients_nor_global_settings_are_changed():
    modes = []
    module = small_network()
    module.register_forward_hook(lambda *_: modes.append(torch.is_inference_mode_enabled()))
    before = (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype())
    oracle = as_oracle(module, autocast="bfloat16")
    oracle.scores(IMAGES)
    assert (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()) == before
    assert set(modes) == {True}
    assert not torch.is_autocast_enabled("cpu")
    assert not any(part.training for part in module.modules())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_describe_tells_how_the_module_is_asked():
    told = as_oracle(small_network(), mean=MEAN, std=STD, autocast=torch.bfloat16, static_batch=8).describe()
    assert told | {"returns": "logits", "mean": list(MEAN), "autocast": "bfloat16", "static_batch": 8} == told
    assert told | {"device": "cpu", "dtype": "float32", "framework_version": torch.__version__} == told


def scaled(batch, by):
    return batch.float() / by


class Shown:
    def __init__(self, function):
        self._function = function

    def __repr__(self):
        return f"Shown(\n    {self._function}\n)"

    def __call__(self, batch):
        return self._function(batch)


@pytest.mark.parametrize("place", ["transform", "output"])
def test_describe_tells_functions_without_their_addresses(place):
    def told(function):
        return as_oracle(small_network(), **{place: function}).describe()[place]

    partial = functools.partial(scaled, scaled, by=255.0)
    assert told(partial) == (
        "functools.partial(<function scaled>, <function scaled>, by=255.0)"
        if place == "transform"
        else "scaled(<function scaled>, by=255.0)"
    )
    assert told(lambda batch: batch).endswith("<lambda>")
    shown = told(Shown(lambda batch: batch))
    assert "0x" not in shown
    assert shown.startswith("Shown( <function " if place == "transform" else "Shown")


def test_describe_tells_a_compiler_of_ones_own_by_its_name():
    def backend(module, _):
        return module.forward

    told = as_oracle(small_network(), compile={"backend": backend}).describe()["compile"]
    assert json.loads(json.dumps(told))["backend"].endswith("<locals>.backend")


# --- random, half, compiled


def test_a_random_module_is_told_of_once():
    class Random(nn.Module):
        def forward(self, batch):
            return torch.rand(len(batch), 3)

    oracle = as_oracle(Random().eval())
    with pytest.warns(dfa.RandomAnswersWarning, match="pass confirmations="):
        oracle.prepare(SHAPE, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        oracle.prepare(SHAPE, 8)


def test_answers_that_are_no_numbers_are_not_called_random():
    module = Recorder(lambda rows: torch.stack([rows * float("nan"), rows], 1))
    with pytest.raises(OracleError, match="finite scores; it gave nan"):
        dfa.run(module, IMAGES, progress=False)


def test_probabilities_under_the_name_of_logits_are_refused():
    module = nn.Sequential(small_network(), nn.Softmax(1)).eval()
    with pytest.raises(OracleError, match=r"looks like probabilities.*returns='probabilities'"):
        dfa.run(module, IMAGES, progress=False)
    result = dfa.run(as_oracle(module, returns="probabilities"), IMAGES, epsilon=30, max_queries=50, progress=False)
    assert result.summary().attacked == 20


def test_half_precision_probabilities_may_sum_as_their_rounding_lets_them():
    module = nn.Sequential(small_network(num_classes=100), nn.Softmax(1)).eval().bfloat16()
    result = dfa.run(as_oracle(module, returns="probabilities"), IMAGES, epsilon=30, max_queries=50, progress=False)
    assert result.summary().attacked == 20


def test_a_compiled_module_answers_as_it_does_otherwise():
    oracle = as_oracle(small_network(), compile={"backend": "eager"})
    assert np.array_equal(oracle.scores(IMAGES), as_oracle(small_network()).scores(IMAGES))
    assert oracle.describe()["compile"] == {"backend": "eager"}


# --- real


def test_resnet20_breaks_by_as_many_queries_through_keras_and_through_torch(data):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:60], file["labels"][:60]
    settings = {"epsilon": 4, "max_queries": 1_000, "progress": False}
    module = as_oracle(resnet20(data), mean=MEAN, std=STD)
    of_torch = dfa.run(module, images, labels, **settings).summary()
    model = keras.models.load_model(data / "models" / "cifar_resnet20.keras")
    of_keras = dfa.run(model, images, labels, **settings).summary()
    assert of_torch.attacked == of_keras.attacked == 60
    assert of_torch.TSR == of_keras.TSR > 0.9
    assert of_torch.queries_mean_with_failures == pytest.approx(of_keras.queries_mean_with_failures, rel=0.02)


def test_resnet20_answers_as_its_user_asks_it(data):
    network = resnet20(data)
    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"], file["labels"]
    scores = as_oracle(network, mean=MEAN, std=STD).scores(images[:128])
    with torch.inference_mode():
        batch = torch.tensor(images[:128]).permute(0, 3, 1, 2) / 255
        batch = (batch - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)
        expected = network(batch).numpy()
    assert scores == pytest.approx(expected, abs=1e-4)
    assert (scores.argmax(1) == labels[:128]).all()


def rows_of_a_table(seed, number):
    return np.random.default_rng(seed).normal(size=(number, 24)).astype(np.float32)


SPACE = dfa.Custom(np.full(24, -5), np.full(24, 5), lambda row, x: (row + x * 0.01).astype(np.float32))


def test_inputs_that_are_no_images_are_asked_in_batches_of_one_size_too():
    asked = []

    class TellsRows(torch.nn.Module):
        def forward(self, x):
            asked.append(tuple(x.shape))
            return x[:, :4] + 0.01 * len(x) * torch.arange(4)

    table = rows_of_a_table(0, 20)

    def attack(batch_size, static_batch=True):
        result = dfa.run(
            dfa.TorchOracle(TellsRows().eval(), static_batch=static_batch),
            table,
            space=SPACE,
            max_queries=60,
            batch_size=batch_size,
            progress=False,
        )
        return [(record.status, record.queries, record.degree) for record in result.records]

    expected = attack(256)
    for batch_size in (1, 7):
        assert attack(batch_size) == expected
    assert set(asked) == {(64, 24)}
    assert attack(7, static_batch=False) != expected
