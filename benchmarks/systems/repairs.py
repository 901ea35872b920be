"""The rows of `dfa.repair`: how much of an attack's GAP it closes."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import dfa
from systems.context import SPACE, Context, Result
from systems.counting import audit_of, figures_of
from systems.rows import Row
from systems.smallest_distance import smallest_vectors


def _repaired(which: str, system: str, context: Context) -> Result:
    """Return a row of `dfa.repair`: how much of an attack's GAP it closes, by stage."""
    subject, vectors, seconds, note = smallest_vectors(which, system, context)
    audited = audit_of(subject, vectors)
    found = {}
    for name, stages in {
        "default": ("outward", "stochastic", "blocks"),
        "outward": ("outward",),
        "stochastic": ("stochastic",),
        "blocks": ("blocks",),
        "coordinates": ("coordinates",),
    }.items():
        repaired = dfa.repair(
            subject.keras_model,
            subject.images,
            vectors,
            subject.labels,
            normalizer=SPACE,
            claimed=audited.report.adversarial_vector,
            stages=stages,
        )
        found[name] = asdict(repaired.summary())
    note = f"{note}; repaired within the vector's own L-infinity, rounded up"
    return figures_of(audited, seconds, note=note) | {"repair": found}


REPAIRS = [
    Row("repair", system, model, partial(_repaired, which, system))
    for model, which in (("LeNet-1", "lenet"), ("ResNet-20", "resnet"))
    for system in ("C&W L2", "DeepFool", "Boundary")
]
