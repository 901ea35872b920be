"""What the README shows is tried, and the package's own example; `test_docs.py` runs the README's blocks."""

from __future__ import annotations

import contextlib
import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa
from http_servers import parse, served
from oip_servers import Model, serving
from oracles import random_images

README = Path(__file__).parents[1] / "README.md"


def test_the_example_of_the_package_runs() -> None:
    results = doctest.testmod(dfa)
    assert results.attempted >= 5
    assert results.failed == 0


def test_the_readme_has_no_blank_to_fill_in() -> None:
    assert "@@" not in README.read_text()


def test_the_readme_fits_on_a_screen_or_two() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 8_000


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROWS = re.findall(r"^\| (.+?) \| `(.+)` \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
"""What you have, and the expression that makes an oracle of it."""


def hub(package: str) -> Any:
    pytest.importorskip("torch", reason="torch is not installed")
    return pytest.importorskip(package, reason=f"{package} is not installed")


def timm_model() -> Any:
    return hub("timm").create_model("test_resnet", num_classes=10).eval()


def transformers_model() -> Any:
    transformers = hub("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.ViTConfig(image_size=32, patch_size=8, num_labels=10, **sizes)
    return transformers.ViTForImageClassification(config).eval()


def keras_model() -> Any:
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    layers = keras.layers
    inner = [layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10), layers.Softmax()]
    return keras.Sequential([keras.Input((32, 32, 3)), *inner])


def onnx_file() -> None:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from onnx_models import echo

    # Its logits are its numbers.
    echo(Path("model.onnx"), ["n", 3, 32, 32])


def tflite_file() -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(keras_model())
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [
        [image[None].astype(np.float32)] for image in random_images(4, (32, 32, 3))
    ]
    converter.inference_input_type = converter.inference_output_type = tensorflow.uint8
    Path("model.tflite").write_bytes(converter.convert())


def estimator() -> Any:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    table = random_images(40, (32, 32, 3)).reshape(40, -1) / 255
    return linear_model.LogisticRegression(max_iter=1000).fit(table, np.arange(40) % 10)


def probabilities(images: Any) -> Any:
    bright = images.reshape(len(images), -1)[:, :10].astype(np.float64) + 1
    return bright / bright.sum(axis=1, keepdims=True)


SERVERS = contextlib.ExitStack()
"""Ends those of a test with it."""


def oip_server() -> str:
    inputs, outputs = [("image", "FP32", [-1, 32, 32, 3])], [("scores", "FP64", [-1, 10])]
    model = Model(lambda rows: {"scores": probabilities(rows)}, inputs, outputs)
    return SERVERS.enter_context(serving({"model": model})).url


NEEDED: dict[str, Callable[[], dict[str, Any]]] = {
    "a PyTorch module": lambda: {"module": hub("torch_networks").small_network(10)},
    "a model of timm": lambda: {"timm_model": timm_model()},
    "a model of torchvision": lambda: {
        "torchvision_model": hub("torchvision.models").squeezenet1_1().eval(),
        "weights": hub("torchvision.models").SqueezeNet1_1_Weights.DEFAULT,
    },
    "a model of transformers": lambda: {
        "hub_model": transformers_model(),
        "processor": hub("transformers").ViTImageProcessor(size={"height": 32, "width": 32}),
    },
    "a Keras model": lambda: {"keras_model": keras_model()},
    "an ONNX file": lambda: onnx_file() or {},
    "a classifier of scikit-learn": lambda: {"estimator": estimator()},
    "a JAX function": lambda: {
        "apply": lambda variables, inputs: inputs.reshape(len(inputs), -1) @ variables,
        "variables": pytest.importorskip("jax.numpy", reason="JAX is not installed").ones((3072, 10)),
    },
    "an 8-bit TFLite file": lambda: tflite_file() or {},
    "a function from uint8 batches to probabilities": lambda: {"function": probabilities},
    "one that answers labels alone": lambda: {"function": lambda images: images[:, 0, 0, 0] % 10},
    "a service behind an address": lambda: {"url": SERVERS.enter_context(served()).url, "parse": parse},
    "a model on Triton, KServe, MLServer": lambda: {"url": oip_server()},
    "a function of one image": lambda: {"ask": lambda image: probabilities(image[np.newaxis])[0]},
    "a pipeline before the model": lambda: {"keras_model": keras_model()},
}


def test_every_oracle_of_the_readme_is_tried() -> None:
    assert [what for what, _ in ROWS] == list(NEEDED)


# TensorFlow's tensors have it from NumPy, when Keras makes arrays of them.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning")
@pytest.mark.parametrize(("what", "expression"), ROWS, ids=[what for what, _ in ROWS])
def test_the_readme_makes_an_oracle_of(what: str, expression: str, tmp_path: Path, monkeypatch, torchvision) -> None:
    monkeypatch.chdir(tmp_path)
    # timm's small model takes images of 160 pixels, and torchvision's none so small.
    images = random_images(3, (160, 160, 3) if "timm" in what or "torchvision" in what else (32, 32, 3))
    with SERVERS:
        oracle = eval(expression, {"dfa": dfa, "mean": MEAN, "std": STD, **NEEDED[what]()})
        result = dfa.run(oracle, images, epsilon=8, max_queries=3, progress=False)
    assert [record.status for record in result.records].count("error") == 0
    assert len(result.records) == 3


@pytest.mark.parametrize("page", [README.parent / "docs" / "guides" / "models.md"], ids=["models"])
def test_the_five_lines_of_a_torch_user_run(page: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    networks = pytest.importorskip("torch_networks", reason="torch is not installed", exc_type=ImportError)
    (lines,) = (
        block for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) if "load_my_model" in block
    )
    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:5], file["labels"][:5]
    model = networks.resnet20(data)
    monkeypatch.chdir(tmp_path)
    names = {"dfa": dfa, "load_my_model": lambda: model, "images": images, "labels": labels}
    exec(lines, names)
    assert names["result"].summary().attacked == 5
    assert names["result"].summary().TSR > 0.5


