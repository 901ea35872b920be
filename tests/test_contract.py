"""What `dfa.testing.check_oracle` holds an oracle to: dfa's keep it, and one broken in one way breaks that clause."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import dfa
from carried_oracle import Hashed, Named
from dfa.errors import ContractError, DfaError, InvalidInputError
from dfa.oracle import CallableOracle, KerasOracle, Oracle, ScoreKind
from dfa.testing import check_oracle
from oracles import random_images
from small_problem import CLASSIFIER, SHAPE

IMAGES = random_images(6, SHAPE)


def label(images):
    return CLASSIFIER.classes(images)


def keras_model():
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inner = [layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5), layers.Softmax()]
    return keras.Sequential([keras.Input(SHAPE), *inner], name="small")


def torch_module():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(1)
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).eval()


def jax_model():
    pytest.importorskip("jax", reason="JAX is not installed")
    weights = np.random.default_rng(1).normal(size=(int(np.prod(SHAPE)), 5)).astype(np.float32)
    return dfa.JaxOracle(lambda weights, inputs: inputs.reshape(len(inputs), -1) @ weights, weights)


def onnx(folder):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from onnx_models import classifier

    return dfa.OnnxOracle(classifier(folder / "model.onnx", ["n", *SHAPE]), value_range=(0, 1))


def estimator():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.linear_model import LogisticRegression

    table = random_images(90, SHAPE, 5).reshape(90, -1) / 255
    return dfa.SklearnOracle(LogisticRegression().fit(table, np.arange(90) % 3), value_range=(0, 1))


def tflite(folder):
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    path = folder / "model.tflite"
    if not path.exists():
        path.write_bytes(tensorflow.lite.TFLiteConverter.from_keras_model(keras_model()).convert())
    return dfa.TfliteOracle(path, preprocess=lambda images: images)


# An adapter is one line here: from a folder for its files to an oracle that takes `IMAGES`, and how far answers may lie
# apart: 0 where they are equal to the bit whatever the batch.
ORACLES = {
    "function": (lambda folder: CLASSIFIER, 0),
    "logits": (lambda folder: dfa.as_oracle(lambda x: np.log(CLASSIFIER(x)), returns="logits"), 0),
    "label": (lambda folder: dfa.as_oracle(label, returns="label", num_classes=10), 0),
    "one by one": (lambda folder: dfa.OneByOne(lambda image: CLASSIFIER(image[np.newaxis])[0]), 0),
    "pipeline": (lambda folder: dfa.Pipeline([dfa.pipelines.Jpeg(50)], CLASSIFIER), 0),
    "top 3": (lambda folder: dfa.top_k(CLASSIFIER, 3, num_classes=10), 0),
    "top 1": (lambda folder: dfa.top_1(CLASSIFIER, num_classes=10), 0),
    "label only": (lambda folder: dfa.label_only(CLASSIFIER, num_classes=10), 0),
    "torch": (lambda folder: dfa.TorchOracle(torch_module()), 0),
    "jax": (lambda folder: jax_model(), 0),
    "onnx": (onnx, 0),
    "sklearn": (lambda folder: estimator(), 0),
    "keras": (lambda folder: KerasOracle(keras_model()), 1e-6),
    "tflite": (tflite, 0),
}


# TensorFlow's tensors have it from NumPy, when Keras makes arrays of them.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
@pytest.mark.parametrize("name", ORACLES)
def test_every_oracle_of_dfa_keeps_the_contract(name, tmp_path):
    make, atol = ORACLES[name]
    oracle = dfa.as_oracle(make(tmp_path))
    check_oracle(oracle, IMAGES, batch_size=4, atol=atol, twin=make(tmp_path))


class Sound(Oracle):
    """Breaks nothing; what is broken is derived from it."""

    num_classes = 10

    def scores(self, images):
        return CLASSIFIER(images)

    def fingerprint(self):
        return "1"


def broken(**methods):
    return type("Broken", (Sound,), methods)()


def rounded_by_size(self, images):
    return CLASSIFIER(images).round(4 + len(images))


class Counting:
    """A method that answers `values` one after another, the last for ever."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self, *args):
        return self.values[0] if len(self.values) == 1 else self.values.pop(0)


