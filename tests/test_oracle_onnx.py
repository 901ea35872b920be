"""ONNX models as oracles: small ones made here, and real ones where the data is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys

import numpy as np
import pytest

import dfa
from dfa.oracle.adapters.onnx import OnnxOracle, is_onnx
from oracles import random_images
from outcomes import outcomes

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import helper  # noqa: E402

from onnx_models import classifier, echo, save, tells_rows  # noqa: E402

SHAPE = (6, 5, 3)
NHWC, NCHW = ["n", 6, 5, 3], ["n", 3, 6, 5]
IMAGES = random_images(9, SHAPE)
FLOATS = IMAGES.astype(np.float32)
GREY = {"value_range": (0, 255)}
UNIT = {"value_range": (0, 1)}
ALONE = dataclasses.replace(dfa.Racos(), archive=False)


def given(path, images=IMAGES, **settings):
    """Return what an echoing model was given, one flat row per image."""
    return OnnxOracle(path, returns="logits", **settings).scores(images)


def flat(values):
    return np.asarray(values, dtype=np.float32).reshape(len(values), -1)


MEAN, STD = np.float32([0.5, 0.25, 0.1]), np.float32([0.2, 0.3, 0.7])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(GREY, FLOATS, id="grey-levels"),
        pytest.param(UNIT, FLOATS / 255, id="unit"),
        pytest.param({"value_range": (-1, 1)}, FLOATS / np.float32(127.5) - 1, id="signed"),
        pytest.param({"mean": 0, "std": 1}, FLOATS / 255, id="plain-statistics"),
        pytest.param({"mean": 0.5, "std": 0.25}, (FLOATS / 255 - np.float32(0.5)) / np.float32(0.25), id="numbers"),
        pytest.param({"mean": MEAN.tolist(), "std": STD.tolist()}, (FLOATS / 255 - MEAN) / STD, id="per-channel"),
    ],
)
def test_a_model_of_floats_is_given_what_was_declared_in_its_own_layout(tmp_path, settings, expected):
    np.testing.assert_array_equal(given(echo(tmp_path / "a.onnx", NHWC), **settings), flat(expected))
    moved = expected.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(given(echo(tmp_path / "b.onnx", NCHW), **settings), flat(moved))


def test_a_model_of_uint8_is_given_the_image_itself(tmp_path):
    path = echo(tmp_path / "a.onnx", NCHW, "uint8")
    np.testing.assert_array_equal(given(path), flat(IMAGES.transpose(0, 3, 1, 2)))
    for settings in (UNIT, {"mean": 0, "std": 1}, {"preprocess": lambda images: images}):
        with pytest.raises(dfa.InvalidInputError, match="takes uint8, the images' own grey levels, so there is nothin"):
            OnnxOracle(path, **settings)


def test_other_precisions_are_rounded_once_after_scaling(tmp_path):
    settings = {"value_range": (-1, 1)}
    half = given(echo(tmp_path / "half.onnx", NHWC, "float16"), **settings)
    np.testing.assert_array_equal(half, flat((FLOATS / np.float32(127.5) - 1).astype(np.float16)))
    double = given(echo(tmp_path / "double.onnx", NHWC, "float64"), **settings)
    np.testing.assert_array_equal(double, flat(IMAGES / 127.5 - 1))


def test_what_numbers_a_model_of_floats_takes_is_asked_for_before_the_first_query(tmp_path):
    path = echo(tmp_path / "a.onnx", NHWC)
    with pytest.raises(dfa.InvalidInputError, match=r"takes tensor\(float\) and does not tell.*value_range=\(0, 255\)"):
        dfa.run(OnnxOracle(path, returns="logits"), IMAGES, progress=False)


def test_preprocess_makes_exactly_what_the_model_takes_of_a_copy(tmp_path):
    def halves(images):
        assert images.dtype == np.float32
        assert images.shape[1:] == SHAPE
        images /= 2
        return images.transpose(0, 3, 1, 2)

    images = IMAGES.copy()
    path = echo(tmp_path / "a.onnx", NCHW)
    np.testing.assert_array_equal(given(path, images, preprocess=halves), flat(FLOATS.transpose(0, 3, 1, 2) / 2))
    np.testing.assert_array_equal(images, IMAGES)
    table = echo(tmp_path / "table.onnx", ["n", 90])
    np.testing.assert_array_equal(given(table, preprocess=lambda images: flat(images)), flat(IMAGES))
    with pytest.raises(dfa.InvalidInputError, match=r"shape \(any, 3, 6, 5\), and preprocess made \(64, 6, 5, 3\)"):
        given(path, preprocess=lambda images: images)
    with pytest.raises(
        dfa.InvalidInputError, match=r"takes 'x', tensor\(float\) of shape \(any, 90\), no images; pass pre"
    ):
        given(table, **GREY)
    for settings in (GREY, {"layout": "NCHW"}):
        with pytest.raises(dfa.InvalidInputError, match="preprocess makes exactly what the model takes"):
            OnnxOracle(path, preprocess=halves, **settings)


@pytest.mark.parametrize("sides", [["n", None, "h", "w"], ["n", 3, 6, 3], None])
def test_a_layout_that_the_file_does_not_tell_is_asked_for(tmp_path, sides):
    path = echo(tmp_path / "a.onnx", sides)
    images = random_images(3, (6, 3, 3))
    with pytest.raises(dfa.InvalidInputError, match="does not tell where an image's channels are; pass layout='NCHW'"):
        OnnxOracle(path, **GREY).prepare((6, 3, 3), 4)
    moved = flat(images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(given(path, images, layout="NCHW", **GREY), moved)
    with pytest.raises(dfa.InvalidInputError, match="layout, of what the model takes, must be 'NCHW' or 'NHWC'"):
        OnnxOracle(path, layout="HWC")


def test_images_that_do_not_fit_are_refused_before_the_first_query(tmp_path):
    for sides in (NHWC, NCHW):
        oracle = OnnxOracle(echo(tmp_path / "a.onnx", sides), **GREY)
        with pytest.raises(
            dfa.InvalidInputError, match=r"takes images of shape \(6, 5, 3\) \(N.*these have \(5, 6, 3\)"
        ):
            oracle.prepare((5, 6, 3), 4)
        oracle.prepare(SHAPE, 4)
        with pytest.raises(dfa.InvalidInputError, match=r"these have \(5, 6, 3\)"):
            oracle.scores(random_images(2, (5, 6, 3)))
    with pytest.raises(dfa.InvalidInputError, match=r"shape \(any, any, 3\).*resize them first"):
        OnnxOracle(echo(tmp_path / "a.onnx", ["n", 3, "h", "w"]), **GREY).prepare((5, 6, 1), 4)
    with pytest.raises(dfa.InvalidInputError, match=r"one per channel, 3 of these images, got \[0.5, 0.5\]"):
        OnnxOracle(tmp_path / "a.onnx", mean=[0.5, 0.5], std=1).prepare(SHAPE, 4)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_batch_that_the_file_fixes_is_cut_and_filled_up(tmp_path, rows):
    path = echo(tmp_path / "a.onnx", [rows, *SHAPE])
    for static_batch in (True, False, rows):
        oracle = OnnxOracle(path, returns="logits", static_batch=static_batch, **GREY)
        oracle.prepare(SHAPE, 256)
        np.testing.assert_array_equal(oracle.scores(IMAGES), flat(IMAGES))
        assert oracle.describe()["static_batch"] == rows
    for other in {1, 8} - {rows}:
        with pytest.raises(dfa.InvalidInputError, match=rf"takes {rows} rows? at a time, got static_batch={other}"):
            OnnxOracle(path, static_batch=other)


def test_the_only_output_is_taken_or_the_one_that_is_named(tmp_path):
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Neg", ["flat"], ["negative"]),
        helper.make_node("ArgMax", ["flat"], ["label"], axis=1, keepdims=0),
    ]
    outputs = {"label": ("int64", ["n"]), "flat": ("float32", ["n", 90]), "negative": ("float32", ["n", 90])}
    path = save(tmp_path / "a.onnx", nodes, {"x": ("float32", NHWC)}, outputs)
    for output in ("negative", 2):
        np.testing.assert_array_equal(given(path, output=output, **GREY), -flat(IMAGES))
    with pytest.raises(
        dfa.InvalidInputError, match=r"has 3 outputs: 'label', tensor\(int64\) .*such as output='negative'"
    ):
        OnnxOracle(path)
    for output in ("nothing", 3, -1, True, 1.0):
        with pytest.raises(dfa.InvalidInputError, match=r"the name or the place of one of 3 outputs of 'a\.onnx'"):
            OnnxOracle(path, output=output)
    with pytest.raises(dfa.InvalidInputError, match=r"floats of shape \(n, K\), and 'a\.onnx' gives 'label'.*'label'"):
        OnnxOracle(path, output="label")
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2, 3], keepdims=0)]
    squeezed = save(tmp_path / "b.onnx", nodes, {"x": ("float32", NHWC)}, {"y": ("float32", ["n"])})
    nodes = [helper.make_node("Flatten", ["x"], ["y"])]
    whole = save(tmp_path / "c.onnx", nodes, {"x": ("uint8", NHWC)}, {"y": ("uint8", ["n", 90])})
    for refused in (squeezed, whole):
        with pytest.raises(dfa.InvalidInputError, match=r"floats of shape \(n, K\)"):
            OnnxOracle(refused)


def test_axes_of_length_1_are_left_out_of_an_answer(tmp_path):
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["y"])]
    path = save(tmp_path / "a.onnx", nodes, {"x": ("float32", NCHW)}, {"y": ("float32", ["n", 3, 1, 1])})
    oracle = OnnxOracle(path, returns="logits", **GREY)
    assert oracle.num_classes == 3
    np.testing.assert_allclose(oracle.scores(IMAGES), FLOATS.mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("sides", [[1, 1, 2], [1, 2], [2, 1, 1]])
@pytest.mark.parametrize("number", [1, 5])
def test_scores_may_lie_along_any_axis_beside_those_of_length_1(sides, number, tmp_path):
    sides = [number if side == 2 else side for side in sides]
    cells = FLOATS[0].size
    weights = np.random.default_rng(0).normal(size=(cells, number)).astype(np.float32) / 1000
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["z"]),
        helper.make_node("Reshape", ["z", "sides"], ["y"]),
    ]
    held = {"w": weights, "sides": np.array([-1, *sides])}
    path = save(tmp_path / "a.onnx", nodes, {"x": ("float32", NHWC)}, {"y": ("float32", ["n", *sides])}, held)
    oracle = OnnxOracle(path, returns="logits", **GREY)
    assert oracle.num_classes == max(2, number)
    expected = FLOATS.reshape(len(FLOATS), -1) @ weights
    if number == 1:
        expected = np.concatenate([np.zeros_like(expected), expected], axis=1)
    np.testing.assert_allclose(oracle.scores(IMAGES), expected, rtol=1e-4, atol=1e-3)


def test_one_output_becomes_two_columns(tmp_path):
    nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3], keepdims=0)]
    nodes += [helper.make_node("Unsqueeze", ["m", "axis"], ["y"])]
    path = save(
        tmp_path / "a.onnx", nodes, {"x": ("float32", NHWC)}, {"y": ("float32", ["n", 1])}, {"axis": np.array([1])}
    )
    oracle = OnnxOracle(path, **UNIT)
    likely = oracle.scores(IMAGES)
    assert oracle.num_classes == 2
    np.testing.assert_allclose(likely[:, 1], FLOATS.mean(axis=(1, 2, 3)) / 255, rtol=1e-5)
    np.testing.assert_array_equal(likely[:, 0], 1 - likely[:, 1])
    logits = OnnxOracle(path, returns="logits", **UNIT).scores(IMAGES)
    np.testing.assert_array_equal(logits, np.stack([np.zeros(9), likely[:, 1]], axis=1))


def test_a_list_of_dicts_is_refused_with_what_leaves_it_out(tmp_path):
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("ZipMap", ["flat"], ["z"], domain="ai.onnx.ml", classlabels_int64s=list(range(90))),
    ]
    entry = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(onnx.TensorProto.INT64, entry))
    listed = [helper.make_value_info("z", kind)]
    path = save(tmp_path / "a.onnx", nodes, {"x": ("float32", NHWC)}, {}, value_types=listed)
    with pytest.raises(dfa.InvalidInputError, match=r"'z' of 'a\.onnx' is a list of dicts.*'zipmap': False"):
        OnnxOracle(path)


def test_what_is_no_classifier_of_images_is_refused(tmp_path):
    with pytest.raises(dfa.InvalidInputError, match=r"cannot read .*none\.onnx.: No such file"):
        OnnxOracle(tmp_path / "none.onnx")
    with pytest.raises(dfa.InvalidInputError, match="Is a directory"):
        OnnxOracle(tmp_path)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(dfa.InvalidInputError, match=r"'text\.onnx' must be an ONNX model, and cannot be opened as one"):
        OnnxOracle(tmp_path / "text.onnx")
    with pytest.raises(dfa.InvalidInputError, match=r"takes 'x', tensor\(int32\).*pass a function that asks"):
        OnnxOracle(echo(tmp_path / "int.onnx", NHWC, "int32"))
    nodes = [helper.make_node("Add", ["x", "more"], ["sum"]), helper.make_node("Flatten", ["sum"], ["y"])]
    inputs = {"x": ("float32", NHWC), "more": ("float32", NHWC)}
    two = save(tmp_path / "two.onnx", nodes, inputs, {"y": ("float32", ["n", None])})
    with pytest.raises(dfa.InvalidInputError, match=r"one input, the image, and 'two\.onnx' has 2: 'x'.*; 'more'"):
        OnnxOracle(two)
    with pytest.raises(
        dfa.InvalidInputError, match=r"path of an \.onnx file or an onnxruntime\.InferenceSession, got 3"
    ):
        OnnxOracle(3)


def test_a_run_is_alike_to_the_bit_for_any_batches_and_orders(tmp_path):
    shape = (32, 32, 3)
    path = tells_rows(tmp_path / "a.onnx", ["n", *shape])
    images = random_images(12, shape)

    def attack(batch_size, order, static_batch=True):
        oracle = OnnxOracle(path, returns="logits", static_batch=static_batch, **UNIT)
        result = dfa.run(
            oracle, images[order], epsilon=2, max_queries=150, optimizer=ALONE, batch_size=batch_size, progress=False
        )
        # In the first order again.
        return [outcomes(result)[place] for place in np.argsort(order)]

    straight, turned = np.arange(12), np.arange(12)[::-1]
    expected = attack(256, straight)
    for batch_size, order in ((1, straight), (7, straight), (256, turned)):
        assert attack(batch_size, order) == expected
    assert attack(7, straight, static_batch=False) != expected


@pytest.mark.parametrize("model", [pytest.param("squeezenet11", marks=pytest.mark.weekly), "mobilenet_v2_224"])
def test_a_run_on_a_real_model_is_alike_to_the_bit(data, model):
    stored = np.load(data / "imagenet100_224.npz")
    images, labels = stored["images"][:6], stored["labels"][:6]
    oracle = OnnxOracle(data / "models" / f"{model}.onnx", **GREY)
    assert (oracle.scores(images).argmax(axis=1) == labels).mean() > 0.6

    def attack(batch_size, order):
        result = dfa.run(
            oracle, images[order], epsilon=8, max_queries=30, optimizer=ALONE, batch_size=batch_size, progress=False
        )
        return [outcomes(result)[place] for place in np.argsort(order)]

    expected = attack(256, np.arange(6))
    for batch_size, order in ((1, np.arange(6)), (7, np.arange(6)[::-1])):
        assert attack(batch_size, order) == expected


def test_images_that_may_not_be_written_to_are_taken(tmp_path):
    images = IMAGES.copy()
    images.flags.writeable = False
    path = echo(tmp_path / "a.onnx", NHWC)
    for static_batch in (True, False):
        np.testing.assert_array_equal(given(path, images, static_batch=static_batch, **GREY), flat(IMAGES))
        np.testing.assert_array_equal(
            given(path, images[:, :, :, ::-1], static_batch=static_batch, **GREY)[0, :3], IMAGES[0, 0, 0, ::-1]
        )


def test_inputs_that_are_no_images_are_given_as_they_are(tmp_path):
    table = np.random.default_rng(0).normal(size=(5, 4))
    path = echo(tmp_path / "a.onnx", ["n", 4], "float64")
    oracle = OnnxOracle(path, returns="logits").taking(np.generic)
    np.testing.assert_array_equal(oracle.scores(table), table.astype(np.float32))
    # Nor are they put together where images were.
    images = OnnxOracle(echo(tmp_path / "b.onnx", NHWC), returns="logits", **UNIT)
    np.testing.assert_array_equal(images.scores(IMAGES), flat(FLOATS / 255))
    np.testing.assert_array_equal(images.taking(np.generic).scores(FLOATS - 0.5), flat(FLOATS - 0.5))
    with pytest.raises(dfa.InvalidInputError, match=r"of shape \(any, 4\), and the search space made \(64, 3\)"):
        oracle.scores(table[:, :3])


def test_providers_that_are_not_there_are_an_error(tmp_path, monkeypatch):
    path = echo(tmp_path / "a.onnx", NHWC)
    assert OnnxOracle(path).describe()["providers"] == ["CPUExecutionProvider"]
    for providers in (["CUDAExecutionProvider"], [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]):
        with pytest.raises(dfa.InvalidInputError, match=r"CPUExecutionProvider.*got CUDAExecutionProvider; for a GPU"):
            OnnxOracle(path, providers=providers)
    # As where the package is that for GPUs, and their libraries are not there.
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    with pytest.raises(dfa.InvalidInputError, match="must run on CUDAExecutionProvider, and the session has only CPU"):
        OnnxOracle(path, providers=there)
    for providers in ("CPUExecutionProvider", [], [3], [("CPUExecutionProvider",)]):
        with pytest.raises(dfa.InvalidInputError, match="providers must be a list of names, or of pairs"):
            OnnxOracle(path, providers=providers)


def test_on_a_device_the_ends_are_bound_and_the_answer_is_the_same(tmp_path, monkeypatch):
    """Of a session that claims to run elsewhere, since there is no device to run tests on."""

    class Elsewhere:
        def __init__(self, session):
            self._session, self.bound = session, 0

        def __getattr__(self, name):
            return getattr(self._session, name)

        def run(self, *arguments):
            raise AssertionError("asked without a binding")

        def io_binding(self):
            self.bound += 1
            return self._session.io_binding()

    oracle = OnnxOracle(classifier(tmp_path / "a.onnx", NCHW), **UNIT)
    expected = oracle.scores(IMAGES)
    monkeypatch.setattr("dfa.oracle.adapters.onnx.runs_on_cpu", lambda session: False)
    oracle = OnnxOracle(tmp_path / "a.onnx", **UNIT)
    oracle._session = Elsewhere(oracle._session)
    oracle.prepare(SHAPE, 4)
    tried = oracle._session.bound
    assert np.array_equal(oracle.scores(IMAGES), expected)
    assert tried > 0
    assert oracle._session.bound == tried + 3  # 9 rows, 4 at a time


def test_options_of_a_session_are_handed_on(tmp_path):
    path = echo(tmp_path / "a.onnx", NHWC)
    options = onnxruntime.SessionOptions()
    # Whatever cannot be: only an option that arrives is refused.
    options.add_session_config_entry("session.load_model_format", "ORT")
    with pytest.raises(dfa.InvalidInputError, match="cannot be opened as one"):
        OnnxOracle(path, session_options=options)


def test_a_session_is_asked_as_it_is(tmp_path):
    path = classifier(tmp_path / "a.onnx", NHWC)
    expected = OnnxOracle(path, **UNIT)
    for source, name in ((str(path), "a.onnx"), (path.read_bytes(), "onnx")):
        session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
        oracle = OnnxOracle(session, **UNIT)
        np.testing.assert_array_equal(oracle.scores(IMAGES), expected.scores(IMAGES))
        assert oracle.name == name
        assert oracle.fingerprint() == expected.fingerprint()
    for settings in ({"providers": ["CPUExecutionProvider"]}, {"session_options": onnxruntime.SessionOptions()}):
        with pytest.raises(dfa.InvalidInputError, match="a session has its providers and options already"):
            OnnxOracle(session, **settings)


def test_the_fingerprint_is_that_of_the_file_and_of_its_external_data(tmp_path):
    path = classifier(tmp_path / "a.onnx", NHWC)
    assert OnnxOracle(path).fingerprint() == hashlib.sha256(path.read_bytes()).hexdigest()
    names = set()
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        external = classifier(folder / "b.onnx", NHWC, seed=seed, external=f"{'long' * 40}.data")
        oracle = OnnxOracle(external, **UNIT)
        assert oracle.scores(IMAGES).shape == (9, 7)
        names.add(oracle.fingerprint())
    # One graph, and weights that differ.
    assert (tmp_path / "1" / "b.onnx").read_bytes() == (tmp_path / "2" / "b.onnx").read_bytes()
    assert len(names) == 2


def test_what_records_keep_of_a_model(tmp_path):
    path = classifier(tmp_path / "a.onnx", NCHW)
    oracle = OnnxOracle(path, mean=(0, 0.1, 0.2), std=1)
    described = json.loads(json.dumps(oracle.describe()))
    assert described == {
        "kind": "onnx",
        "name": "a.onnx",
        "returns": "probabilities",
        "tolerance": 1e-3,
        "mean": [0, 0.1, 0.2],
        "std": 1,
        "value_range": None,
        "preprocess": None,
        "layout": "NCHW",
        "static_batch": True,
        "input": {"name": "x", "type": "tensor(float)", "shape": [None, 3, 6, 5]},
        "output": {"name": "p", "type": "tensor(float)", "shape": [None, 7]},
        "providers": ["CPUExecutionProvider"],
        "framework": "onnxruntime",
        "framework_version": onnxruntime.__version__,
    }
    assert OnnxOracle(path, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"returns": "label"}, "returns 'probabilities' or 'logits'"),
        ({"tolerance": -1}, "tolerance must be"),
        ({"static_batch": 0}, "static_batch must be"),
        ({"preprocess": 3}, "preprocess must be a function"),
        ({"value_range": (1, 0)}, r"value_range must be two numbers.*got \(1, 0\)"),
        ({"value_range": 255}, "value_range must be two numbers"),
        ({"value_range": (0, 1), "mean": 0, "std": 1}, "come instead of value_range"),
        ({"mean": 0}, "mean and std go together"),
        ({"mean": [120.0] * 3, "std": [60.0] * 3}, "look like grey levels.*divide both by 255"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, settings, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        OnnxOracle(echo(tmp_path / "a.onnx", NHWC), **settings)


def test_onnx_models_are_recognised(tmp_path):
    path = echo(tmp_path / "a.onnx", NHWC)
    assert is_onnx(path)
    assert is_onnx("a.ONNX")
    assert is_onnx(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]))
    assert not any(map(is_onnx, ("a.tflite", b"a.onnx", None, len, onnxruntime)))
    oracle = dfa.as_oracle(str(path), returns="logits", output=0, **GREY)
    assert isinstance(oracle, OnnxOracle)
    np.testing.assert_array_equal(oracle.scores(IMAGES), flat(IMAGES))


def test_without_onnx_runtime_it_says_what_to_install(tmp_path, monkeypatch):
    path = echo(tmp_path / "a.onnx", NHWC)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(dfa.MissingDependencyError, match=r"pip install .*\[onnx\]"):
        OnnxOracle(path)
