"""Nothing that is passed to the core does more than raise an error: seeded calls of everything that it offers.

`make fuzz` runs this file against a core that is built with the address and undefined-behaviour sanitizers.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

import damage
from core_driver import make_batch
from core_fuzz import CALLS, REFUSALS, Fuzzer
from dfa import _core
from saved_states import BALL, IMAGE, STATES, Saved, answer, search

PARTS = 20


@pytest.mark.parametrize("seed", range(PARTS))
def test_calls_of_any_kind_do_no_more_than_raise_an_error(seed: int, fuzzed: int) -> None:
    fuzzer = Fuzzer(seed)
    for _ in range(fuzzed // PARTS):
        fuzzer.step()
        fuzzer.round()
        fuzzer.check()


def test_every_call_is_made_and_comes_to_its_end() -> None:
    fuzzer = Fuzzer(0)
    for _ in range(20_000):
        fuzzer.step()
        fuzzer.round()
    assert {str(call) for call in CALLS} - fuzzer.made == set()


# Saved states, sealed again after the damage, so that no checksum finds it


def whole_batch() -> _core.Batch:
    """Three slots, of which one is free."""
    batch = make_batch(BALL, IMAGE)
    for image in range(3):
        batch.add(IMAGE, image, 20)
    batch.remove(1)
    for _ in range(9):
        answer(batch, 0)
    return batch


def load_whole_batch(state: bytes) -> _core.Batch:
    batch = make_batch(BALL, IMAGE)
    batch.load_all(state)
    return batch


def go_on_with_whole_batch(batch: _core.Batch) -> Iterator[bytes]:
    for slot in (0, 2):
        for _ in range(3):
            yield answer(batch, slot).tobytes()


PACED = replace(BALL, samples=1, positives=1, improvements=1.0)
KINDS = STATES | {
    "paced": search(PACED, lambda: 20, 9),
    "whole batch": Saved(whole_batch, lambda batch: batch.save_all(), load_whole_batch, go_on_with_whole_batch),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_state_is_refused_or_goes_on(name: str, fuzzed: int) -> None:
    kind, numbers = KINDS[name], random.Random(name)
    state = kind.save(kind.make())
    assert damage.sealed(state[damage.HEAD : -damage.SEAL], state) == state
    num_loaded = 0
    for _ in range(fuzzed // (4 * len(KINDS))):
        other = damage.damaged(state, numbers)
        try:
            loaded = kind.load(other)
        except ValueError:
            continue
        num_loaded += 1
        assert kind.save(kind.load(kind.save(loaded))) == kind.save(loaded)
        with contextlib.suppress(*REFUSALS):
            for _ in itertools.islice(kind.go_on(loaded), 6):
                pass
        kind.save(loaded)
    assert num_loaded > 0


def test_a_number_of_candidates_that_no_search_comes_to_is_refused() -> None:
    """Numbers made of it would be beyond 64 bits."""
    kind = KINDS["paced"]
    state = kind.save(kind.make())
    contents = bytearray(state[damage.HEAD : -damage.SEAL])
    seed_and_image = (11).to_bytes(8, "little") + (5).to_bytes(4, "little")
    at = contents.index(seed_and_image) + len(seed_and_image) + 4
    for number in (2**62, 2**64 - 1):
        contents[at : at + 8] = number.to_bytes(8, "little")
        with pytest.raises(ValueError, match="a number of candidates that cannot be"):
            kind.load(damage.sealed(bytes(contents), state))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_plan_whose_degrees_cannot_be_compared_is_refused(scale: float) -> None:
    kind = KINDS["ball"]
    state = kind.save(kind.make())
    contents = bytearray(state[damage.HEAD : -damage.SEAL])
    end = contents.index((5).to_bytes(8, "little") + b"gains")
    assert struct.unpack("<3d", contents[end - 24 : end]) == (1.0, float("inf"), 0.0)  # and the patience, and the bond
    contents[end - 24 : end - 16] = struct.pack("<d", scale)
    with pytest.raises(ValueError, match="a scale that cannot be"):
        kind.load(damage.sealed(bytes(contents), state))
