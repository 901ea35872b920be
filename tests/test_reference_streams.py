"""The reference's random streams: known answers, and bounded integers that are equally likely."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from reference.philox import WORD, Stream, bounded, philox4x32


def words(*values: int) -> tuple[Callable[[], int], list[int]]:
    """A source of given 32-bit words, and the list of those not yet consumed."""
    left = list(values)
    return lambda: left.pop(0), left


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((WORD - 1,) * 4, (WORD - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_known_answers(counter: Any, key: Any, expected: Any) -> None:
    """The three vectors that Random123 publishes for philox4x32 with 10 rounds."""
    assert philox4x32(counter, key) == expected


def test_stream_golden_values() -> None:
    """The same numbers as in the C++ test: a change of the stream would change every recorded run."""
    place = {"seed": 0x0123456789ABCDEF, "image_id": 9, "iteration": 3, "candidate": 2}
    stream = Stream(**place)
    assert [stream.next() for _ in range(5)] == [0xA99BD0E6, 0x3D39E671, 0x30225419, 0x94239F9B, 0x00CEB273]
    stream = Stream(**place)
    bounds = [1, 2, 3, 10, 1000, 2**22 + 1, 2**31, 2**31 + 1, 2**31 + 1, 3 * 2**30 + 1, WORD - 1, 6]
    expected = [0, 0, 0, 5, 3, 2410289, 428607492, 2039882405, 1161197850, 2873655335, 841707243, 0]
    assert [stream.below(n) for n in bounds] == expected
    assert stream.next() == 0x9DDB886F


def test_stream_is_philox_with_block_candidate_iteration_image() -> None:
    stream = Stream(seed=0xA4093822_299F31D0, image_id=4, iteration=3, candidate=2)
    expected = [word for block in range(3) for word in philox4x32((block, 2, 3, 4), (0x299F31D0, 0xA4093822))]
    assert [stream.next() for _ in range(12)] == expected


@pytest.mark.parametrize("name", ["seed", "image_id", "iteration", "candidate"])
@pytest.mark.parametrize("outside", [-1, 1 << 64])
def test_stream_refuses_what_would_wrap(name: str, outside: int) -> None:
    place = {"seed": 0, "image_id": 0, "iteration": 0, "candidate": 0, name: outside}
    with pytest.raises(ValueError, match=f"{name} must be an unsigned integer"):
        Stream(**place)


@pytest.mark.parametrize("n", [0, -1, WORD])
def test_below_refuses_an_impossible_bound(n: int) -> None:
    with pytest.raises(ValueError, match="n must be in 1"):
        Stream(0, 0, 0, 0).below(n)


def test_below_one_is_zero_and_consumes_a_word() -> None:
    source, left = words(WORD - 1, 7)
    assert bounded(source, 1) == 0
    assert left == [7]


def test_below_throws_back_the_surplus_words_only() -> None:
    # 2^32 = 3 * 1431655765 + 1, so exactly one word is too many for n = 3: word 0.
    source, left = words(0, WORD - 1)
    assert bounded(source, 3) == 2
    assert left == []
    source, left = words(1, 7)
    assert bounded(source, 3) == 0
    assert left == [7]


@pytest.mark.parametrize("n", [2**22, 2**22 + 1, 3 * 2**24 + 7, 2**31, 2**31 + 1, WORD - 2, WORD - 1])
def test_below_gives_every_result_the_same_number_of_words(n: int) -> None:
    """Counts, for the first, the last and some other results, the words that are accepted for them."""
    some = [0, 1, 2, n - 2, n - 1, *random.Random(n).sample(range(n), 20)]
    for result in some:
        first = -(-result * WORD // n)  # the words w with w * n // 2^32 == result
        last = -(-(result + 1) * WORD // n) - 1
        accepted = 0
        for word in range(first, last + 1):
            source, left = words(word, 0, WORD - 1)  # word 0 is thrown back too, where anything is
            accepted += bounded(source, n) == result and len(left) == 2
        assert accepted == WORD // n