def in_one_memory():
    memory = np.empty((9, 10))

    def scores(self, images):
        memory[: len(images)] = CLASSIFIER(images)
        return memory[: len(images)]

    return scores


def darkening(self, images):
    answers = CLASSIFIER(images)
    if images.flags.writeable:
        images[:, 0] = 0
    return answers


def after_others():
    seen = set()

    def scores(self, images):
        others = IMAGES.max() - IMAGES + IMAGES.min()
        seen.update(image.tobytes() for image in images)
        return CLASSIFIER(images // 2 if others[0].tobytes() in seen else images)

    return scores


def rowwise(function):
    """An answer whose number of rows is right and whose rows are not."""
    return lambda self, images: function(CLASSIFIER(images))


def prepared(self, shape, batch_size):
    if shape != SHAPE:
        raise ZeroDivisionError("no such shape")


def size_in_answers():
    def prepare(self, shape, batch_size):
        self.size = batch_size

    def scores(self, images):
        return CLASSIFIER(images).round(self.size)

    return {"prepare": prepare, "scores": scores}


def stuck_on_shape():
    def prepare(self, shape, batch_size):
        self.stuck = getattr(self, "stuck", False) or shape != SHAPE

    def scores(self, images):
        return CLASSIFIER(images // 2 if self.stuck else images)

    return {"prepare": prepare, "scores": scores}


def on_second_prepare():
    def prepare(self, shape, batch_size):
        self.times = getattr(self, "times", 0) + 1

    def scores(self, images):
        return CLASSIFIER(images // min(self.times, 2))

    return {"prepare": prepare, "scores": scores}


def by_both_ends():
    kept = {}

    def scores(self, images):
        key = (images.shape, images[0].tobytes(), images[-1].tobytes())
        return kept.setdefault(key, CLASSIFIER(images)).copy()

    return scores


def bound_to_a_thread():
    bound = []

    def scores(self, images):
        bound.append(threading.get_ident())
        if bound[0] != bound[-1]:
            raise RuntimeError("another thread")
        return CLASSIFIER(images)

    return scores


def describing(**more):
    return lambda self: Oracle.describe(self) | more


BROKEN = {
    "no kind of answer": (lambda: broken(returns="probabilities"), {"declaration"}, "ScoreKind"),
    "labels of no K": (lambda: broken(returns=ScoreKind.LABEL, num_classes=None), {"declaration"}, "num_classes"),
    "no tolerance": (lambda: broken(tolerance=-1), {"declaration"}, "tolerance"),
    "no name": (lambda: broken(name=""), {"declaration"}, "name must be"),
    "another K": (lambda: broken(num_classes=9), {"answers"}, "9 were declared"),
    "a column too few": (lambda: broken(scores=lambda self, x: CLASSIFIER(x)[:, 1:]), {"answers"}, "9 columns"),
    "a row too few": (lambda: broken(scores=lambda self, x: CLASSIFIER(x)[1:]), {"answers"}, "one row per image"),
    "texts": (lambda: broken(scores=lambda self, x: CLASSIFIER(x).astype(str)), {"answers"}, "real numbers"),
    "no sum of 1": (lambda: broken(scores=lambda self, x: CLASSIFIER(x) / 2), {"answers"}, "sum to 1"),
    "an error": (lambda: broken(scores=Counting()), {"answers"}, "IndexError"),
    "no preparation": (lambda: broken(prepare=lambda self, shape: None), {"answers"}, "TypeError"),
    "another name when asked": (
        lambda: broken(scores=lambda self, x: (setattr(self, "name", "other"), CLASSIFIER(x))[1]),
        {"answers"},
        "name was 'oracle' and is 'other'",
    ),
    "sorted": (
        lambda: broken(scores=rowwise(lambda rows: rows[rows[:, 0].argsort()])),
        {"order", "batch"},
        "images backwards must be those",
    ),
    "by the first image": (
        lambda: broken(scores=lambda self, x: CLASSIFIER(x // (1 + x[0, 0, 0, 0] % 7))),
        {"order", "batch"},
        "images alone must be those",
    ),
    "by place in a batch of four": (
        lambda: broken(
            scores=rowwise(
                lambda rows: rows if len(rows) < 4 else np.stack([row.round(4 + at) for at, row in enumerate(rows)])
            )
        ),
        {"order", "batch"},
        "images backwards must be those",
    ),
    "by the ends of a batch": (
        lambda: broken(scores=rowwise(lambda rows: rows if len(rows) < 4 else rows + ENDS)),
        {"order", "batch"},
        "images in another order must be those",
    ),
    "other bits of another size": (
        lambda: broken(scores=rounded_by_size),
        {"batch"},
        "lie up to [0-9.e-]+06 apart",
    ),
    "reversed among three": (
        lambda: broken(scores=rowwise(lambda rows: rows[::-1] if len(rows) == 3 else rows)),
        {"batch"},
        "images 3 at a time",
    ),
    "a cache by both ends": (lambda: broken(scores=by_both_ends()), {"order"}, "between the same ends"),
    "names of other classes": (lambda: broken(class_names=("cat", "dog")), {"answers"}, "10 of them.*'cat', 'dog'"),
    "numbers for names": (lambda: broken(class_names=tuple(range(10))), {"answers"}, "one text per class"),
    "bound to its thread": (lambda: broken(scores=bound_to_a_thread()), {"thread"}, "RuntimeError: another thread"),
    "another answer in another thread": (
        lambda: broken(scores=lambda self, x: CLASSIFIER(x // (1 + (threading.current_thread() is not MAIN)))),
        {"thread"},
        "answers in another thread must be those",
    ),
    "another fingerprint elsewhere": (lambda: Hashed(), {"fingerprint"}, "in another process it is"),
    "two alone": (
        lambda: broken(scores=rowwise(lambda rows: rows.round(5) if len(rows) == 2 else rows)),
        {"batch"},
        "two at a time",
    ),
    "writes": (lambda: broken(scores=darkening), {"input"}, "left as it is"),
    "must write": (
        lambda: broken(scores=lambda self, x: (x.__setitem__((0, 0), x[0, 0]), CLASSIFIER(x))[1]),
        {"input"},
        "read-only",
    ),
    "another answer where it may not write": (
        lambda: broken(scores=lambda self, x: CLASSIFIER(x if x.flags.writeable else x // 2)),
        {"input"},
        "a batch that may not be written to must be those",
    ),
    "remembers others": (lambda: broken(scores=after_others()), {"state", "prepare"}, "after other ones"),
    "one memory": (lambda: broken(scores=in_one_memory()), {"memory"}, "changed when the next"),
    "the batch's memory": (
        lambda: dfa.as_oracle(lambda x: x[:, 0, 0, 0], returns="label", num_classes=256),
        {"memory"},
        "lies in the batch's",
    ),
    "depends on the size prepared": (lambda: broken(**size_in_answers()), {"prepare"}, "another batch size"),
    "prepared twice": (lambda: broken(**on_second_prepare()), {"prepare"}, "called again"),
    "raises anything at a shape": (lambda: broken(prepare=prepared), {"prepare"}, "ZeroDivisionError: no such"),
    "stuck on a shape": (lambda: broken(**stuck_on_shape()), {"prepare"}, "another shape"),
    "another fingerprint": (
        lambda: broken(fingerprint=Counting("1", "2")),
        {"fingerprint"},
        "asked again it is '2'",
    ),
    "fingerprint of a copy": (lambda: broken(fingerprint=lambda self: str(id(self))), {"fingerprint"}, "of a copy"),
    "number for a fingerprint": (lambda: broken(fingerprint=lambda self: 7), {"fingerprint"}, "got 7"),
    "an array in describe": (lambda: broken(describe=describing(a=np.ones(2))), {"describe"}, "not JSON serial"),
    "a tuple in describe": (lambda: broken(describe=describing(a=(1, 2))), {"describe"}, "gives back as it is"),
    "NaN in describe": (lambda: broken(describe=describing(a=float("nan"))), {"describe"}, "Out of range"),
    "little in describe": (lambda: broken(describe=lambda self: {"kind": "x"}), {"describe"}, "super"),
    "another describe": (
        lambda: broken(describe=lambda self: Oracle.describe(self) | {"at": next(TICKS)}),
        {"describe"},
        "must stay the same",
    ),
}
MAIN = threading.main_thread()
TICKS = iter(range(1000))
ENDS = np.outer([1, 0, 0, 1], [1e-6, -1e-6] + [0] * 8)


@pytest.mark.parametrize("name", BROKEN)
def test_an_oracle_that_is_broken_in_one_way_breaks_its_clause(name):
    make, clauses, words = BROKEN[name]
    with pytest.raises(ContractError, match=words) as caught:
        check_oracle(make(), IMAGES, batch_size=4)
    assert set(caught.value.broken) == clauses


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (lambda self, x: CLASSIFIER((x * (255 / max(1, x.max()))).astype(np.uint8)), "paler .* of the largest value"),
        (lambda self, x: CLASSIFIER(x // (1 + (x.min() == 0))), "paler images beside one of the least value"),
        (lambda self, x: CLASSIFIER(x // (1 + (x == 255).all(axis=(1, 2, 3)).any())), "to images beside one of the la"),
    ],
)
def test_what_the_whole_batch_decides_is_found_where_every_image_reaches_the_ends(scores, words):
    images = IMAGES.copy()
    images[:, 0, 0, 0], images[:, -1, -1, -1] = 0, 255
    with pytest.raises(ContractError, match=words) as caught:
        check_oracle(broken(scores=scores), images)
    assert set(caught.value.broken) == {"batch"}


def test_what_goes_by_one_name_in_every_process_keeps_the_contract():
    check_oracle(Named(), IMAGES)


def test_the_oracle_that_the_broken_ones_are_derived_from_is_sound():
    check_oracle(Sound(), IMAGES, batch_size=4)


def test_the_error_is_one_of_dfa_and_fails_a_test_and_lists_every_clause():
    oracle = broken(scores=darkening, fingerprint=lambda self: 7)
    with pytest.raises(AssertionError) as caught:
        check_oracle(oracle, IMAGES)
    assert isinstance(caught.value, DfaError)
    lines = str(caught.value).splitlines()
    assert lines[0] == "the oracle 'oracle' breaks what is promised of oracles:"
    assert [line.partition(":")[0] for line in lines[1:]] == ["  input", "  fingerprint"]


def test_how_far_answers_may_lie_apart_is_said_by_the_caller():
    """Probabilities rounded to four decimals and more lie at most 5e-5 apart."""
    oracle = broken(scores=rounded_by_size)
    check_oracle(oracle, IMAGES, batch_size=4, atol=1e-4)
    with pytest.raises(ContractError, match="at most 1e-09 apart") as caught:
        check_oracle(oracle, IMAGES, batch_size=4, atol=1e-9)
    assert set(caught.value.broken) == {"batch"}


def test_numbers_that_differ_where_no_probability_does_are_told_of():
    def scores(self, images):
        return np.where(CLASSIFIER(images) > 0.2, 0.0, -1e6) - len(images)

    with pytest.raises(ContractError, match="the numbers returned differ, though no probability does"):
        check_oracle(broken(returns=ScoreKind.LOGITS, scores=scores), IMAGES)


def test_another_oracle_of_the_same_model_is_described_and_named_alike():
    with pytest.raises(ContractError) as caught:
        check_oracle(Sound(), IMAGES, twin=broken(fingerprint=lambda self: "2", name="other"))
    assert set(caught.value.broken) == {"fingerprint", "describe"}


@pytest.mark.parametrize(
    ("images", "settings", "words"),
    [
        (IMAGES[:1], {}, "at least 2"),
        (IMAGES[[0, 1, 1]], {}, "some are alike"),
        (IMAGES.astype(np.float32), {}, "array of uint8.*float32"),
        ([1, 2], {}, "got list"),
        (IMAGES, {"batch_size": 1}, "batch_size must be an integer of at least 2"),
        (IMAGES, {"atol": 2}, "atol"),
    ],
)
def test_what_cannot_be_looked_at_is_the_callers_error(images, settings, words):
    with pytest.raises(InvalidInputError, match=words):
        check_oracle(CLASSIFIER, images, **settings)


def test_images_that_are_not_told_apart_show_nothing():
    with pytest.raises(InvalidInputError, match="answers all 6 alike"):
        check_oracle(CallableOracle(lambda images: np.full((len(images), 2), 0.5)), IMAGES)
