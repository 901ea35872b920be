"""Cells: a setting, an attack and a seed, and how one is measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dfa
from comparison.attacks import ATTACKS, Attack, Outcome
from comparison.settings import SETTINGS, ComparedSetting
from harness.results import now
from harness.settings import load_setting
from rivals.counting import Problem


class Key(NamedTuple):
    """What a cell is called."""

    setting: str
    attack: str
    seed: int


@dataclass(frozen=True)
class Cell:
    """One attack on one setting with one seed.

    Attributes:
        key: What it is called.
        parameters: What makes it stand for a measurement: one with others is another.
        date: When it was finished.
        outcome: The figures.
    """

    key: Key
    parameters: dict[str, Any]
    date: str
    outcome: Outcome


class Loaded(NamedTuple):
    """A setting's oracle and problem."""

    oracle: dfa.Oracle
    problem: Problem


class Asked(NamedTuple):
    """Which images of a setting are attacked, and how often each may be asked: a table is of one such choice."""

    skipped: int
    images: int
    budget: int

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Asked:
        """Return that of a cell's parameters."""
        return cls(*(parameters.get(name, 0) for name in cls._fields))

    def __str__(self) -> str:
        """Return it as text."""
        return f"{self.images} images after {self.skipped} skipped, {self.budget:,} queries each"


def refuse_mixture(folder: Path, setting: str, asked: Iterable[Asked]) -> None:
    """Refuse cells of other images or another budget beside one another, which one table cannot compare.

    Raises:
        SystemExit: There are several such choices.
    """
    if len(choices := sorted(set(asked))) > 1:
        raise SystemExit(
            f"the cells of {setting} in {folder} must be of the same images and budget, to stand in one table; got "
            f"{'; '.join(map(str, choices))}. Name another folder with --out, or remove {setting}.csv and "
            f"{setting}.json from this one"
        )


def load(setting: ComparedSetting, arguments: argparse.Namespace) -> Loaded:
    """Load a setting: its images among those that are classified correctly, and their goals."""
    places = places_of(setting, arguments)
    model, images, labels, targets = load_setting(setting, arguments.data, len(places), skip=places.start)
    oracle = dfa.as_oracle(model)
    if setting.shows_labels:
        oracle = dfa.label_only(oracle, num_classes=setting.num_classes)
    goals = labels if targets is None else targets
    return Loaded(oracle, Problem(images, goals, targets is not None, setting.promise, _budget(setting, arguments)))


def places_of(setting: ComparedSetting, arguments: argparse.Namespace) -> range:
    """Return which of a setting's correctly classified images are attacked."""
    if arguments.reporting:
        return setting.reporting[: arguments.images]
    return range(arguments.skip, arguments.skip + (arguments.images or setting.number))


def asked_of(setting: ComparedSetting, arguments: argparse.Namespace) -> Asked:
    """Return which images the arguments choose, and the budget."""
    places = places_of(setting, arguments)
    return Asked(places.start, len(places), _budget(setting, arguments))


def parameters_of(setting: ComparedSetting, attack: Attack, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what makes a cell stand for this measurement."""
    return {
        "model": setting.model,
        "images_file": setting.images,
        **setting.promise.describe(),
        **({"shows": "labels"} if setting.shows_labels else {}),
        "rank": setting.rank,
        **asked_of(setting, arguments)._asdict(),
        "configuration": attack.configuration(setting),
    }


def _budget(setting: ComparedSetting, arguments: argparse.Namespace) -> int:
    return int(arguments.budget or setting.budget)


def measure(loaded: Loaded, key: Key, arguments: argparse.Namespace) -> Cell:
    """Run one cell."""
    setting, attack = SETTINGS[key.setting], ATTACKS[key.attack]
    outcome = attack.run(loaded.oracle, loaded.problem, key.seed, setting.batch_size)
    return Cell(key, parameters_of(setting, attack, arguments), now(), outcome)
