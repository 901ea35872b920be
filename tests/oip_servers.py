"""A small server of the Open Inference Protocol on the loopback, written from the protocol and not from dfa."""

from __future__ import annotations

import contextlib
import json
import math
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = "Inference-Header-Content-Length"
TYPES: dict[str, str] = {
    "UINT8": "<u1",
    "INT8": "<i1",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": "|O",
}


@dataclass
class Model:
    """A model that is served.

    Attributes:
        predict: From what the input holds to what the outputs hold, by name.
        inputs: Name, datatype and shape of each; empty: the server does not tell.
        outputs: Likewise; of one that is not described, the datatype goes by the array.
        versions: Those that there are; the last answers where none is asked for.
        is_ready: Whether it is.
        spoil: Changes an answer's document before it is sent.
    """

    predict: Callable[[NDArray[Any]], dict[str, NDArray[Any]]]
    inputs: list[tuple[str, str, list[int]]]
    outputs: list[tuple[str, str, list[int]]]
    versions: list[str] = field(default_factory=lambda: ["1"])
    is_ready: bool = True
    spoil: Callable[[dict[str, Any]], Any] = lambda document: document


class OipServer(ThreadingHTTPServer):
    """Serves models until it is closed.

    Attributes:
        models: By name.
        extensions: What it says that it can.
        asked: Method and path of each request.
        received: The input of each request for answers, and its headers.
        lengths: Bytes of the body of each of these.
        clients: What is closed with it.
    """

    daemon_threads = True

    def __init__(self, models: dict[str, Model], extensions: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models = models
        self.extensions = extensions
        self.asked: list[tuple[str, str]] = []
        self.received: list[NDArray[Any]] = []
        self.headers: list[dict[str, str]] = []
        self.documents: list[dict[str, Any]] = []
        self.lengths: list[int] = []
        self.clients: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def serving(models: dict[str, Model], *, extensions: tuple[str, ...] = ("binary_tensor_data",)) -> Iterator[OipServer]:
    """Serve models while the block runs."""
    with OipServer(models, list(extensions)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            for client in server.clients:
                client.close()
            server.shutdown()
            thread.join()


class _ProblemError(Exception):
    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Heads and bodies in one packet: else each answer waits 40 ms for the head to be acknowledged.
    wbufsize = 2**16
    server: OipServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(self._told)

    def do_POST(self) -> None:
        self._answer(self._inferred)

    def _answer(self, make: Callable[[list[str]], tuple[dict[str, Any], bytes]]) -> None:
        self.server.asked.append((self.command, self.path))
        try:
            parts = self.path.split("/")[1:]
            if parts[0] != "v2":
                raise _ProblemError(404, "not found")
            document, behind = make(parts[1:])
            status = 200
        except _ProblemError as problem:
            status, document, behind = problem.status, {"error": str(problem)}, b""
        body = json.dumps(document).encode() if document is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if behind else "application/json")
        if behind:
            self.send_header(LENGTH, str(len(body)))
        self.send_header("Content-Length", str(len(body + behind)))
        self.end_headers()
        self.wfile.write(body + behind)

    def _told(self, parts: list[str]) -> tuple[dict[str, Any], bytes]:
        if not parts:
            return {"name": "small", "version": "9.9", "extensions": self.server.extensions}, b""
        model, _, rest = self._model(parts)
        if rest == ["ready"]:
            if not model.is_ready:
                raise _ProblemError(503, f"{parts[1]} is still loading")
            return {}, b""
        tensors = [
            [{"name": name, "datatype": kind, "shape": shape} for name, kind, shape in side]
            for side in (model.inputs, model.outputs)
        ]
        told = {"name": parts[1], "versions": model.versions, "platform": "small_numpy"}
        return told | {"inputs": tensors[0], "outputs": tensors[1]}, b""

    def _model(self, parts: list[str]) -> tuple[Model, str, list[str]]:
        model = self.server.models.get(parts[1]) if parts[0] == "models" else None
        if model is None:
            raise _ProblemError(404, f"Request for unknown model: '{parts[1]}' is not found")
        if parts[2:3] != ["versions"]:
            return model, model.versions[-1], parts[2:]
        if parts[3] not in model.versions:
            raise _ProblemError(404, f"no version {parts[3]}")
        return model, parts[3], parts[4:]

    def _inferred(self, parts: list[str]) -> tuple[dict[str, Any], bytes]:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        model, version, rest = self._model(parts)
        if rest != ["infer"]:
            raise _ProblemError(404, "not found")
        size = int(self.headers.get(LENGTH, len(body)))
        document = json.loads(body[:size])
        (sent,) = document["inputs"]
        if model.inputs and sent["name"] not in [name for name, _, _ in model.inputs]:
            raise _ProblemError(400, f"unexpected inference input '{sent['name']}'")
        binary = sent.get("parameters", {}).get("binary_data_size")
        if binary is not None and "binary_tensor_data" not in self.server.extensions:
            raise _ProblemError(400, "no binary data here")
        dtype = np.dtype(TYPES[sent["datatype"]])
        flat = np.array(sent["data"], dtype) if binary is None else np.frombuffer(body[size:], dtype)
        assert binary in (None, len(body) - size)
        self.server.lengths.append(len(body))
        self.server.received.append(flat.reshape(sent["shape"]))
        self.server.headers.append(dict(self.headers))
        self.server.documents.append(document)
        wanted = {each["name"]: each.get("parameters", {}) for each in document.get("outputs", ())}
        given = model.predict(self.server.received[-1])
        every = document.get("parameters", {}).get("binary_data_output", False)
        kinds = {name: kind for name, kind, _ in model.outputs}
        outputs, behind = [], b""
        for name in wanted or given:
            parameters = wanted.get(name, {})
            if name not in given:
                raise _ProblemError(400, f"unexpected inference output '{name}'")
            output, data = _output(name, given[name], kinds.get(name), parameters, parameters.get("binary_data", every))
            outputs.append(output)
            behind += data
        told = {"model_name": parts[1], "model_version": version, "outputs": outputs}
        return model.spoil(told), behind


def _output(
    name: str, values: NDArray[Any], kind: str | None, parameters: dict[str, Any], is_binary: bool
) -> tuple[dict[str, Any], bytes]:
    if "classification" in parameters and values.dtype.kind == "f":
        order = np.argsort(-values, axis=1, kind="stable")[:, : parameters["classification"]]
        rows = zip(values, order, strict=True)
        values = np.array([[f"{row[at]:f}:{at}:name {at}" for at in best] for row, best in rows], object)
        kind = "BYTES"
    if kind is None:
        kind = next((each for each, code in TYPES.items() if np.dtype(code) == values.dtype), "BYTES")
    values = values.astype(TYPES[kind])
    output = {"name": name, "datatype": kind, "shape": list(values.shape)}
    if not is_binary:
        return output | {"data": values.reshape(-1).tolist()}, b""
    if kind == "BYTES":
        texts = [text.encode() for text in values.reshape(-1)]
        data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    else:
        data = values.tobytes()
        assert len(data) == math.prod(values.shape) * values.dtype.itemsize
    return output | {"parameters": {"binary_data_size": len(data)}}, data
