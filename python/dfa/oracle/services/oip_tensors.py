"""Tensors of the Open Inference Protocol, and how they go over the wire: as JSON, or as bytes behind it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfa.checks import is_integer
from dfa.errors import InvalidInputError, OracleError
from dfa.oracle.adapters.onnx_forms import Tensor
from dfa.oracle.services.transport import BrokenReplyError, Reply

LENGTH_HEADER: Final = "Inference-Header-Content-Length"
"""Says how many bytes of a body are JSON; the tensors lie behind them."""

TEXT: Final = "BYTES"
"""The protocol's word for strings."""

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
_MOST_SHOWN: Final = 200
"""Characters of what a server says, in messages."""


@dataclass(frozen=True)
class OipTensor(Tensor):
    """An input or output as a server describes it; `kind` is the protocol's word for its type, such as "FP32"."""

    @classmethod
    def read(cls, described: Any, whose: str) -> OipTensor:
        """Return what a document of the protocol says of a tensor.

        Args:
            described: A dict of name, datatype and shape.
            whose: What messages call it.

        Raises:
            InvalidInputError: It is none.
        """
        shape = described.get("shape") if isinstance(described, Mapping) else None
        is_tensor = (
            isinstance(shape, list | tuple)
            and all(is_integer(side) and side >= -1 for side in shape)
            and all(isinstance(described.get(name), str) for name in ("name", "datatype"))
        )
        if not is_tensor:
            raise InvalidInputError(
                f"{whose} must be described as the protocol does, such as "
                f"{{'name': 'x', 'datatype': 'FP32', 'shape': [-1, 3, 32, 32]}}, got {cut(repr(described))}"
            )
        return cls(
            described["name"], described["datatype"], tuple(None if side < 0 else int(side) for side in shape or ())
        )

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Of numbers; None of strings and of what NumPy has no type for."""
        return _DTYPES.get(self.kind)


class Body(NamedTuple):
    """The body of a request, and the headers that describe it."""

    content: bytes
    content_type: str
    headers: dict[str, str]


class Answered(NamedTuple):
    """An output of a reply.

    Attributes:
        tensor: Its name, type and shape.
        values: Of that shape; strings as objects.
    """

    tensor: OipTensor
    values: NDArray[Any]


class Outputs(NamedTuple):
    """What a reply holds.

    Attributes:
        version: Of the model that answered, or None where it does not say.
        answers: Its outputs, by name.
    """

    version: str | None
    answers: dict[str, Answered]


def cut(text: str) -> str:
    """Return the beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}..."


def request_of(
    taken: Tensor, values: NDArray[Any], wanted: str | None, *, is_binary: bool, num_classes: int | None = None
) -> Body:
    """Return the body of a request.

    Args:
        taken: The model's input.
        values: (n, ...), of its dtype.
        wanted: The name of the output that is wanted; None for whatever the server gives.
        is_binary: Whether tensors lie as bytes behind the JSON, also in the reply.
        num_classes: As how many classes, the likeliest first, the output is wanted; None for the output itself.

    Raises:
        InvalidInputError: JSON has no words for the values.
    """
    sent: dict[str, Any] = {"name": taken.name, "shape": list(values.shape), "datatype": taken.kind}
    document: dict[str, Any] = {"inputs": [sent]}
    parameters: dict[str, Any] = {} if num_classes is None else {"classification": num_classes}
    if is_binary and wanted is not None:
        parameters["binary_data"] = True
    elif is_binary:
        document["parameters"] = {"binary_data_output": True}
    if wanted is not None:
        document["outputs"] = [{"name": wanted} | ({"parameters": parameters} if parameters else {})]
    if is_binary:
        data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        sent["parameters"] = {"binary_data_size": data.nbytes}
        header = json.dumps(document).encode()
        content = b"".join((header, data.data))
        return Body(content, "application/octet-stream", {LENGTH_HEADER: str(len(header))})
    sent["data"] = None
    text = json.dumps(document).replace('"data": null', f'"data": [{_numbers(values)}]', 1)
    return Body(text.encode(), "application/json", {})


