"""as_oracle, and the oracle of any callable."""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np
import pytest

from dfa.errors import InvalidInputError
from dfa.oracle import CallableOracle, Oracle, ScoreKind, as_oracle

IMAGES = np.arange(3 * 2 * 2 * 1, dtype=np.uint8).reshape(3, 2, 2, 1)


def half(images):
    return np.full((len(images), 2), 0.5)


class Recorder:
    """Answers anything, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, images):
        self.asked.append(images)
        return half(images)


def test_a_function_becomes_a_callable_oracle():
    oracle = as_oracle(half, returns="logits", tolerance=0.5)
    assert isinstance(oracle, CallableOracle)
    assert oracle.returns is ScoreKind.LOGITS
    assert oracle.tolerance == 0.5
    np.testing.assert_array_equal(oracle.scores(IMAGES), half(IMAGES))


def test_a_callable_oracle_returns_probabilities_unless_told_otherwise():
    oracle = as_oracle(half)
    assert oracle.returns is ScoreKind.PROBABILITIES
    assert oracle.tolerance == 1e-3


def test_the_function_gets_exactly_the_rows_as_contiguous_uint8():
    recorder = Recorder()
    wide = np.arange(3 * 2 * 4 * 1, dtype=np.uint8).reshape(3, 2, 4, 1)
    CallableOracle(recorder).scores(wide[:, :, ::2])
    (asked,) = recorder.asked
    np.testing.assert_array_equal(asked, wide[:, :, ::2])
    assert asked.dtype == np.uint8
    assert asked.flags.c_contiguous


def test_the_function_cannot_change_the_batch():
    def darken(images):
        images[:] = 0
        return half(images)

    images = IMAGES.copy()
    with pytest.raises(ValueError, match="read-only"):
        CallableOracle(darken).scores(images)
    np.testing.assert_array_equal(images, IMAGES)
    assert images.flags.writeable


def test_preprocess_gets_a_float32_copy_that_it_may_change():
    seen = []

    def preprocess(batch):
        seen.append(batch.dtype)
        batch /= 127.5
        batch -= 1
        return batch

    recorder = Recorder()
    images = IMAGES.copy()
    oracle = as_oracle(recorder, preprocess=preprocess)
    oracle.scores(images)
    assert seen == [np.float32]
    np.testing.assert_allclose(recorder.asked[0], IMAGES / 127.5 - 1, rtol=1e-6)
    np.testing.assert_array_equal(images, IMAGES)


def test_torch_tensors_come_back_to_the_host_without_their_graph():
    class Tensor:
        """What matters of a torch tensor on an accelerator, with a gradient."""

        def __init__(self, done=()):
            self.done = done

        def detach(self):
            return Tensor((*self.done, "detach"))

        def cpu(self):
            return Tensor((*self.done, "cpu"))

        def __array__(self, dtype=None, copy=None):
            assert set(self.done) == {"detach", "cpu"}
            return half(IMAGES)

    answer = CallableOracle(lambda images: Tensor()).scores(IMAGES)
    np.testing.assert_array_equal(np.asarray(answer), half(IMAGES))


def test_a_torch_tensor_with_a_gradient_can_be_read():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    weights = torch.ones(2, requires_grad=True)
    answer = CallableOracle(lambda images: torch.full((len(images), 2), 0.5) * weights).scores(IMAGES)
    np.testing.assert_array_equal(np.asarray(answer), half(IMAGES))


def test_an_oracle_passes_through():
    oracle = CallableOracle(half, returns="logits")
    assert as_oracle(oracle) is oracle


@pytest.mark.parametrize("arguments", [{"returns": "logits"}, {"preprocess": lambda batch: batch}, {"tolerance": 0.1}])
def test_an_oracle_refuses_arguments_that_it_would_ignore(arguments):
    with pytest.raises(InvalidInputError, match="on the CallableOracle itself"):
        as_oracle(CallableOracle(half), **arguments)


@pytest.mark.parametrize(
    ("model", "message"),
    [(3, "got int"), (None, "got NoneType"), (IMAGES, "got ndarray"), (Recorder, "the class Recorder")],
)
def test_what_cannot_be_asked_is_refused(model, message):
    with pytest.raises(InvalidInputError, match=message):
        as_oracle(model)


def test_a_pipeline_of_transformers_is_told_of_the_way_in():
    pipeline = type("Pipeline", (), {"__module__": "transformers.pipelines.base", "__call__": half})
    with pytest.raises(InvalidInputError, match=r"dfa.from_transformers\(pipeline.model, pipeline.image_processor\)"):
        as_oracle(type("ImageClassificationPipeline", (pipeline,), {})())


@pytest.mark.parametrize("returns", ["probs", "Logits", 1])
def test_returns_must_name_a_kind_of_score(returns):
    with pytest.raises(InvalidInputError, match="returns must be one of 'probabilities', 'logits'"):
        as_oracle(half, returns=returns)


@pytest.mark.parametrize("tolerance", [-1e-9, float("nan"), float("inf"), "1e-3"])
def test_tolerance_must_be_a_distance(tolerance):
    with pytest.raises(InvalidInputError, match="tolerance must be a finite number"):
        as_oracle(half, tolerance=tolerance)


def test_preprocess_must_be_a_function():
    with pytest.raises(InvalidInputError, match="preprocess must be a function"):
        as_oracle(half, preprocess="mobilenet")


def test_a_callable_oracle_needs_a_callable():
    with pytest.raises(InvalidInputError, match="needs a function of a batch, got int"):
        CallableOracle(3)


def test_a_record_says_what_was_asked():
    assert as_oracle(half, preprocess=np.sqrt).describe() == {
        "kind": "callable",
        "name": "half",
        "returns": "probabilities",
        "tolerance": 1e-3,
        "preprocess": "sqrt",
    }
    assert as_oracle(Recorder()).describe()["name"] == "Recorder"
    assert CallableOracle(half, name="the model").describe()["name"] == "the model"


def test_a_user_oracle_needs_only_scores():
    class Mine(Oracle):
        def scores(self, images):
            return half(images)

    oracle = Mine()
    oracle.prepare((2, 2, 1), 8)
    assert as_oracle(oracle) is oracle
    assert oracle.describe() == {
        "kind": "custom",
        "name": "oracle",
        "returns": "probabilities",
        "tolerance": 1e-3,
    }


def test_an_oracle_of_other_numbers_is_another_one_unless_it_says_what_it_takes():
    class Floats(Oracle):
        takes = np.float32

        def scores(self, images):
            return half(images)

    of_images, of_floats = as_oracle(half), Floats()
    assert of_images.taking(np.uint8) is of_images
    assert of_images.taking(np.number).takes is np.number
    assert of_images.takes is np.uint8
    assert of_floats.taking(np.number) is of_floats
    assert of_floats.takes is np.float32


def test_no_framework_is_imported_to_recognise_a_model():
    program = (
        "import sys\n"
        "from dfa.oracle import as_oracle\n"
        "as_oracle(lambda images: images)\n"
        "loaded = {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)\n"
        "sys.exit(f'imported {loaded}' if loaded else 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_function_that_has_arguments_already_is_called_by_both():
    assert as_oracle(functools.partial(half, half)).name == "half(<function half>)"
    assert as_oracle(functools.partial(functools.partial(half, 1), seed=2)).name == "half(1, seed=2)"
    assert as_oracle(functools.partial(half, "a" * 99)).name == f"half('{'a' * 59}...)"
