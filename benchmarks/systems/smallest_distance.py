"""Attacks for the smallest distance, whose vectors Tables 4, 8 and 9 and the rows of the repair share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from systems.context import Context, Result, Subject
from systems.counting import audit_of, figures_of
from systems.libraries import import_library
from systems.zoo import Schedule, zoo, zoo_on_tiles


@dataclass(frozen=True)
class _Foolbox:
    """An attack of Foolbox.

    Attributes:
        name: Its class there.
        words: Its arguments, to be read.
        arguments: Those that are not its defaults.
    """

    name: str
    words: str = "defaults"
    arguments: dict[str, int] = field(default_factory=dict)

    def run(self, subject: Subject, targets: Any) -> Any:
        """Return vectors, untargeted or towards targets."""
        foolbox = import_library("foolbox")
        model = foolbox.PyTorchModel(subject.module, bounds=(0, 1), device="cpu")
        attack = getattr(foolbox.attacks, self.name)(**self.arguments)
        x, y = subject.tensors
        if targets is None:
            return attack(model, x, foolbox.criteria.Misclassification(y), epsilons=None)[1].numpy()
        # The Boundary Attack starts from an image of the target class, as the paper's DBA does.
        starts = {"starting_points": subject.starts(targets)} if self.name == "BoundaryAttack" else {}
        criterion = foolbox.criteria.TargetedMisclassification(torch.tensor(targets))
        return attack(model, x, criterion, epsilons=None, **starts)[1].numpy()

    @property
    def note(self) -> str:
        """Return how the vectors are made."""
        return f"Foolbox {import_library('foolbox').__version__}, {self.name}, {self.words}"


@dataclass(frozen=True)
class _Zoo:
    """Our ZOO."""

    schedule: Schedule
    words: str
    name: str = "ZOO"
    tiles: int | None = None

    def run(self, subject: Subject, targets: Any) -> Any:
        """Return vectors, untargeted or towards targets."""
        x, y = subject.tensors
        goals = y if targets is None else torch.tensor(targets)
        attack = zoo if self.tiles is None else partial(zoo_on_tiles, tiles=self.tiles)
        vectors, _ = attack(subject.module, x, goals, targeted=targets is not None, schedule=self.schedule)
        return vectors.numpy()

    @property
    def note(self) -> str:
        """Return how the vectors are made."""
        return f"ZOO-ADAM in torch, 128 coordinates at once, {self.words}"


Minimal = _Foolbox | _Zoo


def boundary_attack(steps: int) -> Minimal:
    """Return Foolbox's Boundary Attack of so many steps."""
    return _Foolbox("BoundaryAttack", f"{steps:,} steps", {"steps": steps})


def zoo_by_tiles(max_queries: int) -> Minimal:
    """Return ZOO as its authors run it on ImageNet: on tiles, until the first adversarial vector."""
    words = f"one constant of 10 until the first adversarial vector, 32 x 32 tiles, at most {max_queries:,} queries"
    return _Zoo(Schedule(searches=1, constant=10.0, max_queries=max_queries, first_success=True), words, tiles=32)


_ON_LENET = _Zoo(
    Schedule(constant=1.0, max_queries=80_000),
    "the authors' 9 constants of at most 3,000 steps from a constant of 1, 80,000 queries",
)
_ATTACKS: dict[tuple[str, str], Minimal] = {
    ("lenet", "C&W L2"): _Foolbox("L2CarliniWagnerAttack", "9 x 500 steps", {"steps": 500}),
    ("demo", "C&W L2"): _Foolbox("L2CarliniWagnerAttack", "9 x 500 steps", {"steps": 500}),
    ("resnet", "C&W L2"): _Foolbox("L2CarliniWagnerAttack", "9 x 100 steps", {"steps": 100}),
    ("lenet", "DeepFool"): _Foolbox("L2DeepFoolAttack"),
    ("demo", "DeepFool"): _Foolbox("L2DeepFoolAttack"),
    ("resnet", "DeepFool"): _Foolbox("L2DeepFoolAttack"),
    ("lenet", "Boundary"): _Foolbox("BoundaryAttack", "defaults (25,000 steps)"),
    ("demo", "Boundary"): _Foolbox("BoundaryAttack", "defaults (25,000 steps)"),
    ("resnet", "Boundary"): _Foolbox("BoundaryAttack", "4,000 steps", {"steps": 4_000}),
    ("lenet", "ZOO"): _ON_LENET,
    ("demo", "ZOO"): _ON_LENET,
    ("resnet", "ZOO"): _Zoo(
        Schedule(searches=1, constant=10.0, max_queries=10_000, first_success=True),
        "one constant of 10 until the first adversarial vector, as the authors on ImageNet, at most 10,000 queries",
    ),
}
"""The attacks, by the model and the name that the rows have for them."""


_PART = 10
"""Images of a file of vectors, where there are several."""


def smallest_vectors(
    which: str, system: str, context: Context, rank: int | None = None
) -> tuple[Subject, Any, float, str]:
    """Return a subject, an attack's vectors for it, the seconds they took, and how they were made.

    Args:
        which: Name of the subject in the context.
        system: Of the attack.
        context: Where the subject is, and the folder that keeps the vectors.
        rank: Of the target's likelihood, if targeted.
    """
    attack = _ATTACKS[which, system]
    subject: Subject = getattr(context, which)
    targets = None if rank is None else subject.targets(rank)
    name = f"{which}-{attack.name}" + ("" if rank is None else f"-rank-{rank}")
    # What takes images one by one is kept in parts, so that a row that is stopped goes on.
    size = _PART if isinstance(attack, _Zoo) else len(subject.images)
    parts = []
    for first in range(0, len(subject.images), size):
        chosen = slice(first, first + size)
        part = replace(subject, images=subject.images[chosen], labels=subject.labels[chosen])
        aims = None if targets is None else targets[chosen]
        made_of = (attack, part.images, part.labels, aims)
        parts.append(context.kept(f"{name}-{first}", partial(attack.run, part, aims), *made_of))
    vectors = np.concatenate([each for each, _ in parts])
    return subject, vectors, sum(seconds for _, seconds in parts), attack.note


def measure_smallest(which: str, system: str, context: Context) -> Result:
    """Return a row of Table 4 of one of these attacks."""
    subject, vectors, seconds, note = smallest_vectors(which, system, context)
    return figures_of(audit_of(subject, vectors), seconds, note=note)


def measure_within(which: str, system: str, context: Context, *, rank: int | None = None) -> Result:
    """Return a row of Tables 8 and 9 of one of these attacks: within epsilon, and at any distance beside it."""
    subject, vectors, seconds, note = smallest_vectors(which, system, context, rank)
    targets = None if rank is None else subject.targets(rank)
    audited = audit_of(subject, np.asarray(vectors), targets=targets)
    return figures_of(audited, seconds, epsilon=subject.epsilon, note=f"{note}; for the smallest L2 distance")
