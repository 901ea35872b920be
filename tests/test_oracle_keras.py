"""Keras models as oracles, on the backend that Keras has here; the last test runs this file on the others."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from dfa.errors import InvalidInputError, MissingDependencyError, OracleError
from dfa.oracle import KerasOracle, ScoreKind, as_oracle
from dfa.oracle.adapters.keras import static_sizes
from dfa.oracle.gate import Gate, Purpose

BACKENDS = ("tensorflow", "jax", "torch")
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
SHAPE = (8, 6, 3)
BATCH = 16

for package in ("keras", BACKEND):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

# Keras reads it once, when it is imported; a test module that ran before may have done that already.
os.environ["KERAS_BACKEND"] = BACKEND
keras = pytest.importorskip("keras", reason="Keras is not installed")


def images(n, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def build(*head, shape=SHAPE, scale=255.0):
    """A small model that has all that inference mode switches off."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape),
            layers.Rescaling(1 / scale),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(5),
            *(head or [layers.Softmax()]),
        ],
        name="small",
    )
    norm = model.layers[2]
    norm.set_weights([np.linspace(0.5, 2, 4), np.linspace(-1, 1, 4), np.linspace(0, 1, 4), np.linspace(1, 3, 4)])
    return model


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def compiled_once(model):
    """One oracle for all tests that leave it as it was, since compiling takes most of their time."""
    oracle = KerasOracle(model)
    oracle.prepare(SHAPE, BATCH)
    oracle.scores(images(1))
    return oracle


@pytest.fixture
def oracle(compiled_once):
    compiled = compiled_once._compiled.copy()
    yield compiled_once
    compiled_once._compiled = compiled


def host(tensor):
    """A tensor as a numpy array; Keras's own way to it makes numpy warn about torch tensors."""
    return np.asarray(tensor.detach().cpu() if BACKEND == "torch" else tensor)


def expected(model, batch):
    """The model's own answer, in a way that is not the adapter's: eagerly, on float32, unpadded."""
    return host(model(batch.astype(np.float32), training=False))


def values(variables):
    return [host(variable.value).copy() for variable in variables]


def watch(oracle, *, few_sizes=None):
    """Return a list that fills with the host batches that go to the device."""
    oracle.scores(images(1))
    ((kind, compiled),) = oracle._compiled.items()
    seen = []

    def ask(batch):
        seen.append(batch.copy())
        return compiled.ask(batch)

    few_sizes = compiled.wants_few_sizes if few_sizes is None else few_sizes
    oracle._compiled = {kind: compiled._replace(ask=ask, wants_few_sizes=few_sizes)}
    return seen


def on_cpu():
    if BACKEND == "tensorflow":
        return not importlib.import_module("tensorflow").config.list_logical_devices("GPU")
    if BACKEND == "torch":
        return not importlib.import_module("torch").cuda.is_available()
    return importlib.import_module("jax").default_backend() == "cpu"


def test_keras_runs_on_the_backend_under_test():
    assert keras.backend.backend() == BACKEND


@pytest.mark.parametrize("few_sizes", [True, False], ids=["static sizes", "any size"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, BATCH - 1, BATCH])
def test_answers_are_the_models_own(model, oracle, n, few_sizes):
    watch(oracle, few_sizes=few_sizes)
    batch = images(n, seed=n)
    scores = oracle.scores(batch)
    assert scores.dtype == np.float32
    assert scores.shape == (n, 5)
    np.testing.assert_allclose(scores, expected(model, batch), rtol=1e-5, atol=1e-7)


def test_more_rows_than_a_batch_are_asked_in_parts(model, oracle):
    seen = watch(oracle, few_sizes=True)
    batch = images(2 * BATCH + 3)
    np.testing.assert_allclose(oracle.scores(batch), expected(model, batch), rtol=1e-5, atol=1e-7)
    assert [len(rows) for rows in seen] == [BATCH, BATCH, 4]


@pytest.mark.parametrize(("n", "size"), [(1, 1), (2, 4), (4, 4), (5, BATCH), (BATCH, BATCH)])
def test_a_short_batch_is_padded_to_the_smallest_size_that_holds_it(oracle, n, size):
    seen = watch(oracle, few_sizes=True)
    batch = images(n)
    assert len(oracle.scores(batch)) == n
    assert [rows.shape for rows in seen] == [(size, *SHAPE)]
    np.testing.assert_array_equal(seen[0][:n], batch)


def test_sizes_are_static_where_a_new_one_costs_a_compilation(oracle):
    seen = watch(oracle)
    oracle.scores(images(3))
    assert len(seen[0]) == (3 if BACKEND != "jax" and on_cpu() else 4)


