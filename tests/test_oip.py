"""Models on servers of the Open Inference Protocol, asked on a server that was written from the protocol alone."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import dfa
from oip_servers import Model, OipServer, serving

SHAPE = (4, 5, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
WEIGHTS = np.random.default_rng(1).normal(size=(60, 4))


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def expected(images: NDArray[Any]) -> NDArray[Any]:
    """Return the probabilities of a classifier of images in 0..1, in the order (H, W, C)."""
    return softmax(images.reshape(len(images), -1) / 255.0 @ WEIGHTS)


def classifier(
    kind: str = "FP32", layout: str = "NHWC", rows: int = -1, *, divisor: float = 1.0, out: str = "FP64"
) -> Model:
    """Return a model of that classifier, which takes images in 0..1, or grey levels with divisor=255."""

    def predict(taken: NDArray[Any]) -> dict[str, NDArray[Any]]:
        assert rows in (-1, len(taken))
        images = np.moveaxis(taken, 1, -1) if layout == "NCHW" else taken
        return {"scores": softmax(images.reshape(len(taken), -1).astype(np.float64) / divisor @ WEIGHTS)}

    sides = {"NHWC": [*SHAPE], "NCHW": [3, 4, 5], "flat": [60]}[layout]
    return Model(predict, [("x", kind, [rows, *sides])], [("scores", out, [rows, 4])])


def answering(outputs: dict[str, Any], described: list[tuple[str, str, list[int]]] | None = None, **options) -> Model:
    """Return a model of grey levels that says the same of each image."""

    def predict(taken: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {name: np.array([value] * len(taken)) for name, value in outputs.items()}

    return Model(predict, [("x", "UINT8", [-1, *SHAPE])], described or [], **options)


def asked(model: Model, images: NDArray[Any] = IMAGES, *, extensions=("binary_tensor_data",), **settings) -> Any:
    """Return what an oracle of a model says of images."""
    with serving({"m": model}, extensions=extensions) as server:
        return prepared(server, **settings).scores(images)


def prepared(server: OipServer, model: str = "m", **settings) -> dfa.OipOracle:
    oracle = dfa.OipOracle(server.url, model, **{"retries": 0} | settings)
    server.clients.append(oracle)
    oracle.prepare(SHAPE, 16)
    return oracle


class TestWhatTheModelIsGiven:
    @pytest.mark.parametrize("extensions", [("binary_tensor_data",), ()])
    @pytest.mark.parametrize("layout", ["NHWC", "NCHW", "flat"])
    @pytest.mark.parametrize("kind", ["FP32", "FP64", "FP16"])
    def test_scaled_images_in_the_layout_and_type_that_it_takes(self, kind, layout, extensions):
        with serving({"m": classifier(kind, layout)}, extensions=extensions) as server:
            scores = prepared(server, value_range=(0, 1)).scores(IMAGES)
            (taken,) = server.received
            assert any("Inference-Header" in name for name in server.headers[0]) == bool(extensions)
        dtype = {"FP32": np.float32, "FP64": np.float64, "FP16": np.float16}[kind]
        assert taken.dtype == dtype
        channels_last = IMAGES / dtype(255) if kind != "FP16" else (IMAGES / np.float32(255)).astype(dtype)
        images = np.moveaxis(channels_last, -1, 1) if layout == "NCHW" else channels_last
        assert taken.shape == {"NHWC": (16, 4, 5, 3), "NCHW": (16, 3, 4, 5), "flat": (16, 60)}[layout]
        np.testing.assert_array_equal(taken[:5], images.reshape(5, *taken.shape[1:]).astype(dtype))
        np.testing.assert_allclose(scores, expected(IMAGES), atol=2e-3 if kind == "FP16" else 1e-6)

    @pytest.mark.parametrize("extensions", [("binary_tensor_data",), ()])
    @pytest.mark.parametrize("kind", ["UINT8", "INT32", "INT64"])
    def test_the_grey_levels_themselves_where_it_takes_integers(self, kind, extensions):
        scores = asked(classifier(kind, divisor=255.0), extensions=extensions)
        np.testing.assert_allclose(scores, expected(IMAGES), rtol=1e-12)

    def test_means_and_deviations_are_taken_channel_by_channel(self):
        with serving({"m": classifier(layout="NCHW")}) as server:
            prepared(server, mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2.0]).scores(IMAGES)
            wanted = (IMAGES / 255.0 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 2.0]
            np.testing.assert_allclose(np.moveaxis(server.received[0][:5], 1, -1), wanted, rtol=1e-5, atol=1e-6)

    def test_what_preprocess_makes(self):
        scores = asked(classifier(layout="flat"), preprocess=lambda images: images.reshape(len(images), -1) / 255)
        np.testing.assert_allclose(scores, expected(IMAGES), atol=1e-6)

    def test_what_preprocess_makes_of_another_shape_is_refused(self):
        with pytest.raises(dfa.InvalidInputError, match=r"takes inputs of shape \(any, 60\), and preprocess made"):
            asked(classifier(layout="flat"), preprocess=lambda images: images / 255)

    def test_what_is_not_finite_cannot_go_as_json(self):
        with pytest.raises(dfa.InvalidInputError, match="preprocess must make finite numbers"):
            asked(classifier(), preprocess=lambda images: images * np.nan, binary=False)

    @pytest.mark.parametrize("extensions", [("binary_tensor_data",), ()])
    def test_bytes_and_json_say_the_same_to_the_bit(self, extensions):
        for out in ("FP32", "FP64"):
            scores = [
                asked(classifier(out=out), value_range=(-1, 1), binary=binary).tobytes() for binary in (True, False)
            ]
            assert scores[0] == scores[1]

    def test_bytes_where_the_user_says_so_and_the_server_does_not(self):
        with serving({"m": classifier()}, extensions=()) as server, pytest.raises(dfa.OracleError, match="no binary"):
            prepared(server, value_range=(0, 1), binary=True).scores(IMAGES)

    def test_what_the_server_does_not_describe_is_said_in_its_place(self):
        model = classifier(layout="flat")
        model.inputs, model.outputs = [], []
        with pytest.raises(dfa.InvalidInputError, match="does not say what input the model 'm' has; pass it"):
            asked(model, value_range=(0, 1))
        described = {"name": "x", "datatype": "FP32", "shape": [-1, 60]}
        for output in (None, "scores", {"name": "scores", "datatype": "FP64", "shape": [-1, 4]}):
            with serving({"m": model}) as server:
                scores = prepared(server, value_range=(0, 1), input=described, output=output).scores(IMAGES)
                np.testing.assert_allclose(scores, expected(IMAGES), atol=1e-6)
                # Bytes are asked for of all outputs where none is named.
                assert server.documents[0].get("parameters", {}).get("binary_data_output", False) is (output is None)

    @pytest.mark.parametrize("wrong", [{"name": "x"}, {"name": "x", "datatype": "FP32", "shape": ["n", 60]}, 3])
    def test_a_description_is_that_of_the_protocol(self, wrong):
        for kind in ("input", "output"):
            with pytest.raises(dfa.InvalidInputError, match=f"{kind} must be described as the protocol does"):
                dfa.OipOracle("http://127.0.0.1:1", "m", **{kind: wrong})


class TestRows:
    def test_a_request_is_filled_up_so_that_all_have_the_same_rows(self):
        with serving({"m": classifier()}) as server:
            oracle = prepared(server, value_range=(0, 1), images_per_request=3)
            assert (oracle.rows_per_call, oracle.rows_per_batch) == (3, 3)
            scores = oracle.scores(IMAGES)
            assert [taken.shape[0] for taken in server.received] == [3, 3]
            assert (server.received[1][2] == 0).all()
            assert oracle.books.use.images == 5
            assert oracle.books.use.requests == 2
        np.testing.assert_allclose(scores, expected(IMAGES), atol=1e-6)

    def test_or_has_as_many_as_are_asked(self):
        with serving({"m": classifier()}) as server:
            oracle = prepared(server, value_range=(0, 1), static_batch=False)
            assert oracle.rows_per_batch is None
            oracle.scores(IMAGES)
            assert [taken.shape[0] for taken in server.received] == [5]

    @pytest.mark.parametrize("static_batch", [True, False])
    @pytest.mark.parametrize(("rows", "calls", "per_call"), [(1, 5, 1), (2, 3, 2), (8, 1, 4), (64, 1, 4)])
    def test_a_model_that_fixes_them_gets_them(self, rows, calls, per_call, static_batch):
        with serving({"m": classifier(rows=rows)}) as server:
            oracle = prepared(server, value_range=(0, 1), images_per_request=4, static_batch=static_batch)
            assert (oracle.rows_per_call, oracle.rows_per_batch) == (per_call, rows)
            scores = oracle.scores(IMAGES[: calls * per_call])
            assert [taken.shape[0] for taken in server.received] == [rows] * calls
        np.testing.assert_allclose(scores, expected(IMAGES[: calls * per_call]), atol=1e-6)

    def test_what_was_answered_before_a_request_failed_is_not_lost(self):
        model = classifier()
        predict, seen = model.predict, []

        def third_fails(taken: NDArray[Any]) -> dict[str, NDArray[Any]]:
            seen.append(taken)
            return predict(taken) if len(seen) < 3 else {}

        model.predict = third_fails
        with pytest.raises(dfa.PartialAnswer, match="unexpected inference output") as caught:
            asked(model, value_range=(0, 1), images_per_request=2, concurrency=1)
        assert list(caught.value.rows) == [0, 1, 2, 3]
        np.testing.assert_allclose(caught.value.answers, expected(IMAGES[:4]), atol=1e-6)


class TestAnswers:
    @pytest.mark.parametrize("extensions", [("binary_tensor_data",), ()])
    @pytest.mark.parametrize("out", ["FP16", "FP32", "FP64"])
    def test_scores_come_in_the_type_of_the_output(self, out, extensions):
        scores = asked(classifier("UINT8", divisor=255.0, out=out), extensions=extensions)
        assert scores.dtype == {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}[out]
        np.testing.assert_array_equal(scores, expected(IMAGES).astype(scores.dtype))

    @pytest.mark.parametrize("described", [[-1, 4], [-1, 4, 1, 1], [-1, -1]])
    def test_sides_of_length_one_are_left_out_and_classes_counted(self, described):
        model = classifier("UINT8", divisor=255.0)
        predict = model.predict
        shape = [-1, *described[1:]] if described[1:] != [-1] else [-1, 4]
        model.predict = lambda taken: {"scores": predict(taken)["scores"].reshape(shape)}
        model.outputs = [("scores", "FP64", described)]
        with serving({"m": model}) as server:
            oracle = prepared(server)
            assert oracle.num_classes == (None if described == [-1, -1] else 4)
            assert oracle.scores(IMAGES).shape == (5, 4)

    def test_one_output_becomes_two_columns(self):
        model = answering({"p": [0.25]}, [("p", "FP64", [-1, 1])])
        np.testing.assert_array_equal(asked(model), [[0.75, 0.25]] * 5)
        np.testing.assert_array_equal(asked(model, returns="logits"), [[0.0, 0.25]] * 5)

    @pytest.mark.parametrize("extensions", [("binary_tensor_data",), ()])
    @pytest.mark.parametrize("label", [3, [3]])
    def test_labels(self, label, extensions):
        model = answering({"y": np.int64(label)}, [("y", "INT64", [-1])])
        labels = asked(model, returns="label", num_classes=10, extensions=extensions)
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, [3] * 5)

    @pytest.mark.parametrize("extensions", [("binary_tensor_data",), ()])
    def test_labels_that_are_names_get_numbers(self, extensions):
        with serving({"m": answering({"y": "Hund ü"}, [("y", "BYTES", [-1, 1])])}, extensions=extensions) as server:
            named = prepared(server, returns="label", classes=["cat", "Hund ü"])
            np.testing.assert_array_equal(named.scores(IMAGES), [1] * 5)
            assert named.class_names == ("cat", "Hund ü")
            unnamed = prepared(server, returns="label", num_classes=2)
            np.testing.assert_array_equal(unnamed.scores(IMAGES), [0] * 5)
            assert unnamed.known_names == ("Hund ü",)

    @pytest.mark.parametrize("extensions", [("binary_tensor_data",), ()])
    def test_the_likeliest_of_the_classification_extension(self, extensions):
        model, truth = classifier("UINT8", divisor=255.0), expected(IMAGES)
        order = np.argsort(-truth, axis=1)
        with serving({"m": model}, extensions=extensions) as server:
            labels, shown = prepared(server, returns="top_k", k=2, num_classes=4, output="scores").scores(IMAGES)
            np.testing.assert_array_equal(labels, order[:, :2])
            np.testing.assert_allclose(shown, np.take_along_axis(truth, order, 1)[:, :2], atol=1e-6)
            label, best = prepared(server, returns="top_1", num_classes=4).scores(IMAGES)
            np.testing.assert_array_equal(label, order[:, 0])
            np.testing.assert_allclose(best, truth.max(axis=1), atol=1e-6)

    def test_of_fewer_classes_than_are_shown_the_others_are_left_open(self):
        model = answering({"y": ["0.2:1:b", "0.7:0:a:c"]}, [("y", "BYTES", [-1, 2])])
        labels, shown = asked(model, returns="top_k", k=3, num_classes=10)
        np.testing.assert_array_equal(labels, [[0, 1, -1]] * 5)
        np.testing.assert_array_equal(shown, [[0.7, 0.2, 0.0]] * 5)

    @pytest.mark.parametrize(
        ("outputs", "settings", "message"),
        [
            ({"y": "cat"}, {}, r"one score per class, and answers with 'y', BYTES of shape \(16\), strings; .*'label'"),
            (
                {"y": [0.5, 0.5]},
                {"returns": "label", "num_classes": 2},
                "one label per image, and answers with 'y', FP64",
            ),
            (
                {"y": [0.5, 0.5]},
                {"returns": "top_k", "k": 1, "num_classes": 2},
                "of each image, 1 at most, .*dfa.top_k",
            ),
            ({"y": ["much:7"]}, {"returns": "top_k", "k": 1, "num_classes": 9}, "strings such as '0.93:7'"),
            ({"y": ["1:1", "0:2"]}, {"returns": "top_k", "k": 1, "num_classes": 9}, "1 at most"),
            ({"y": [1.0], "z": [1.0]}, {}, r"must answer with one output, and answers with 'y', .*; say which with"),
        ],
    )
    def test_other_outputs_are_refused(self, outputs, settings, message):
        with pytest.raises(dfa.OracleError, match=message):
            asked(answering(outputs), **settings)

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda told: {"error": "out of memory"}, "answers with the error 'out of memory'"),
            (lambda told: ["what"], r"answers with \['what'\]"),
            (lambda told: {"outputs": "none"}, "must answer with outputs"),
            (lambda told: told | {"outputs": []}, "must answer with the output 'y', and answers with none"),
            (lambda told: changed(told, shape=[15, 2]), "whose data are none"),
            (lambda told: changed(told, shape=[8, 4]), r"must answer 16 rows with as many, .* of shape \(8, 4\)"),
            (lambda told: changed(told, shape="x"), "an output must be described as the protocol does"),
            (lambda told: changed(told, data=["cat"] * 32), "whose data are none .*instead of numbers"),
            (lambda told: changed(told, data=None), "whose data are none .no list.: None"),
            (lambda told: changed(told, datatype="FP8"), "a type that dfa does not read"),
            (lambda told: changed(told, datatype="BYTES"), "whose data are none .no strings."),
        ],
    )
    def test_wrong_answers_are_told(self, spoil, message):
        model = answering({"y": [0.25, 0.75]}, [("y", "FP32", [-1, 2])], spoil=spoil)
        with pytest.raises(dfa.OracleError, match=message):
            asked(model, extensions=())

    def test_a_reply_that_is_cut_is_asked_for_again(self):
        spoiled = iter([0])

        def spoil(told: dict[str, Any]) -> Any:
            for _ in spoiled:
                told["outputs"][0] = {"name": "y", "datatype": "FP32", "shape": [16, 2]}
                told["outputs"][0]["parameters"] = {"binary_data_size": 10_000}
            return told

        model = answering({"y": [0.25, 0.75]}, [("y", "FP32", [-1, 2])], spoil=spoil)
        with serving({"m": model}) as server:
            oracle = prepared(server, retries=1)
            np.testing.assert_array_equal(oracle.scores(IMAGES), [[0.25, 0.75]] * 5)
            assert oracle.books.use.requests == 2


def changed(told: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return told | {"outputs": [told["outputs"][0] | changes]}


class TestWhatTheServerSays:
    def test_it_is_asked_once_and_that_is_no_query(self):
        with serving({"m": classifier(layout="NCHW")}) as server:
            oracle = prepared(server, value_range=(0, 1))
            oracle.describe()
            oracle.prepare(SHAPE, 4)
            told = ["/v2", "/v2/models/m", "/v2/models/m/ready"]
            assert server.asked == [("GET", path) for path in told]
            assert oracle.books.use.requests == 0
            oracle.scores(IMAGES)
            assert server.asked[3:] == [("POST", "/v2/models/m/infer")]

    def test_it_is_kept(self):
        with serving({"m": classifier(layout="NCHW")}) as server:
            described = prepared(server, value_range=(0, 1), name="mine").describe()
            assert described["url"] == server.url
        assert json.loads(json.dumps(described)) == described
        assert described["kind"] == "oip"
        assert described["name"] == "mine"
        assert described["model"] == "m"
        assert described["version"] is None
        assert described["versions"] == ["1"]
        assert described["platform"] == "small_numpy"
        assert described["server"] == {"name": "small", "version": "9.9", "extensions": ["binary_tensor_data"]}
        assert described["layout"] == "NCHW"
        assert described["input"] == {"name": "x", "type": "FP32", "shape": [None, 3, 4, 5]}
        assert described["output"] == {"name": "scores", "type": "FP64", "shape": [None, 4]}
        assert described["binary"] is True
        assert described["value_range"] == [0, 1]
        assert described["images_per_request"] == 16

    @pytest.mark.parametrize("end", ["", "/", "/v2", "/v2/"])
    def test_an_address_may_have_the_protocol_behind_it(self, end):
        with serving({"m": classifier("UINT8", divisor=255.0)}) as server:
            oracle = dfa.OipOracle(server.url + end, "m")
            server.clients.append(oracle)
            assert oracle.scores(IMAGES).shape == (5, 4)

    def test_a_version_is_asked_for(self):
        model = answering({"y": [0.25, 0.75]}, versions=["1", "2"])
        with serving({"m": model}) as server:
            oracle = prepared(server, version=1)
            oracle.scores(IMAGES)
            assert server.asked[-1] == ("POST", "/v2/models/m/versions/1/infer")
            assert oracle.describe()["version"] == "1"
            with pytest.raises(dfa.InvalidInputError, match="has not the model 'm' in version '3': status 404"):
                prepared(server, version="3")

    def test_a_version_that_changes_ends_it(self):
        model = answering({"y": [0.25, 0.75]})
        with serving({"m": model}) as server:
            oracle, other = prepared(server), prepared(server, on_drift="mark")
            oracle.scores(IMAGES)
            other.scores(IMAGES)
            model.versions.append("2")
            with pytest.raises(dfa.OracleError, match="version '2' of the model, and answered with '1' before; pass"):
                oracle.scores(IMAGES)
            assert other.scores(IMAGES).shape == (5, 2)

    def test_a_name_that_it_does_not_know(self):
        with (
            serving({"m": classifier()}) as server,
            pytest.raises(
                dfa.InvalidInputError, match=r"has not the model 'a b': .*unknown model: 'a%20b' is not found"
            ),
        ):
            prepared(server, "a b")

    def test_a_model_that_is_not_ready(self):
        model = classifier()
        model.is_ready = False
        with (
            serving({"m": model}) as server,
            pytest.raises(dfa.OracleError, match=r"the model .m. is not ready on the server .*still loading"),
        ):
            prepared(server)

    def test_who_does_not_speak_the_protocol(self):
        with serving({}) as server:
            oracle = dfa.OipOracle(f"{server.url}/elsewhere", "m")
            server.clients.append(oracle)
            with pytest.raises(dfa.OracleError, match="404"):
                oracle.prepare(SHAPE, 4)

    @pytest.mark.parametrize(
        ("inputs", "outputs", "settings", "message"),
        [
            ([("x", "FP32", [-1, *SHAPE])], [], {}, "takes FP32 and does not tell what numbers; pass value_range"),
            ([("x", "UINT8", [-1, *SHAPE])], [], {"value_range": (0, 1)}, "so there is nothing to scale"),
            ([("x", "INT8", [-1, *SHAPE])], [], {}, "integers that reach 255, and 'm' takes 'x', INT8"),
            ([("x", "BYTES", [-1])], [], {}, "needs an input of floats"),
            ([("x", "UINT8", [-1, 4, 4, 3])], [], {}, r"takes images of shape \(4, 4, 3\) \(NHWC\)"),
            ([("x", "UINT8", [-1, 7, 7, 7])], [], {}, "does not tell where an image's channels are"),
            ([("x", "UINT8", [-1, 64])], [], {}, "takes rows of 64 numbers, and these images have 4x5x3 = 60"),
            ([("x", "UINT8", [4, 5, 3])], [], {}, "no images; pass preprocess="),
            ([("x", "UINT8", [-1, *SHAPE]), ("z", "FP32", [1])], [], {}, "has 2 inputs: .* such as input='z'"),
            ([("x", "UINT8", [-1, *SHAPE])], [], {"input": "z"}, "has 1 input: .*got input='z'"),
            ([("x", "UINT8", [-1, *SHAPE])], [("y", "FP32", [-1, 2]), ("z", "FP32", [-1])], {}, "has 2 outputs"),
            ([("x", "UINT8", [-1, *SHAPE])], [("y", "FP32", [-1, 2])], {"num_classes": 3}, "2 classes, got num_c"),
            ([("x", "FP32", [-1, *SHAPE])], [], {"mean": [0.5, 0.5], "std": 1.0}, "one per channel, 3 of these"),
        ],
    )  # fmt: skip
    def test_models_that_take_no_such_images(self, inputs, outputs, settings, message):
        model = Model(lambda taken: {}, inputs, outputs)
        with serving({"m": model}) as server, pytest.raises(dfa.InvalidInputError, match=message):
            prepared(server, **settings)

    def test_secrets_stay_secret(self, monkeypatch):
        monkeypatch.setenv("OIP_TOKEN", "s3cr3t-token")
        model = answering({"y": [0.25, 0.75]}, spoil=lambda told: {"error": "no s3cr3t-token"})
        with serving({"m": model}) as server:
            oracle = prepared(server, token_env="OIP_TOKEN")
            with pytest.raises(dfa.OracleError, match=r"no \*\*\*"):
                oracle.scores(IMAGES)
            assert server.headers[0]["Authorization"] == "Bearer s3cr3t-token"
            server.models["s3cr3t-token"] = model
            model.is_ready = False
            with pytest.raises(dfa.OracleError, match=r"\*\*\* is still loading"):
                prepared(server, "s3cr3t-token", name="hidden", token_env="OIP_TOKEN")
            shown = json.dumps(oracle.describe()) + repr(oracle) + str(pickle.dumps(oracle))
        assert "s3cr3t" not in shown
        assert "Authorization" in shown

    def test_a_secret_that_is_gone_is_told_before_the_next_run(self, monkeypatch):
        monkeypatch.setenv("OIP_TOKEN", "s3cr3t-token")
        with serving({"m": answering({"y": [0.25, 0.75]})}) as server:
            oracle = prepared(server, token_env="OIP_TOKEN")
            monkeypatch.delenv("OIP_TOKEN")
            with pytest.raises(dfa.InvalidInputError, match="OIP_TOKEN must hold a secret"):
                oracle.prepare(SHAPE, 16)


class TestArguments:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"model": ""}, "model must be the name"),
            ({"binary": "yes"}, "binary must be True or False"),
            ({"static_batch": 4}, "static_batch must be True or False"),
            ({"images_per_request": 0}, "images_per_request must be an integer of at least 1"),
            ({"on_drift": "cry"}, "on_drift must be 'stop' or 'mark'"),
            ({"returns": "label"}, "num_classes must be an integer of 2 or more"),
            ({"returns": "top_k", "num_classes": 9}, "k, the number of classes"),
            ({"classes": ["a", "b"]}, "classes are the names that answers of returns='label' may hold"),
            ({"classes": ["a", "a"], "returns": "label"}, "more than once"),
            ({"preprocess": 3}, "preprocess must be a function"),
            ({"url": 3}, "url must be"),
        ],
    )
    def test_wrong_ones_are_refused_before_anything_is_asked(self, settings, message):
        given = {"url": "http://127.0.0.1:1", "model": "m"} | settings
        with pytest.raises(dfa.InvalidInputError, match=message):
            dfa.OipOracle(**given)


class TestRuns:
    @pytest.mark.parametrize("settings", [{}, {"binary": False, "concurrency": 3, "images_per_request": 2}])
    def test_a_run_finds_what_a_function_lets_it_find(self, settings):
        def function(images: NDArray[np.uint8]) -> NDArray[Any]:
            return expected(images)

        with serving({"m": classifier("UINT8", divisor=255.0)}) as server:
            oracle = prepared(server, **settings)
            found = dfa.run(oracle, IMAGES, epsilon=20, max_queries=200)
            requests, images = oracle.books.use.requests, oracle.books.use.images
            assert requests == len(server.received)
        wanted = dfa.run(function, IMAGES, epsilon=20, max_queries=200)
        np.testing.assert_array_equal(found.adversarial(), wanted.adversarial())
        np.testing.assert_array_equal(found.queries, wanted.queries)
        assert found.success.any()
        assert images >= found.queries.sum()
        assert found.config["oracle"]["server"]["name"] == "small"

    @pytest.mark.parametrize("settings", [{}, {"binary": False, "images_per_request": 3}])
    def test_what_is_promised_of_oracles_holds(self, settings):
        with serving({"m": classifier("UINT8", divisor=255.0)}) as server:
            dfa.testing.check_oracle(prepared(server, **settings), IMAGES)

    def test_an_oracle_goes_to_another_process_with_what_it_knows(self):
        with serving({"m": classifier("UINT8", divisor=255.0)}) as server:
            oracle = prepared(server)
            copy = pickle.loads(pickle.dumps(oracle))
            server.clients.append(copy)
            np.testing.assert_array_equal(copy.scores(IMAGES), oracle.scores(IMAGES))
            assert len([path for method, path in server.asked if method == "GET"]) == 3
