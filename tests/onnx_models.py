"""Small ONNX models, made here. They need the package onnx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}
Sides = Sequence[int | str | None] | None


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: dict[str, tuple[str, Sides]],
    outputs: dict[str, tuple[str, Sides]],
    weights: dict[str, NDArray[Any]] | None = None,
    *,
    value_types: Sequence[Any] = (),
    external: str | None = None,
) -> Path:
    """Save a graph of nodes; `value_types` are outputs that are no tensors, `external` a file for the weights."""
    declared = [
        [helper.make_tensor_value_info(name, TYPES[dtype], sides) for name, (dtype, sides) in side.items()]
        for side in (inputs, outputs)
    ]
    constants = [numpy_helper.from_array(values, name) for name, values in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "small", declared[0], [*declared[1], *value_types], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options: dict[str, Any] = {}
    if external is not None:
        options = {"save_as_external_data": True, "location": external, "size_threshold": 0}
    onnx.save_model(model, str(path), **options)
    return path


def echo(path: Path, sides: Sides, dtype: str = "float32") -> Path:
    """Save a model that answers with what it was given, flattened, in float32."""
    nodes = [
        helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["y"]),
    ]
    return save(path, nodes, {"x": (dtype, sides)}, {"y": ("float32", ["n", None])})


def classifier(
    path: Path, sides: Sequence[int | str | None], num_classes: int = 7, seed: int = 5, external: str | None = None
) -> Path:
    """Save a linear classifier of images in 0..1, with a softmax."""
    size = int(np.prod([side for side in sides[1:] if isinstance(side, int)]))
    weights = np.random.default_rng(seed).normal(size=(size, num_classes)).astype(np.float32)
    weights -= weights.mean(axis=0)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    outputs: dict[str, tuple[str, Sides]] = {"p": ("float32", [sides[0], num_classes])}
    return save(path, nodes, {"x": ("float32", sides)}, outputs, {"w": weights}, external=external)


def tells_rows(path: Path, sides: Sequence[int | str | None]) -> Path:
    """Save a linear classifier whose logits depend on the number of rows that it is given, as last bits do."""
    size = int(np.prod([side for side in sides[1:] if isinstance(side, int)]))
    weights = np.random.default_rng(5).normal(size=(size, 4)).astype(np.float32)
    weights -= weights.mean(axis=0)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["z"]),
        helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
        helper.make_node("Cast", ["rows"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "one"], ["share"]),
        helper.make_node("Add", ["z", "share"], ["y"]),
    ]
    one = np.array([0.01, 0, 0, 0], dtype=np.float32)
    outputs: dict[str, tuple[str, Sides]] = {"y": ("float32", [sides[0], 4])}
    return save(path, nodes, {"x": ("float32", sides)}, outputs, {"w": weights, "one": one})
