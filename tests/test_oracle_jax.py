"""JAX functions and flax modules as oracles."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError
from dfa.oracle import CallableOracle, JaxOracle, ScoreKind, as_oracle
from dfa.oracle.adapters.static_batch import rows_of_batch

jax = pytest.importorskip("jax", reason="JAX is not installed")
nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
linen = pytest.importorskip("flax.linen", reason="flax is not installed")

SHAPE = (8, 6, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, *SHAPE), dtype=np.uint8)
KEY = np.array([1, 2], dtype=np.uint32)  # of a random generator, as JAX keeps it


class Net(nnx.Module):
    """All that training switches on."""

    def __init__(self, seed=0):
        rngs = nnx.Rngs(seed)
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(SHAPE[0] * SHAPE[1] * 4, 5, rngs=rngs)

    def __call__(self, x):
        x = self.drop(nnx.relu(self.norm(self.conv(x))))
        return self.dense(x.reshape(len(x), -1))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = linen.relu(linen.Conv(4, (3, 3))(x))
        x = linen.BatchNorm(use_running_average=not train)(x)
        return linen.Dense(5)(x.reshape(len(x), -1))


def net():
    module = Net()
    module.eval()
    return module


@pytest.fixture(scope="module")
def variables():
    return Linen().init(jax.random.wrap_key_data(KEY), np.zeros((1, *SHAPE), np.float32))


def unit(images):
    return images.astype(np.float32) / 255


def apply(weights, x):
    return x.reshape(len(x), -1) @ weights


WEIGHTS = np.random.default_rng(1).normal(size=(np.prod(SHAPE), 5)).astype(np.float32)


def test_an_nnx_module_is_given_0_to_1_and_gives_logits():
    module = net()
    oracle = as_oracle(module)
    assert type(oracle) is JaxOracle
    assert (oracle.kind, oracle.name, oracle.returns) == ("jax", "Net", ScoreKind.LOGITS)
    np.testing.assert_allclose(oracle.scores(IMAGES), module(unit(IMAGES)), rtol=1e-4, atol=1e-5)


def test_a_linen_module_comes_bound_or_with_its_variables(variables):
    module = Linen()
    expected = module.apply(variables, unit(IMAGES))
    bound = as_oracle(module.bind(variables))
    for oracle in (bound, JaxOracle(module, variables), JaxOracle(module.apply, variables)):
        assert oracle.returns is ScoreKind.LOGITS
        np.testing.assert_allclose(oracle.scores(IMAGES), expected, rtol=1e-4, atol=1e-5)
        assert oracle.fingerprint() == bound.fingerprint()
    with pytest.raises(InvalidInputError, match=r"Linen holds no parameters.*module.bind\(variables\)"):
        as_oracle(module)


def test_a_function_of_variables_and_inputs_is_a_model(variables):
    oracle = JaxOracle(lambda tree, x: Linen().apply(tree, x, train=False), variables, name="net")
    np.testing.assert_allclose(oracle.scores(IMAGES), Linen().apply(variables, unit(IMAGES)), rtol=1e-4, atol=1e-5)
    assert (oracle.name, oracle.returns) == ("net", ScoreKind.LOGITS)
    assert JaxOracle(apply, WEIGHTS).name == "apply"


def test_a_function_of_images_is_given_uint8_and_gives_probabilities_like_any_other():
    given = []

    @jax.jit
    def classify(images):
        given.append((images.dtype, images.shape[1:]))
        return jax.nn.softmax(images.reshape(len(images), -1) @ WEIGHTS / 255)

    oracle = as_oracle(classify)
    assert type(oracle) is JaxOracle
    assert (oracle.name, oracle.returns) == (
        "test_a_function_of_images_is_given_uint8_and_gives_probabilities_like_any_other.<locals>.classify",
        ScoreKind.PROBABILITIES,
    )
    answers = oracle.scores(IMAGES)
    assert set(given) == {(np.dtype(np.uint8), SHAPE)}
    np.testing.assert_allclose(answers, np.asarray(classify(IMAGES)), rtol=1e-4, atol=1e-6)
    assert oracle.fingerprint() is None


def test_a_jitted_function_of_labels_is_a_function_like_any_other():
    classify = jax.jit(lambda images: (images.reshape(len(images), -1) @ WEIGHTS).argmax(axis=1))
    oracle = as_oracle(classify, returns="label", num_classes=5)
    assert type(oracle) is CallableOracle
    assert len(np.asarray(oracle.scores(IMAGES))) == len(IMAGES)
    with pytest.raises(InvalidInputError, match=r"dfa\.label_only"):
        JaxOracle(classify, returns="label")


def test_mean_and_std_are_of_images_in_0_to_1():
    mean, std = [0.4, 0.5, 0.6], (0.1, 0.2, 0.3)
    expected = apply(WEIGHTS, (unit(IMAGES) - np.array(mean)) / np.array(std))
    for oracle in (
        JaxOracle(apply, WEIGHTS, mean=mean, std=std),
        JaxOracle(lambda x: apply(WEIGHTS, x), mean=mean, std=std, returns="logits"),
    ):
        np.testing.assert_allclose(oracle.scores(IMAGES), expected, rtol=1e-3, atol=1e-3)
    assert oracle.describe()["mean"] == mean
    with pytest.raises(InvalidInputError, match="one per channel, 3 of these images"):
        JaxOracle(apply, WEIGHTS, mean=[0.5, 0.5], std=1).prepare(SHAPE, 4)


def test_preprocess_is_given_float32_of_0_to_255():
    def preprocess(images):
        assert images.dtype == np.float32
        return images / 127.5 - 1

    oracle = JaxOracle(apply, WEIGHTS, preprocess=preprocess)
    expected = apply(WEIGHTS, IMAGES.astype(np.float32) / 127.5 - 1)
    np.testing.assert_allclose(oracle.scores(IMAGES), expected, rtol=1e-3, atol=1e-3)
    assert oracle.describe()["preprocess"].endswith("preprocess")
    with pytest.raises(InvalidInputError, match="instead of mean and std"):
        JaxOracle(apply, WEIGHTS, preprocess=preprocess, mean=0.5, std=0.5)


@pytest.mark.parametrize("part", ["norm", "drop"])
def test_a_module_that_is_being_trained_is_refused(part):
    module = net()
    getattr(module, part).train()
    with pytest.raises(InvalidInputError, match=rf"training mode \({part}\).*module.eval\(\)"):
        as_oracle(module)
    module.eval()
    as_oracle(module)
    with pytest.raises(InvalidInputError, match="holds its parameters itself"):
        JaxOracle(module, {})


def test_parameters_are_those_of_when_it_was_wrapped():
    module = net()
    oracle = as_oracle(module)
    before, name = oracle.scores(IMAGES), oracle.fingerprint()
    module.dense.bias[...] = module.dense.bias[...] + 1
    module.train()
    assert np.array_equal(oracle.scores(IMAGES), before)
    assert oracle.fingerprint() == name != JaxOracle(net_with_bias()).fingerprint()


def net_with_bias():
    module = net()
    module.dense.bias[...] = module.dense.bias[...] + 1
    return module


def test_a_fingerprint_is_of_weights_and_their_names_and_of_no_random_generator():
    same, other = net(), Net(seed=1)
    same.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(9), deterministic=True)
    other.eval()
    assert as_oracle(same).fingerprint() == as_oracle(net()).fingerprint() != as_oracle(other).fingerprint()
    named = [JaxOracle(apply, tree).fingerprint() for tree in ({"a": WEIGHTS}, {"b": WEIGHTS}, {"a": WEIGHTS[::-1]})]
    assert len(set(named)) == 3
    keys = [JaxOracle(apply, jax.random.wrap_key_data(KEY + i)).fingerprint() for i in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_a_fingerprint_is_the_same_in_another_process():
    code = (
        "import numpy as np\nfrom dfa.oracle import JaxOracle\n"
        f"weights = np.random.default_rng(1).normal(size=({WEIGHTS.shape[0]}, 5)).astype(np.float32)\n"
        "print(JaxOracle(lambda w, x: x, {'w': weights}).fingerprint())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == JaxOracle(apply, {"w": WEIGHTS}).fingerprint()


def test_a_run_traces_its_model_once():
    traces = []

    def counting(weights, x):
        traces.append(x.shape)
        return apply(weights, x)

    result = dfa.run(JaxOracle(counting, WEIGHTS), IMAGES, max_queries=200, batch_size=7, progress=False)
    assert traces == [(rows_of_batch(True, SHAPE, 7, on_cpu=True), *SHAPE)]
    assert result.profile.batches > 10
    oracle = JaxOracle(counting, WEIGHTS, static_batch=False)
    for number in (3, 5, 3):
        oracle.scores(IMAGES[:number])
    assert [shape[0] for shape in traces[1:]] == [2, 3, 5]


def attack(batch_size):
    oracle = as_oracle(net())
    result = dfa.run(oracle, IMAGES, epsilon=40, max_queries=300, batch_size=batch_size, progress=False)
    kept = [(each.status, each.queries, each.probability_before) for each in result.records]
    return kept, [None if image is None else image.tobytes() for image in result.images]


def test_a_run_is_the_same_to_the_bit_whatever_the_batch_size():
    runs = [attack(batch_size) for batch_size in (1, 7, 256)]
    assert runs[0] == runs[1] == runs[2]
    assert len({queries for _, queries, _ in runs[0][0]}) > 5


def test_half_precision_is_handed_on_as_it_is():
    oracle = JaxOracle(
        lambda w, x: jax.nn.softmax(apply(w, x).astype(jax.numpy.bfloat16)), WEIGHTS, returns="probabilities"
    )
    result = dfa.run(oracle, IMAGES[:4], max_queries=160, progress=False)
    assert oracle.scores(IMAGES).dtype == jax.numpy.bfloat16
    assert all(record.probability_before is not None for record in result.records)


def test_what_it_says_of_itself_is_plain():
    oracle = JaxOracle(apply, WEIGHTS, static_batch=8)
    told = oracle.describe()
    assert json.loads(json.dumps(told)) == told
    assert (told["framework"], told["framework_version"], told["static_batch"]) == ("jax", jax.__version__, 8)
    assert (told["backend"], told["x64"], told["matmul_precision"]) == ("cpu", False, None)
    with jax.default_matmul_precision("highest"):
        assert oracle.describe()["matmul_precision"] == "highest"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda x: np.asarray(x).mean(), "jax.jit can trace.*TracerArrayConversionError"),
        (lambda x: x.reshape(len(x), 7, -1).mean(axis=2) @ WEIGHTS, "must take images of shape"),
        (lambda x: x.mean(axis=(1, 2, 3)), r"gives shape \(64,\) for 64 images.*jax.numpy.stack\(\[1 - p, p\], 1\)"),
        (lambda x: {"logits": x}, "gives a dict"),
        (lambda x: x.reshape(-1, 3), "gives shape"),
    ],
)
def test_what_does_not_take_the_images_or_gives_no_scores_is_refused_before_it_is_asked(model, words):
    with pytest.raises(InvalidInputError, match=words):
        JaxOracle(model).prepare(SHAPE, 64)


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (3, {}, "needs a function, a flax.nnx module"),
        (Net, {}, "got Net"),
        (apply, {"variables": "text"}, "pytree of arrays"),
        (apply, {"returns": "labels"}, "returns"),
        (apply, {"static_batch": 0}, "static_batch"),
        (apply, {"tolerance": -1}, "tolerance"),
        (apply, {"preprocess": 3}, "preprocess"),
    ],
)
def test_what_is_no_jax_model_or_setting_is_refused(model, settings, words):
    with pytest.raises(InvalidInputError, match=words):
        JaxOracle(model, **settings)


def test_a_model_that_hands_on_its_input_gives_memory_of_its_own():
    oracle = JaxOracle(lambda images: images[:, 0, :, 0], returns="logits")
    first = oracle.scores(IMAGES[:1])
    kept = first.copy()
    oracle.scores(IMAGES[1:2])
    assert np.array_equal(first, kept)


def rows_of_a_table(seed, number):
    return np.random.default_rng(seed).normal(size=(number, 24)).astype(np.float32)


SPACE = dfa.Custom(np.full(24, -5), np.full(24, 5), lambda row, x: (row + x * 0.01).astype(np.float32))


def test_inputs_that_are_no_images_are_asked_in_batches_of_one_size_too():
    traced = []

    def tells_rows(weights, x):
        traced.append(x.shape)
        return x @ weights + 0.01 * len(x) * np.arange(4, dtype=np.float32)

    weights = np.random.default_rng(1).normal(size=(24, 4)).astype(np.float32)
    table = rows_of_a_table(0, 20)

    def attack(batch_size):
        result = dfa.run(
            dfa.JaxOracle(tells_rows, weights, returns="logits"),
            table,
            space=SPACE,
            max_queries=60,
            batch_size=batch_size,
            progress=False,
        )
        return [(record.status, record.queries, record.degree) for record in result.records]

    expected = attack(256)
    assert len(traced) == 1
    for batch_size in (1, 7):
        assert attack(batch_size) == expected
    oracle = dfa.JaxOracle(tells_rows, weights, returns="logits").taking(np.generic)
    together = oracle.scores(table)
    np.testing.assert_array_equal(oracle.scores(table[3:4]), together[3:4])
    assert oracle.scores(table.astype(np.float16)).shape == (20, 4)
