"""A classifier of digits on a real inference server; run by the Python that has the server, which has no dfa.

    python oip_digits.py mlserver|kserve FOLDER PORT [PORT PORT]

It writes what the classifier is, `weights.npz`, into the folder before it serves.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

INPUT = {"name": "x", "datatype": "FP64", "shape": [-1, 64]}
OUTPUTS = [
    {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 10]},
    {"name": "predict", "datatype": "INT64", "shape": [-1]},
]


def fitted(folder: Path) -> Any:
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(images / 16, labels)
    np.savez(folder / "weights.npz", coefficients=model.coef_, intercept=model.intercept_)
    return model


def mlserver(folder: Path, ports: list[int]) -> None:
    import joblib

    joblib.dump(fitted(folder), folder / "model.joblib")
    settings = dict(zip(("http_port", "grpc_port", "metrics_port"), ports, strict=True))
    settings |= {"host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    for name, described in (("digits", {"inputs": [INPUT], "outputs": OUTPUTS}), ("undescribed", {})):
        parameters = {"uri": str(folder / "model.joblib"), "version": "v1"}
        model = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters}
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(json.dumps(model | described))
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", str(folder)])


def kserve(folder: Path, ports: list[int]) -> None:
    from kserve import InferOutput, InferResponse, Model, ModelServer

    class Digits(Model):
        def __init__(self) -> None:
            super().__init__("digits")
            self._model = fitted(folder)
            self.ready = True

        async def get_input_types(self) -> list[dict[str, Any]]:
            return [INPUT]

        async def get_output_types(self) -> list[dict[str, Any]]:
            return OUTPUTS

        def predict(self, request: Any, headers: Any = None, response_headers: Any = None) -> Any:
            taken = request.inputs[0].as_numpy()
            outputs = []
            for wanted in request.request_outputs:
                values = getattr(self._model, wanted.name)(taken)
                outputs.append(InferOutput(wanted.name, list(values.shape), "FP64" if values.ndim > 1 else "INT64"))
                outputs[-1].set_data_from_numpy(values, binary_data=bool(wanted.binary_data))
            return InferResponse("1", "digits", outputs, requested_outputs=request.request_outputs)

    ModelServer(http_port=ports[0], enable_grpc=False, workers=1).start([Digits()])


if __name__ == "__main__":
    {"mlserver": mlserver, "kserve": kserve}[sys.argv[1]](Path(sys.argv[2]), list(map(int, sys.argv[3:])))
