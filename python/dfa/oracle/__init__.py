"""What is attacked: models, seen through their answers only, and counted."""

from __future__ import annotations

from dfa.oracle.adapters.jax import JaxOracle
from dfa.oracle.adapters.keras import KerasOracle
from dfa.oracle.adapters.onnx import OnnxOracle
from dfa.oracle.adapters.scikit_learn import SklearnOracle
from dfa.oracle.adapters.tflite import TfliteOracle
from dfa.oracle.adapters.torch import TorchOracle
from dfa.oracle.adapters.torch_hubs import from_timm, from_torchvision, from_transformers
from dfa.oracle.base import Oracle, Preprocess, ScoreKind
from dfa.oracle.callable import CallableOracle
from dfa.oracle.choice import as_oracle, label_only, top_1, top_k
from dfa.oracle.one_by_one import OneByOne
from dfa.oracle.restricted import RestrictedOracle
from dfa.oracle.services.credentials import FromEnvironment
from dfa.oracle.services.http import HttpOracle
from dfa.oracle.services.oip import OipOracle

__all__ = [
    "CallableOracle",
    "FromEnvironment",
    "HttpOracle",
    "JaxOracle",
    "KerasOracle",
    "OipOracle",
    "OneByOne",
    "OnnxOracle",
    "Oracle",
    "Preprocess",
    "RestrictedOracle",
    "ScoreKind",
    "SklearnOracle",
    "TfliteOracle",
    "TorchOracle",
    "as_oracle",
    "from_timm",
    "from_torchvision",
    "from_transformers",
    "label_only",
    "top_1",
    "top_k",
]
