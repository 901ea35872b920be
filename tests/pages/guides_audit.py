"""What the guide to audits is run in: what "Coming from" is, and vectors of Foolbox's PGD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages import guides_coming_from


def names(data: Path) -> dict[str, Any]:
    prepared = guides_coming_from.names(data)
    import foolbox

    bounded = foolbox.PyTorchModel(prepared["model"], bounds=(0, 1))
    _, vectors, _ = foolbox.attacks.LinfPGD(steps=5)(bounded, prepared["x"], prepared["y"], epsilons=8 / 255)
    return prepared | {"adversarial": vectors.numpy()}


def check(names: dict[str, Any]) -> None:
    assert names["report"].summary().SR == 1
    assert names["repaired"].summary().repaired > 0