def test_uint8_goes_to_the_device(oracle):
    seen = watch(oracle)
    oracle.scores(images(3))
    assert seen[0].dtype == np.uint8


@pytest.mark.skipif(BACKEND == "torch", reason="torch runs eagerly: nothing is compiled")
def test_few_programs_are_compiled_however_many_batch_sizes_are_asked(model):
    traces = []

    def preprocess(batch):
        traces.append(batch.shape)
        return batch

    oracle = KerasOracle(model, preprocess=preprocess)
    oracle.prepare(SHAPE, BATCH)
    traces.clear()
    for n in range(1, BATCH + 1):
        oracle.scores(images(n))
    assert 1 <= len(traces) <= len(static_sizes(BATCH))
    oracle.prepare(SHAPE, BATCH)
    traces.clear()
    oracle.scores(images(BATCH))
    assert not traces, "another run compiled the model again"


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(256, (256, 64, 16, 4, 1)), (1, (1,)), (3, (3, 1)), (100, (100, 25, 6, 1))]
)
def test_static_sizes_fall_by_quarters_to_one(batch_size, sizes):
    assert static_sizes(batch_size) == sizes


def test_the_model_is_in_inference_mode(model, oracle):
    batch = images(BATCH)
    before = values(model.variables)
    first = oracle.scores(batch)
    np.testing.assert_array_equal(oracle.scores(batch), first)
    for weight, old in zip(values(model.variables), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_prepare_may_be_left_out_and_called_again(model):
    oracle = KerasOracle(model)
    batch = images(5)
    np.testing.assert_allclose(oracle.scores(batch), expected(model, batch), rtol=1e-5, atol=1e-7)
    oracle.prepare(SHAPE, 2)
    np.testing.assert_allclose(oracle.scores(batch), expected(model, batch), rtol=1e-5, atol=1e-7)
    with pytest.raises(InvalidInputError, match=r"the images have \(8, 6, 1\)"):
        KerasOracle(model).scores(images(2, (8, 6, 1)))


def test_images_may_be_a_read_only_view(model, oracle):
    wide = images(6, (SHAPE[0], 2 * SHAPE[1], SHAPE[2]))
    view = wide[:, :, ::2]
    view.flags.writeable = False
    np.testing.assert_allclose(oracle.scores(view), expected(model, view), rtol=1e-5, atol=1e-7)
    whole = images(BATCH)
    whole.flags.writeable = False
    np.testing.assert_allclose(oracle.scores(whole), expected(model, whole), rtol=1e-5, atol=1e-7)


def test_new_weights_are_seen():
    model = build()
    oracle = KerasOracle(model)
    batch = images(4)
    oracle.prepare(SHAPE, BATCH)
    before = oracle.scores(batch)
    model.set_weights([weight * 0.5 for weight in values(model.weights)])
    after = oracle.scores(batch)
    np.testing.assert_allclose(after, expected(model, batch), rtol=1e-5, atol=1e-7)
    assert np.abs(after - before).max() > 1e-3


def test_preprocess_runs_on_the_device_where_it_can(model):
    given = []

    def preprocess(batch):
        given.append(batch)
        return 255 - batch

    oracle = KerasOracle(model, preprocess=preprocess)
    oracle.prepare(SHAPE, BATCH)
    batch = images(3)
    seen = watch(oracle)
    np.testing.assert_allclose(oracle.scores(batch), expected(model, 255 - batch), rtol=1e-5, atol=1e-7)
    assert seen[0].dtype == np.uint8
    assert not any(isinstance(tensor, np.ndarray) for tensor in given)
    assert {keras.backend.standardize_dtype(tensor.dtype) for tensor in given} == {"float32"}


def test_preprocess_runs_on_the_host_where_it_must(model):
    given = []

    def preprocess(batch):
        if not isinstance(batch, np.ndarray):
            raise TypeError("numpy only")
        given.append(batch.dtype)
        batch *= 0.5
        return batch

    oracle = KerasOracle(model, preprocess=preprocess)
    oracle.prepare(SHAPE, BATCH)
    batch = images(3)
    original = batch.copy()
    given.clear()
    np.testing.assert_allclose(oracle.scores(batch), expected(model, batch * 0.5), rtol=1e-5, atol=1e-7)
    assert given == [np.float32]
    np.testing.assert_array_equal(batch, original)


@pytest.mark.parametrize("name", ["mobilenet_v2", "vgg16", "resnet_v2"])
def test_the_preprocess_functions_of_keras_run_on_the_device(name):
    preprocess = getattr(keras.applications, name).preprocess_input
    model = build(scale=1.0)
    oracle = as_oracle(model, preprocess=preprocess)
    oracle.prepare(SHAPE, BATCH)
    seen = watch(oracle)
    batch = images(3)
    reference = expected(model, preprocess(batch.astype(np.float32)))
    np.testing.assert_allclose(oracle.scores(batch), reference, rtol=1e-4, atol=1e-6)
    assert seen[0].dtype == np.uint8


@pytest.mark.parametrize("host", [False, True])
def test_preprocess_may_change_the_shape(model, host):
    def crop(batch):
        return (np.asarray(batch) if host else batch)[:, 1:-1]

    oracle = KerasOracle(model, preprocess=crop)
    oracle.prepare((SHAPE[0] + 2, *SHAPE[1:]), BATCH)
    batch = images(3, (SHAPE[0] + 2, *SHAPE[1:]))
    np.testing.assert_allclose(oracle.scores(batch), expected(model, batch[:, 1:-1]), rtol=1e-5, atol=1e-7)


def test_the_shape_that_preprocess_gives_is_the_one_that_counts(model):
    oracle = KerasOracle(model, preprocess=lambda batch: batch[:, 1:])
    with pytest.raises(InvalidInputError, match=r"the images have \(7, 6, 3\) after preprocess"):
        oracle.prepare(SHAPE, BATCH)


def test_logits_are_declared(model):
    logits = keras.Model(model.inputs, model.layers[-2].output)
    oracle = as_oracle(logits, returns="logits", tolerance=0.1)
    assert isinstance(oracle, KerasOracle)
    assert oracle.returns is ScoreKind.LOGITS
    assert oracle.tolerance == 0.1
    gate = Gate(oracle, num_images=1, max_queries=3)
    gate.prepare(SHAPE, 3)
    scores = gate.ask(images(3), np.zeros(3, dtype=np.int64), Purpose.ATTACK)
    np.testing.assert_allclose(scores, expected(model, images(3)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_scores_come_back_as_float32(dtype):
    oracle = KerasOracle(build(keras.layers.Softmax(dtype=dtype)))
    scores = oracle.scores(images(3))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=0.02)


def test_a_model_of_one_batch_size_is_asked_in_that_size():
    keras.utils.set_random_seed(1)
    inputs = keras.Input(batch_shape=(4, *SHAPE))
    # Holds for no other batch size.
    flat = keras.ops.reshape(inputs, (4, -1))
    model = keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(flat))
    oracle = KerasOracle(model)
    oracle.prepare(SHAPE, BATCH)
    batch = images(7)
    answers = np.concatenate([expected(model, batch[:4]), expected(model, batch[3:])[1:]])
    np.testing.assert_allclose(oracle.scores(batch), answers, rtol=1e-5, atol=1e-7)


@keras.saving.register_keras_serializable("dfa-tests")
class Subclassed(keras.Model):
    """A model without symbolic inputs, with as many outputs as it is told."""

    def __init__(self, num_outputs=1):
        super().__init__(name="subclassed")
        self.num_outputs = num_outputs
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(5, activation="softmax")

    def call(self, inputs):
        scores = self.dense(self.flatten(inputs))
        return scores if self.num_outputs == 1 else [scores] * self.num_outputs


def test_a_subclassed_model_is_asked():
    model = Subclassed()
    model(images(1).astype(np.float32))
    batch = images(5)
    np.testing.assert_allclose(as_oracle(model).scores(batch), expected(model, batch), rtol=1e-5, atol=1e-7)


def test_several_outputs_of_a_subclassed_model_show_when_it_is_asked():
    model = Subclassed(num_outputs=2)
    model(images(1).astype(np.float32))
    gate = Gate(KerasOracle(model), num_images=1, max_queries=10)
    with pytest.raises(InvalidInputError, match="'subclassed' has 2 outputs"):
        gate.ask(images(1), np.array([0]), Purpose.CLEAN)


def test_a_model_that_was_never_built_is_refused():
    with pytest.raises(InvalidInputError, match="'subclassed' has not been built"):
        KerasOracle(Subclassed())
    with pytest.raises(InvalidInputError, match="'empty' has not been built"):
        KerasOracle(keras.Sequential([keras.layers.Dense(5)], name="empty"))


def test_one_input_and_one_table_of_scores_are_needed(model):
    extra = keras.Input((2,))
    features = keras.layers.Concatenate()([model.outputs[0], extra])
    with pytest.raises(InvalidInputError, match="'two' has 2 inputs"):
        KerasOracle(keras.Model([model.inputs[0], extra], features, name="two"))
    with pytest.raises(InvalidInputError, match="'both' has 2 outputs"):
        KerasOracle(keras.Model(model.inputs, [model.outputs[0], model.layers[-2].output], name="both"))
    with pytest.raises(InvalidInputError, match=r"shape \(batch, K\), but its output has shape \(None, 6, 4, 4\)"):
        KerasOracle(keras.Model(model.inputs, model.layers[1].output))


@pytest.mark.parametrize("shape", [(8, 6, 1), (6, 8, 3), (3, 8, 6)])
def test_images_of_another_shape_are_refused_before_the_run(oracle, shape):
    with pytest.raises(InvalidInputError, match=r"takes inputs of shape \(8, 6, 3\) and the images have \("):
        oracle.prepare(shape, BATCH)


def test_a_model_of_flat_inputs_is_refused_with_advice():
    flat = keras.Sequential([keras.Input((144,)), keras.layers.Dense(5)])
    with pytest.raises(InvalidInputError, match=r"inputs of shape \(144,\) and the images have \(8, 6, 3\); resize"):
        KerasOracle(flat).prepare(SHAPE, BATCH)


def test_sizes_left_open_take_images_of_any_size():
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((None, None, 3)), layers.GlobalAveragePooling2D(), layers.Dense(5, activation="softmax")]
    )
    oracle = KerasOracle(model)
    for shape in ((8, 6, 3), (5, 9, 3)):
        oracle.prepare(shape, BATCH)
        batch = images(3, shape)
        np.testing.assert_allclose(oracle.scores(batch), expected(model, batch), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("thing", [3, lambda batch: batch])
def test_a_keras_oracle_needs_a_keras_model(thing):
    with pytest.raises(InvalidInputError, match=r"needs a keras\.Model, got (int|function)"):
        KerasOracle(thing)


def test_a_missing_or_old_keras_is_named_with_what_to_install(monkeypatch, model):
    monkeypatch.setattr(keras, "__version__", "2.15.0")
    with pytest.raises(MissingDependencyError, match=r"needs Keras 3, found 2\.15\.0: pip install"):
        KerasOracle(model)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*\[tensorflow\]"):
        KerasOracle(model)


def test_an_unknown_backend_is_refused(monkeypatch, model):
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(InvalidInputError, match="Keras runs on 'openvino'"):
        KerasOracle(model)


def test_a_preprocess_that_is_wrong_is_named_by_the_gate(model):
    def broken(batch):
        raise KeyError("mean")

    gate = Gate(KerasOracle(model, preprocess=broken), num_images=1, max_queries=1)
    gate.prepare(SHAPE, 1)
    with pytest.raises(OracleError, match="KeyError: 'mean'"):
        gate.ask(images(1), np.array([0]), Purpose.CLEAN)


def test_a_record_says_which_model_ran_on_what(model):
    description = KerasOracle(model, preprocess=np.sqrt).describe()
    assert description == {
        "kind": "keras",
        "name": "small",
        "returns": "probabilities",
        "tolerance": 1e-3,
        "preprocess": "sqrt",
        "framework": "keras",
        "framework_version": keras.__version__,
        "backend": BACKEND,
        "backend_version": importlib.import_module(BACKEND).__version__,
    }
    assert all(isinstance(value, str | float) for value in description.values())


def test_lenet1_classifies_the_mnist_test_set_through_the_gate(data):
    model = keras.models.load_model(data / "models/lenet1.keras")
    with np.load(data / "mnist_test2000.npz") as file:
        digits, labels = file["images"], file["labels"]
    gate = Gate(as_oracle(model), num_images=len(digits), max_queries=0)
    gate.prepare(digits.shape[1:], 256)
    places = np.arange(len(digits))
    parts = [slice(start, start + 256) for start in range(0, len(digits), 256)]
    scores = np.concatenate([gate.ask(digits[part], places[part], Purpose.CLEAN) for part in parts])
    np.testing.assert_allclose(scores[:300], expected(model, digits[:300]), rtol=1e-3, atol=1e-6)
    assert np.mean(scores.argmax(axis=1) == labels) > 0.97


@pytest.mark.weekly
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != BACKEND])
def test_this_file_passes_on_the_other_backends(backend, request):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    data = request.config.getoption("--data", default=None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not other_backends"]
    command += [f"--data={data}"] if data else []
    finished = subprocess.run(
        [*command, str(request.path)],
        env=os.environ | {"KERAS_BACKEND": backend},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
