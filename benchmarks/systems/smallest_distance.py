"""Foolbox's attacks for the smallest distance, whose vectors Table 4 and the rows of the repair share."""

from __future__ import annotations

from typing import Any

from systems.context import Context, Result, Subject, audit_of, figures_of
from systems.libraries import import_library

_ATTACKS: dict[tuple[str, str], tuple[int, str, dict[str, int], str]] = {
    ("lenet", "C&W L2"): (20, "L2CarliniWagnerAttack", {"steps": 200}, "9 x 200 steps"),
    ("resnet", "C&W L2"): (
        50,
        "L2CarliniWagnerAttack",
        {"binary_search_steps": 6, "steps": 100},
        "6 x 100 steps",
    ),
    ("demo", "C&W L2"): (20, "L2CarliniWagnerAttack", {"steps": 200}, "9 x 200 steps"),
    ("lenet", "DeepFool"): (50, "L2DeepFoolAttack", {}, "defaults"),
    ("demo", "DeepFool"): (50, "L2DeepFoolAttack", {}, "defaults"),
    ("resnet", "DeepFool"): (50, "L2DeepFoolAttack", {}, "defaults"),
    ("lenet", "Boundary"): (20, "BoundaryAttack", {"steps": 1_000}, "1,000 steps"),
    ("demo", "Boundary"): (20, "BoundaryAttack", {"steps": 1_000}, "1,000 steps"),
    ("resnet", "Boundary"): (10, "BoundaryAttack", {"steps": 1_000}, "1,000 steps"),
}
"""Foolbox's attacks for the smallest distance: images, class, arguments, and these in words."""


def smallest_vectors(which: str, system: str, context: Context) -> tuple[Subject, Any, float, str]:
    """Return a subject, an attack's vectors for it, the seconds they took, and how they were made.

    Table 4 and the rows of the repair share the vectors, which are kept in a file.
    """
    foolbox = import_library("foolbox")
    number, name, arguments, words = _ATTACKS[which, system]
    subject = getattr(context, which).first(number)

    def make() -> Any:
        model = foolbox.PyTorchModel(subject.module, bounds=(0, 1), device="cpu")
        x, y = subject.tensors
        attack = getattr(foolbox.attacks, name)(**arguments)
        return attack(model, x, foolbox.criteria.Misclassification(y), epsilons=None)[1].numpy()

    vectors, seconds = context.kept(f"{which}-{name}", make)
    note = f"Foolbox {foolbox.__version__}, {name}, {words}"
    return subject.first(len(vectors)), vectors, seconds, note


def measure_smallest(which: str, system: str, context: Context) -> Result:
    """Return a row of Table 4 of one of these attacks."""
    subject, vectors, seconds, note = smallest_vectors(which, system, context)
    return figures_of(audit_of(subject, vectors), seconds, note=note)
