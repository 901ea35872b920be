"""TensorFlow Lite models as oracles: small ones converted here, and the real 8-bit ones where the data is."""

from __future__ import annotations

import hashlib
import importlib
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import dfa
from dfa.oracle import TfliteOracle, as_oracle
from oracles import random_images

SHAPE = (6, 5, 3)
IMAGES = random_images(20, SHAPE)
NUM_CLASSES = 7


@pytest.fixture(scope="session")
def convert(tmp_path_factory):
    """Return what turns a function of a float32 batch into a .tflite file, 8-bit at both ends or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tf = pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("tflite")

    def make(name, function, kind=None, *, shape=(1, *SHAPE)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signature = tf.TensorSpec(shape, tf.float32)
            module = tf.Module()
            concrete = tf.function(lambda batch: function(tf, batch)).get_concrete_function(signature)
            converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
            if kind is not None:
                samples = random_images(40, tuple(shape[1:]), 3).astype(np.float32) / 255
                # So that a step of the input is a grey level.
                samples[0, 0, 0, 0], samples[1, 0, 0, 0] = 0, 1
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: ([each[None]] for each in samples)
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = converter.inference_output_type = getattr(tf, kind)
            path = folder / f"{name}.tflite"
            path.write_bytes(converter.convert())
            return path

    return make


def classify(tf, batch):
    weights = np.random.default_rng(5).normal(size=(int(np.prod(SHAPE)), NUM_CLASSES)).astype(np.float32)
    return tf.nn.softmax(tf.reshape(batch - 0.5, (1, -1)) @ weights)


@pytest.fixture(scope="session")
def uint8_model(convert):
    return convert("uint8", classify, "uint8")


@pytest.fixture(scope="session")
def int8_model(convert):
    return convert("int8", classify, "int8")


@pytest.fixture(scope="session")
def float_model(convert):
    return convert("float", classify)


def steps_of(path, images):
    """Return the raw outputs of a model, asked by its interpreter directly."""
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    answers = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return np.array(answers)


def test_a_uint8_model_is_given_the_image_itself_and_its_steps_become_real_numbers(uint8_model):
    oracle = TfliteOracle(uint8_model)
    raw = steps_of(uint8_model, IMAGES)
    assert raw.dtype == np.uint8
    scores = oracle.scores(IMAGES)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, raw / 256)
    assert len(set(scores.argmax(axis=1).tolist())) > 2


def test_an_int8_model_is_given_the_image_less_128(int8_model, uint8_model):
    raw = steps_of(int8_model, (IMAGES.astype(np.int16) - 128).astype(np.int8))
    assert raw.dtype == np.int8
    scores = TfliteOracle(int8_model).scores(IMAGES)
    np.testing.assert_array_equal(scores, (raw.astype(int) + 128) / 256)
    # The same weights: only the ends of the two differ.
    np.testing.assert_array_equal(scores, TfliteOracle(uint8_model).scores(IMAGES))


def test_a_float_model_is_given_what_preprocess_makes_of_the_images(float_model, uint8_model):
    scores = TfliteOracle(float_model, preprocess=lambda images: images / 255).scores(IMAGES)
    np.testing.assert_allclose(scores, steps_of(float_model, IMAGES.astype(np.float32) / 255), rtol=1e-6)
    # And both are the same classifier.
    np.testing.assert_allclose(scores, TfliteOracle(uint8_model).scores(IMAGES), atol=0.1)
    assert dfa.as_oracle(float_model, preprocess=lambda images: images / 255).tolerance == 1e-3


def test_neither_threads_nor_batches_matter(uint8_model):
    expected = TfliteOracle(uint8_model, threads=1).scores(IMAGES)
    for threads in (2, 3, 50, None):
        oracle = TfliteOracle(uint8_model, threads=threads)
        for size in (1, 7, 20):
            parts = [oracle.scores(IMAGES[start : start + size]) for start in range(0, len(IMAGES), size)]
            np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_a_run_is_alike_for_any_threads_and_batches(uint8_model):
    def attack(threads, batch_size):
        oracle = TfliteOracle(uint8_model, threads=threads)
        return dfa.run(oracle, IMAGES, epsilon=6, max_queries=100, batch_size=batch_size, progress=False)

    expected = attack(1, 256)
    assert expected.success.sum() > 0
    for threads, batch_size in ((2, 5), (4, 64)):
        records = attack(threads, batch_size).records
        assert [replace(each, seconds=0.0) for each in records] == [
            replace(each, seconds=0.0) for each in expected.records
        ]


def test_with_an_offset_the_first_outputs_come_last(uint8_model):
    plain = TfliteOracle(uint8_model).scores(IMAGES)
    moved = TfliteOracle(uint8_model, class_offset=2).scores(IMAGES)
    np.testing.assert_array_equal(moved, plain[:, [2, 3, 4, 5, 6, 0, 1]])


def test_rows_that_do_not_sum_to_one_are_allowed_for_by_half_a_step_for_each_class(uint8_model):
    oracle = TfliteOracle(uint8_model)
    assert oracle.tolerance == NUM_CLASSES / 2 / 256
    assert (oracle.scores(IMAGES).sum(axis=1) != 1).any()
    assert TfliteOracle(uint8_model, tolerance=0.25).tolerance == 0.25
    with pytest.raises(dfa.OracleError, match="sum to 1 within 0"):
        dfa.run(TfliteOracle(uint8_model, tolerance=0), IMAGES, progress=False)


def test_zeros_and_ties_are_attacked_like_any_answer(convert):
    # So sure of itself that the second class reads 0, and answers are plateaus.
    def sure(tf, batch):
        return tf.nn.softmax(40 * tf.reduce_mean(batch - 0.42, axis=(1, 2)))

    path = convert("sure", sure, "uint8")
    images = np.full((3, *SHAPE), 100, dtype=np.uint8)
    images[:, :, :, 0] = [[[150]], [[165]], [[180]]]
    raw = steps_of(path, images)
    assert (np.sort(raw, axis=1)[:, :2] == 0).all()
    result = dfa.run(path, images, epsilon=120, max_queries=2_000, progress=False)
    assert result.success.all()
    assert result.profile.verification == 3


def test_logits_may_be_declared(convert):
    def logits(tf, batch):
        return 30 * tf.reduce_mean(batch - 0.5, axis=(1, 2))

    path = convert("logits", logits, "int8")
    oracle = as_oracle(path, returns="logits")
    assert oracle.scores(IMAGES).min() < 0
    assert dfa.run(oracle, IMAGES[:4], epsilon=60, max_queries=200, progress=False).success.any()
    with pytest.raises(dfa.OracleError, match="looks like logits"):
        dfa.run(path, IMAGES[:4], progress=False)


def test_what_records_keep_of_a_model(uint8_model, int8_model):
    oracle = as_oracle(str(uint8_model))
    assert isinstance(oracle, TfliteOracle)
    described = oracle.describe()
    assert described.pop("framework_version")
    assert described["input"].pop("scale") == pytest.approx(1 / 255)
    assert described == {
        "kind": "tflite",
        "name": "uint8.tflite",
        "returns": "probabilities",
        "tolerance": NUM_CLASSES / 2 / 256,
        "preprocess": None,
        "class_offset": 0,
        "input": {"dtype": "uint8", "zero_point": 0},
        "output": {"dtype": "uint8", "scale": 1 / 256, "zero_point": 0},
        "framework": "litert",
    }
    assert oracle.fingerprint() == hashlib.sha256(uint8_model.read_bytes()).hexdigest()
    assert oracle.fingerprint() != TfliteOracle(int8_model).fingerprint()


def test_images_of_another_shape_are_refused_before_the_first_query(uint8_model):
    with pytest.raises(dfa.InvalidInputError, match=r"takes images of shape \(6, 5, 3\), and these have \(5, 6, 3\)"):
        dfa.run(uint8_model, random_images(2, (5, 6, 3)), progress=False)


def test_a_preprocess_that_makes_another_shape_is_named(float_model):
    oracle = TfliteOracle(float_model, preprocess=lambda images: images[:, ::2])
    with pytest.raises(dfa.InvalidInputError, match=r"takes inputs of shape \(6, 5, 3\), and was given \(3, 5, 3\)"):
        dfa.run(oracle, IMAGES, progress=False)


def test_models_that_are_no_classifiers_of_images_are_refused(convert, float_model, uint8_model, tmp_path):
    with pytest.raises(dfa.InvalidInputError, match="takes float32, so it needs preprocess="):
        as_oracle(float_model)
    with pytest.raises(dfa.InvalidInputError, match="takes uint8, the images' own grey levels"):
        as_oracle(uint8_model, preprocess=lambda images: images)
    several = convert("several", lambda tf, batch: (classify(tf, batch), batch + 1))
    with pytest.raises(dfa.InvalidInputError, match=r"needs a model with one output, and 'several\.tflite' has 2"):
        as_oracle(several, preprocess=lambda images: images)
    flat = convert("flat", lambda tf, batch: batch + 1)
    with pytest.raises(dfa.InvalidInputError, match=r"one row of scores per image.*gives \(1, 6, 5, 3\)"):
        as_oracle(flat, preprocess=lambda images: images)
    many = convert("many", lambda tf, batch: tf.reduce_mean(batch, axis=(1, 2)), shape=(4, *SHAPE))
    with pytest.raises(dfa.InvalidInputError, match=r"one image at a time.*takes \(4, 6, 5, 3\)"):
        as_oracle(many, preprocess=lambda images: images)
    with pytest.raises(dfa.InvalidInputError, match=r"cannot read .*none\.tflite.: No such file"):
        as_oracle(tmp_path / "none.tflite")
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(dfa.InvalidInputError, match="cannot be read as one"):
        as_oracle(tmp_path / "text.tflite")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_offset": 7}, r"class_offset must be an integer in 0\.\.6"),
        ({"class_offset": -1}, "class_offset must be"),
        ({"threads": 0}, "threads must be None or an integer of at least 1"),
        ({"tolerance": -1}, "tolerance must be"),
        ({"returns": "labels?"}, "returns must be"),
    ],
)
def test_wrong_arguments_are_refused(uint8_model, arguments, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        TfliteOracle(uint8_model, **arguments)


def test_other_files_are_refused_as_they_are():
    with pytest.raises(dfa.InvalidInputError, match=r"\.tflite file, or a function .*got 'model\.lite'"):
        as_oracle("model.lite")


def test_without_an_interpreter_it_says_what_to_install(uint8_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(dfa.MissingDependencyError, match=r"pip install .*\[tflite\]"):
        TfliteOracle(uint8_model)


# ------------------------------------------------------------------------------------------------- real models


@pytest.fixture(scope="module")
def real(data):
    path = data / "models" / "mobilenet_v1_160_int8.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with np.load(data / "imagenet100_160.npz") as arrays:
        return path, arrays["images"], arrays["labels"]


def test_a_real_8_bit_model_knows_its_classes_and_falls(real):
    path, images, labels = real
    oracle = TfliteOracle(path, class_offset=1)
    scores = oracle.scores(images[:20])
    np.testing.assert_array_equal(scores.argmax(axis=1), labels[:20])
    np.testing.assert_array_equal(np.roll(scores, 1, axis=1), steps_of(path, images[:20]) / 256)
    result = dfa.run(oracle, images[:10], labels[:10], epsilon=10, max_queries=2_000, batch_size=32, progress=False)
    assert result.success.all()


def test_a_real_8_bit_model_from_the_command_line(real, tmp_path, capsys):
    pytest.importorskip("click")
    from dfa.cli.main import main

    path, images, labels = real
    np.savez(tmp_path / "set.npz", images=images[:6], labels=labels[:6])
    words = [
        str(path),
        str(tmp_path / "set.npz"),
        "--labels",
        str(tmp_path / "set.npz"),
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(["attack", *words, "--batch-size", "16", "--max-queries", "500", "--class-offset", "1"]) == 0
    assert "6, 6 attacked" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "run"), "--trust"]) == 0
    assert main(["resume", str(tmp_path / "run"), "--trust"]) == 0
    assert main(["attack", *words, "--overwrite", "--batch-size", "16"]) == 5
    out, err = capsys.readouterr()
    assert "6, 0 attacked" in out
    assert "most answers are the label plus 1" in err
    assert "--class-offset" in err
