"""States that were kept from an earlier build of this version are read, and go on as they did then.

Where a class describes more than it did, these are refused and the tests fail: raise `kStateVersion` in
cpp/include/dfa/base/state.hpp and run `python tests/saved_states.py`. No digest may change by that.
"""

from __future__ import annotations

import json

import pytest

from core_driver import population_of, tell
from dfa import _core
from saved_states import BALL, DIGESTS, FOLDER, IMAGE, STATES

PINNED = json.loads(DIGESTS.read_text(encoding="utf-8"))


def kept(name: str) -> bytes:
    return (FOLDER / f"{name}.state").read_bytes()


def test_all_kinds_of_states_are_kept() -> None:
    assert set(PINNED) == set(STATES) == {path.stem for path in FOLDER.glob("*.state")}


@pytest.mark.parametrize("name", STATES)
def test_a_kept_state_is_written_again_as_it_was(name: str) -> None:
    kind = STATES[name]
    assert kind.save(kind.load(kept(name))) == kept(name)


@pytest.mark.parametrize("name", STATES)
def test_what_a_kept_state_describes_goes_on_as_pinned(name: str) -> None:
    kind = STATES[name]
    assert kind.digest(kind.load(kept(name))) == PINNED[name]


@pytest.mark.parametrize("name", STATES)
def test_what_is_made_anew_goes_on_alike_and_is_saved_alike(name: str) -> None:
    kind = STATES[name]
    made = kind.make()
    assert kind.save(made) == kept(name)
    assert kind.digest(made) == PINNED[name]


@pytest.mark.parametrize("name", STATES)
def test_a_kept_state_is_taken_for_no_other_kind(name: str) -> None:
    for other, kind in STATES.items():
        if other != name:
            with pytest.raises(ValueError, match=r"not a saved state of|belongs to another configuration"):
                kind.load(kept(name))


def test_the_kept_states_hold_what_they_are_kept_for() -> None:
    ball = STATES["ball"].load(kept("ball"))
    births = [birth for _, birth, _ in population_of(ball, 0)]
    assert min(births) >= BALL.starts + BALL.restart_after  # of a later descent
    windows = STATES["places"].load(kept("places"))
    assert [windows.places.answered(place) for place in (0, 2)] != [windows.places.spent(place) for place in (0, 2)]
    assert len(STATES["archive"].load(kept("archive"))) == 4
    taught = _core.Archive(IMAGE.size)
    taught.learn(4, STATES["lesson"].load(kept("lesson")))
    assert len(taught) == 1
    for name in ("ball", "ordered", "box"):
        batch = STATES[name].load(kept(name))
        with pytest.raises(RuntimeError, match="told twice"):
            tell(batch, [(0, 0)], [1.0])
