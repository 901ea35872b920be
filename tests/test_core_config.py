"""The core's configuration: what is refused, and that nothing may be left out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

import dfa
from core_driver import config_of
from core_problem import NO_MATCH, PAPER
from dfa import _core


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, r"samples must be in 1\.\.1048576, got 0"),
        ({"samples": 2**20 + 1}, r"samples must be in 1\.\.1048576, got 1048577"),
        ({"positives": 0}, r"positives must be in 1\.\.1048576, got 0"),
        ({"positives": 2**32 - 1}, r"positives must be in 1\.\.1048576, got 4294967295"),
        ({"coordinates": 0}, "coordinates must be at least 1, got 0"),
        ({"window_share": 0.0}, r"window_share must be in \(0, 1\], got 0"),
        ({"window_share": -0.1}, r"window_share must be in \(0, 1\], got -0\.1"),
        ({"window_share": 1.0001}, r"window_share must be in \(0, 1\], got 1\.0001"),
        ({"window_share": float("nan")}, r"window_share must be in \(0, 1\], got -?nan"),
        ({"window_halvings": (5, 4)}, "window_halvings must ascend"),
        ({"placements": 0}, r"placements must be in 1\.\.1048576, got 0"),
        ({"placements": 2**20 + 1}, r"placements must be in 1\.\.1048576, got 1048577"),
        ({"rest_ratio": 0.0}, r"rest_ratio must be in \(0, 1\], got 0"),
        ({"rest_ratio": 1.0001}, r"rest_ratio must be in \(0, 1\], got 1\.0001"),
        ({"rest_ratio": float("nan")}, r"rest_ratio must be in \(0, 1\], got -?nan"),
        ({"improvements": -0.1}, r"improvements must be in \[0, 64\], got -0\.1"),
        ({"improvements": 64.1}, r"improvements must be in \[0, 64\], got 64\.1"),
        ({"improvements": float("nan")}, r"improvements must be in \[0, 64\], got -?nan"),
        ({"improvements": 1.0}, "improvements need windows and no region"),
        ({"improvements": 1.0, "shape": "window"}, "improvements need windows and no region"),
    ],
    ids=str,
)
def test_a_senseless_configuration_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_of(replace(PAPER, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"samples": -1},
        {"samples": 1.5},
        {"samples": None},
        {"positives": 2**32},
        {"coordinates": "2"},
        {"window_share": "all"},
        {"placements": -1},
        {"rest_ratio": "all"},
        {"window_halvings": (-1,)},
        {"window_halvings": 3},
        {"window_halvings": (2**64,)},
    ],
    ids=str,
)
def test_a_configuration_of_wrong_types_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=NO_MATCH):
        config_of(replace(PAPER, **change))


def test_every_field_of_the_configuration_is_required_and_named() -> None:
    complete = {
        "samples": 1,
        "positives": 1,
        "coordinates": 1,
        "region": "none",
        "shape": "window",
        "values": "uniform",
        "start": "uniform",
        "domain": "ball",
        "ties": "older",
        "window_share": 0.5,
        "window_halvings": (),
        "placements": 1,
        "starts": 0,
        "restart_after": 0,
        "rest_ratio": 0.5,
        "improvements": 0.0,
    }
    assert _core.Config(**complete).population == 2
    for name in complete:
        without = {key: value for key, value in complete.items() if key != name}
        with pytest.raises(TypeError, match=NO_MATCH):
            _core.Config(**without)
    with pytest.raises(TypeError, match=NO_MATCH):
        _core.Config(*complete.values())
    with pytest.raises(TypeError, match=NO_MATCH):
        _core.Config(**complete | {"region": 0})
    with pytest.raises(TypeError, match=NO_MATCH):
        _core.Config(**complete | {"region": None})


def test_the_names_of_choices_are_those_of_the_optimizer() -> None:
    fields = get_type_hints(dfa.Racos).items()
    assert {name: get_args(hint) for name, hint in fields if get_origin(hint) is Literal} == _core.CHOICES
    for field, names in _core.CHOICES.items():
        message = re.escape(f"{field} must be one of {', '.join(map(repr, names))}, got 'other'")
        with pytest.raises(ValueError, match=message):
            config_of(replace(PAPER, **{field: "other"}))