def _numbers(values: NDArray[Any]) -> str:
    """Return numbers as JSON has them, each as short as it is told from all others of its dtype.

    Images hold few numbers many times: each is written once, which is ten times as fast as to write all.
    """
    distinct, places = np.unique(values, return_inverse=True)
    if not np.isfinite(distinct).all():
        raise InvalidInputError("preprocess must make finite numbers, since JSON has no others")
    return ",".join(map(distinct.astype(str).tolist().__getitem__, places.reshape(-1).tolist()))


def outputs_of(reply: Reply) -> Outputs:
    """Return the outputs that a reply holds.

    Raises:
        BrokenReplyError: It is none that can be read; to be asked for again.
        OracleError: It is no answer of the protocol.
    """
    length = (reply.headers.get(LENGTH_HEADER) or "").strip()
    # A proxy may leave a header out that it does not know, and must not make a reply of another length of it.
    size = int(length) if length.isascii() and length.isdigit() else len(reply.body)
    try:
        document = json.loads(reply.body[:size])
    except (ValueError, RecursionError) as error:
        raise BrokenReplyError("the reply is no JSON") from error
    if not isinstance(document, dict) or document.get("error") is not None:
        what = document.get("error") if isinstance(document, dict) else document
        raise OracleError(f"the server answers with {'the error ' if document is not what else ''}{cut(repr(what))}")
    given = document.get("outputs")
    if not isinstance(given, list):
        raise OracleError(f"the server must answer with outputs, and answers with {cut(repr(document))}")
    answers, behind = {}, size
    for described in given:
        try:
            tensor = OipTensor.read(described, "an output")
        except InvalidInputError as error:
            raise OracleError(f"the server's answer: {error}") from None
        parameters = described.get("parameters") or {}
        binary = parameters.get("binary_data_size") if isinstance(parameters, Mapping) else None
        if is_integer(binary) and "data" not in described:
            data: Any = reply.body[behind : behind + binary]
            behind += binary
        else:
            data = described.get("data")
        answers[tensor.name] = Answered(tensor, _values(tensor, data))
    if behind != len(reply.body):
        raise BrokenReplyError(f"the reply has {len(reply.body)} bytes, and its outputs speak of {behind}")
    version = document.get("model_version")
    return Outputs(str(version) if isinstance(version, str | int) and version != "" else None, answers)


def _values(tensor: OipTensor, data: Any) -> NDArray[Any]:
    """Return the values of an output: of bytes, or as JSON has them, nested or not."""
    if tensor.dtype is None and tensor.kind != TEXT:
        raise OracleError(f"the server answers with {tensor}, a type that dfa does not read")
    try:
        values = _of_bytes(tensor, data) if isinstance(data, bytes) else _of_json(tensor, data)
        return values.reshape([side if side is not None else -1 for side in tensor.shape])
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        kind = f"{len(data)} bytes" if isinstance(data, bytes) else cut(repr(data))
        raise OracleError(f"the server answers with {tensor}, whose data are none ({error}): {kind}") from error


def _of_bytes(tensor: OipTensor, data: bytes) -> NDArray[Any]:
    if tensor.dtype is not None:
        return np.frombuffer(data, tensor.dtype.newbyteorder("<")).astype(tensor.dtype)
    texts, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        (text,) = struct.unpack_from(f"{size}s", data, at + 4)
        texts.append(text.decode())
        at += 4 + size
    return np.array(texts, dtype=object)


def _of_json(tensor: OipTensor, data: Any) -> NDArray[Any]:
    if not isinstance(data, list):
        raise TypeError("no list")
    if tensor.dtype is not None:
        values = np.array(data)
        # None stands for what JSON has no word for.
        if values.dtype.kind not in "biufO":
            raise TypeError(f"{values.dtype} instead of numbers")
        return values.astype(tensor.dtype)
    flat = _leaves(data)
    if not all(isinstance(text, str) for text in flat):
        raise TypeError("no strings")
    # As many as came, whatever the shape claims.
    texts = np.empty(len(flat), dtype=object)
    texts[:] = flat
    return texts


def _leaves(data: Any) -> list[Any]:
    return [leaf for each in data for leaf in _leaves(each)] if isinstance(data, list) else [data]
