"""The attacks of Foolbox, torchattacks and ART, as functions from a subject to what a row reports."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch

from systems.context import Result, Subject
from systems.counting import attack_and_audit
from systems.rows import CannotRunError


def import_library(name: str) -> Any:
    """Return a library, or say that its row cannot run without it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CannotRunError(f"{name.partition('.')[0]} is not installed ({error})") from error


def foolbox_attack(attack: str, *, epsilons: float | None = None, note: str = "", **arguments: Any) -> Any:
    """Return an attack of Foolbox by its name there, for PyTorch models on the CPU."""

    def run(subject: Subject, **rest: Any) -> Result:
        foolbox = import_library("foolbox")
        model = foolbox.PyTorchModel(subject.module, bounds=(0, 1), device="cpu")
        made = getattr(foolbox.attacks, attack)(**arguments)

        def attacked(x: Any, y: Any) -> Any:
            criterion = foolbox.criteria.Misclassification(y)
            if rest.get("targets") is not None:
                criterion = foolbox.criteria.TargetedMisclassification(y)
            return made(model, x, criterion, epsilons=epsilons)[1]

        return attack_and_audit(subject, attacked, note=f"Foolbox {foolbox.__version__}, {attack}{note}", **rest)

    return run


def torchattacks_attack(attack: str, *, note: str = "", **arguments: Any) -> Any:
    """Return an attack of torchattacks by its name there."""

    def run(subject: Subject, **rest: Any) -> Result:
        torchattacks = import_library("torchattacks")
        made = getattr(torchattacks, attack)(subject.module, **arguments)
        return attack_and_audit(subject, made, note=f"torchattacks, {attack}{note}", **rest)

    return run


def art_attack(attack: str, *, note: str = "", labels: bool = True, **arguments: Any) -> Any:
    """Return an attack of ART by its name there; without `labels` it takes the model's answers for them."""

    def run(subject: Subject, **rest: Any) -> Result:
        art = import_library("art")
        evasion = import_library("art.attacks.evasion")
        classification = import_library("art.estimators.classification")
        shape = tuple(np.moveaxis(subject.images[0], -1, 0).shape)
        classifier = classification.PyTorchClassifier(
            subject.module, torch.nn.CrossEntropyLoss(), shape, 10, clip_values=(0.0, 1.0), device_type="cpu"
        )
        made = getattr(evasion, attack)(classifier, **arguments)

        def attacked(x: Any, y: Any) -> Any:
            return torch.tensor(made.generate(x=x.numpy(), y=y.numpy() if labels else None))

        return attack_and_audit(subject, attacked, note=f"ART {art.__version__}, {attack}{note}", **rest)

    return run
