"""Which size of an image `dfa.frontier` searches next, and when the image is done."""

from __future__ import annotations

import pytest

from dfa.critical.schedule import Attempt, Progress, State


def progress_of(*attempts, largest=64, budget=1000):
    progress = Progress(largest, budget, 2)
    for size, queries, is_success in attempts:
        progress.take(Attempt(size, queries, is_success), size if is_success else None)
    return progress


@pytest.mark.parametrize(
    ("attempts", "size", "state"),
    [
        ([], 64, State.OPEN),
        ([(64, 1000, False)], None, State.HELD),
        ([(64, 1, True)], 32, State.OPEN),
        ([(64, 1, True), (32, 40, False)], 48, State.OPEN),
        ([(64, 1, True), (32, 999, False)], None, State.BROKEN),
        ([(1, 1, True)], None, State.BROKEN),
        # Between small sizes there is much, so what failed is not tried again.
        ([(3, 1, True), (1, 40, False), (2, 40, False)], None, State.BROKEN),
        ([(9, 1, True), (8, 40, False)], 8, State.OPEN),
        ([(9, 1, True), *[(8, 40, False)] * 4], None, State.BROKEN),
        ([(9, 1, True), (8, 40, False), (8, 40, True)], 4, State.OPEN),
    ],
)
def test_the_schedule_halves_what_is_open(attempts, size, state):
    progress = progress_of(*attempts)
    assert progress.next_size() == size
    assert progress.state is state


@pytest.mark.parametrize(
    ("attempts", "size", "state"),
    [
        ([(64, 2, False)], 64, State.OPEN),
        ([(64, 2, False)] * 499, 64, State.OPEN),
        ([(64, 2, False)] * 500, None, State.HELD),
        ([(64, 2, True), (32, 2, False)], 32, State.OPEN),
        ([(64, 2, True), *[(32, 2, False)] * 4], 48, State.OPEN),
    ],
)
def test_what_was_found_and_not_confirmed_is_searched_again(attempts, size, state):
    progress = Progress(64, 1000, 2)
    for each, queries, is_success in attempts:
        doubt = {} if is_success else {"is_unconfirmed": True, "is_claim": True}
        progress.take(Attempt(each, queries, is_success), each if is_success else None, **doubt)
    assert (progress.next_size(), progress.state) == (size, state)
