"""How spaces move their vectors themselves: held to the reference, and refused where there are no such moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import dfa
from core_driver import ask, config_of, population_of, rows_of, tell
from dfa import _core
from reference import moves
from reference import spaces as reference
from reference.racos import Racos
from reference.settings import Settings
from test_spaces import SIZE, SPACES, degree_of, picture, run

MOVES: dict[str, tuple[Any, Any, moves.Moves]] = {
    "pixels": (*SPACES["pixels"], moves.pixels(2)),
    "one pixel": (dfa.Pixels(1), lambda image, x: reference.pixels(image, x, 1), moves.pixels(1)),
    "many pixels": (dfa.Pixels(40), lambda image, x: reference.pixels(image, x, 40), moves.pixels(40)),
    "more pixels than places": (dfa.Pixels(70), lambda image, x: reference.pixels(image, x, 70), moves.pixels(70)),
    "patch": (*SPACES["patch"], moves.patch(3)),
    "largest patch": (dfa.Patch(7), lambda image, x: reference.patch(image, x, 7), moves.patch(7)),
    "frame": (*SPACES["frame"], moves.frame(2)),
    "widest frame": (dfa.Frame(3), lambda image, x: reference.frame(image, x, 3), moves.frame(3)),
}


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("levels", [1, 255])
@pytest.mark.parametrize("name", MOVES)
def test_own_moves_are_those_of_the_reference(name: str, levels: int, share: float) -> None:
    space, shows, own = MOVES[name]
    image = picture(3) // levels * levels
    made = Settings(
        samples=2, positives=2, region="none", shape="own", ties="newer", window_share=share, window_halvings=(4, 9)
    )
    limits = space.bind(1, SIZE).limits(0)
    twin = Racos(image, 0, made, seed=7, image_id=5, box=(limits.low.tolist(), limits.high.tolist(), shows), moves=own)
    batch = _core.Batch(config_of(made), SIZE, 7, 2)
    slot = batch.add(image, 5, limits)
    for step in range(10):
        images = ask(batch, rows_of(batch, slot), SIZE)
        assert images.tobytes() == twin.ask().tobytes()
        degrees = [degree_of(each) for each in images]
        tell(batch, rows_of(batch, slot), degrees)
        twin.tell(degrees)
        for (_, _, vector), member in zip(population_of(batch, slot), twin.population, strict=True):
            assert vector is None or tuple(vector) == member.vector
        if step == 5:
            state = batch.save(slot)
            batch = _core.Batch(config_of(made), SIZE, 7, 1)
            slot = batch.load(state)
            assert batch.save(slot) == state


@pytest.mark.parametrize("space", [dfa.LinfBall(9), dfa.Shift()], ids=["ball", "shift"])
def test_own_moves_are_of_the_spaces_that_have_some(space: Any) -> None:
    with pytest.raises(dfa.InvalidInputError, match="shape='own' is for spaces that move their integers themselves"):
        run(space, optimizer=dfa.Pixels(5).optimizer())
    box = _core.Box("shift", SIZE, {"rows": 2, "columns": 2})
    narrowed = _core.Box("pixels", SIZE, {"number": 1}, np.zeros(5, np.int16), np.ones(5, np.int16))
    made = Settings(samples=1, positives=1, region="none", shape="own")
    for refused in (9, box, narrowed):
        with pytest.raises(ValueError, match="shape 'own' needs a space that moves its vectors itself"):
            _core.Batch(config_of(made), SIZE, 0, 1).add(picture(), 0, refused)


def test_own_moves_are_refused_by_their_true_reason_first() -> None:
    with pytest.raises(dfa.InvalidInputError, match=r"shape='own' is for spaces .* not for a ball.* and 'textures'"):
        dfa.Racos(shape="own")
    with pytest.raises(dfa.InvalidInputError, match=r"shape='own' is for spaces .* not for a ball"):
        dfa.Racos(shape="own", improvements=1.0)


@pytest.mark.parametrize("changes", [{"region": "ordered"}, {"start": "stripes"}])
def test_own_moves_have_no_region_and_their_own_start(changes: dict[str, Any]) -> None:
    with pytest.raises(dfa.InvalidInputError, match="needs region='none', start='uniform' and values="):
        replace(dfa.Pixels(5).optimizer(), **changes)
    with pytest.raises(ValueError, match="own moves need a uniform start and no region"):
        config_of(replace(Settings(samples=1, positives=1, region="none", shape="own"), **changes))
