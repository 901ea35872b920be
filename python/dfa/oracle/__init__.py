"""What is attacked: models, seen through their answers only, and counted."""

from __future__ import annotations

from dfa.oracle.choice import as_oracle, label_only, top_1, top_k
from dfa.oracle.base import Oracle, Preprocess, ScoreKind
from dfa.oracle.callable import CallableOracle
from dfa.oracle.adapters.keras import KerasOracle
from dfa.oracle.one_by_one import OneByOne
from dfa.oracle.restricted import RestrictedOracle
from dfa.oracle.adapters.tflite import TfliteOracle

__all__ = [
    "CallableOracle",
    "KerasOracle",
    "OneByOne",
    "Oracle",
    "Preprocess",
    "RestrictedOracle",
    "ScoreKind",
    "TfliteOracle",
    "as_oracle",
    "label_only",
    "top_1",
    "top_k",
]