def test_the_way_back_into_a_pipeline_of_torch(data: Path) -> None:
    networks = pytest.importorskip("torch_networks", reason="torch is not installed", exc_type=ImportError)
    import torch

    page = (README.parent / "docs" / "guides" / "models.md").read_text()
    (lines,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "adversarial()" in block)
    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:8], file["labels"][:8]
    labels[0] = (labels[0] + 1) % 10
    model = networks.resnet20(data)
    oracle = dfa.as_oracle(model, mean=networks.MEAN, std=networks.STD)
    result = dfa.run(oracle, images, labels, epsilon=3, max_queries=10, progress=False)
    mean, std = (torch.tensor(each)[:, None, None] for each in (networks.MEAN, networks.STD))
    names = {"torch": torch, "result": result, "model": model, "mean": mean, "std": std}
    exec(lines, {**names, "labels": torch.from_numpy(labels)}, names)
    assert 0 < result.summary().robust_accuracy < 7 / 8
    assert float(names["robust_accuracy"]) == result.summary().robust_accuracy


def test_the_picture_on_top_tells_of_the_attack_that_a_reader_gets(data: Path) -> None:
    pytest.importorskip("keras", reason="Keras is not installed")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from harness.inputs import load_model
    from pair import EPSILON, NAMES, attacked, photograph

    result = attacked(dfa.as_oracle(load_model(data, "mobilenet_v2_224.keras")), photograph())
    (record,) = result.records
    before, after = (NAMES[found] for found in (record.class_before, record.class_after) if found is not None)
    told = f"A {before} that MobileNetV2 takes for a {after} after {record.queries} queries"
    assert record.linf == EPSILON
    for page in (README, README.parent / "docs" / "index.md"):
        assert told in page.read_text(encoding="utf-8")
