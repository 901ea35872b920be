"""Philox4x32-10 and the streams of bounded integers that are drawn from it, in plain Python integers.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); Lemire, "Fast
random integer generation in an interval" (ACM TOMACS 2019), the variant with rejection, which has no bias.
"""

from __future__ import annotations

from collections.abc import Callable

Words = tuple[int, int, int, int]

WORD = 1 << 32
ROUNDS = 10


def philox4x32(counter: Words, key: tuple[int, int]) -> Words:
    """One block: four 32-bit words from a counter of four words and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0 = 0xD2511F53 * c0
        product1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (product1 // WORD) ^ c1 ^ k0,
            product1 % WORD,
            (product0 // WORD) ^ c3 ^ k1,
            product0 % WORD,
        )
        k0 = (k0 + 0x9E3779B9) % WORD
        k1 = (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


def bounded(next_word: Callable[[], int], n: int) -> int:
    """A uniform integer of 0..n-1 from uniform 32-bit words; n = 1 consumes a word like any other."""
    if not 1 <= n < WORD:
        raise ValueError(f"n must be in 1..{WORD - 1}, got {n}")
    product = next_word() * n
    # Words whose product has a low half below 2^32 mod n are the surplus that would favour some results.
    while product % WORD < WORD % n:
        product = next_word() * n
    return product // WORD


class Stream:
    """The random numbers of one candidate of one image, independent of every other candidate's."""

    def __init__(self, seed: int, image_id: int, iteration: int, candidate: int) -> None:
        """Start the stream at its first word. `seed` has 64 bits, the others 32."""
        for name, value, bits in (
            ("seed", seed, 64),
            ("image_id", image_id, 32),
            ("iteration", iteration, 32),
            ("candidate", candidate, 32),
        ):
            if not 0 <= value < 1 << bits:
                raise ValueError(f"{name} must be an unsigned integer of {bits} bits, got {value}")
        self._key = (seed % WORD, seed // WORD)
        self._place = (candidate, iteration, image_id)
        self._block = 0
        self._words: list[int] = []

    def next(self) -> int:
        """The next 32-bit word."""
        if not self._words:
            self._words = list(philox4x32((self._block, *self._place), self._key))
            self._block += 1
        return self._words.pop(0)

    def below(self, n: int) -> int:
        """A uniform integer of 0..n-1, for n of 1..2^32-1."""
        return bounded(self.next, n)
