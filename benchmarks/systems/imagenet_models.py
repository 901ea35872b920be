"""The ImageNet models of the data folder as torch modules, made from their ONNX files.

Each is checked against the file's own answers in ONNX Runtime.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

import dfa
from harness.inputs import load_model, require_file
from systems.torch_models import AGREE

FILES: Final = {"MobileNetV2-224": "mobilenet_v2_224.onnx", "SqueezeNet 1.1": "squeezenet11.onnx"}
"""The file of each model."""

_BATCH: Final = 16
"""Images that ONNX Runtime is asked about at once: what lies between the layers of more does not fit a CPU's caches."""

Inputs = list[Tensor]
Attributes = dict[str, Any]


class OnnxGraph(nn.Module):
    """A classifier of an ONNX file: vectors (n, 3, H, W) in 0..1 to logits, what its last layer's softmax is of.

    The file takes grey levels, (n, H, W, 3), and answers probabilities. Where nobody asks for gradients, ONNX Runtime
    answers, with as many threads as torch has: on a CPU it is two to four times faster, and most attacks only ask.
    """

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            ValueError: It has an operator that is not known here, or does not end in a softmax.
        """
        super().__init__()
        onnx, runtime = (importlib.import_module(name) for name in ("onnx", "onnxruntime"))
        model = onnx.load(path)
        graph = model.graph
        if graph.node[-1].op_type != "Softmax":
            raise ValueError(f"{path} ends in {graph.node[-1].op_type}, not in a softmax")
        self._input, self._output = graph.input[0].name, graph.node[-1].input[0]
        self._steps = []
        for node in graph.node[:-1]:
            if node.op_type not in _OPERATORS:
                raise ValueError(f"{path} has the operator {node.op_type}, which is not known here")
            attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            self._steps.append((_OPERATORS[node.op_type], list(node.input), node.output[0], attributes))
        # Buffers may not be called what constants are.
        self._names = {each.name: f"constant_{number}" for number, each in enumerate(graph.initializer)}
        for each in graph.initializer:
            constant = torch.tensor(onnx.numpy_helper.to_array(each))
            if constant.ndim == 4:  # the images' own order, in which the way back takes two thirds of the time
                constant = constant.contiguous(memory_format=torch.channels_last)
            self.register_buffer(self._names[each.name], constant)
        del graph.node[-1], graph.output[:]
        graph.output.append(onnx.helper.make_empty_tensor_value_info(self._output))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        images = x.permute(0, 2, 3, 1) * 255
        if not (torch.is_grad_enabled() and x.requires_grad):
            parts = [each.contiguous().numpy() for each in images.split(_BATCH)]
            return torch.cat([torch.from_numpy(self._session.run(None, {self._input: each})[0]) for each in parts])
        known = {name: self.get_buffer(buffer) for name, buffer in self._names.items()}
        known[self._input] = images
        for operator, inputs, output, attributes in self._steps:
            known[output] = operator([known[name] for name in inputs], attributes)
        return known[self._output]


def _convolution(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, weight, bias = inputs
    top, left, bottom, right = attributes["pads"]
    padding = (top, left)
    if (top, left) != (bottom, right):
        x, padding = nn.functional.pad(x, (left, right, top, bottom)), (0, 0)
    return nn.functional.conv2d(x, weight, bias, attributes["strides"], padding, groups=attributes["group"])


def _max_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    return nn.functional.max_pool2d(
        inputs[0], attributes["kernel_shape"], attributes["strides"], ceil_mode=bool(attributes["ceil_mode"])
    )


_OPERATORS: dict[str, Callable[[Inputs, Attributes], Tensor]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    # A clamp's way back takes longer than the convolutions.
    "Clip": lambda inputs, _: nn.functional.hardtanh(inputs[0], float(inputs[1]), float(inputs[2])),
    "Concat": lambda inputs, attributes: torch.cat(inputs, attributes["axis"]),
    "Conv": _convolution,
    "Flatten": lambda inputs, _: inputs[0].flatten(1),
    "Gather": lambda inputs, attributes: inputs[0].index_select(attributes["axis"], inputs[1]),
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Relu": lambda inputs, _: torch.relu(inputs[0]),
    "Reshape": lambda inputs, _: inputs[0].reshape(inputs[1].tolist()),
    "Transpose": lambda inputs, attributes: inputs[0].permute(attributes["perm"]),
}
"""What the two files have, as far as they have it: pools without padding, convolutions without dilation."""


def imagenet_model(data: Path, name: str) -> tuple[OnnxGraph, dfa.Oracle]:
    """Return a model of `FILES` as a torch module, and the oracle of the file that it equals.

    Raises:
        MissingInputError: There is no such file in the data folder.
        AssertionError: The module's probabilities are not those of the file.
    """
    module = OnnxGraph(require_file(data / "models" / FILES[name])).eval()
    oracle: dfa.Oracle = load_model(data, FILES[name])
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    oracle.prepare(images.shape[1:], len(images))
    wanted = torch.tensor(np.asarray(oracle.scores(images)))
    x = torch.tensor(images).permute(0, 3, 1, 2) / 255
    for vectors in (x, x.clone().requires_grad_()):
        difference = float((module(vectors).detach().softmax(1) - wanted).abs().max())
        if not difference < AGREE:
            raise AssertionError(f"the torch module's probabilities differ from those of {name} by {difference:.3g}")
    return module, oracle
