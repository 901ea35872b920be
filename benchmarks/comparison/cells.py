"""Cells: a setting, an attack and a seed, and how one is measured."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any, NamedTuple

import dfa
from comparison.attacks import ATTACKS, Attack, Outcome
from comparison.settings import SETTINGS
from harness.results import now
from harness.settings import Setting, load_setting
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


def load(setting: Setting, arguments: argparse.Namespace) -> Loaded:
    """Load a setting: the first correctly classified images, but for those that are skipped, and their goals."""
    model, images, labels, targets = load_setting(setting, arguments.data, arguments.images, skip=arguments.skip)
    goals = labels if targets is None else targets
    return Loaded(dfa.as_oracle(model), Problem(images, goals, targets is not None, setting.epsilon, arguments.budget))


def parameters_of(setting: Setting, attack: Attack, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what makes a cell stand for this measurement."""
    return {
        "model": setting.model,
        "images_file": setting.images,
        "epsilon": setting.epsilon,
        "rank": setting.rank,
        "skipped": arguments.skip,
        "images": arguments.images or setting.number,
        "budget": arguments.budget,
        "configuration": attack.configuration,
    }


def measure(loaded: Loaded, key: Key, arguments: argparse.Namespace) -> Cell:
    """Run one cell."""
    setting, attack = SETTINGS[key.setting], ATTACKS[key.attack]
    outcome = attack.run(loaded.oracle, loaded.problem, key.seed, setting.batch_size)
    return Cell(key, parameters_of(setting, attack, arguments), now(), outcome)
