"""Saved states of the core with other bytes in them, sealed again so that what reads them must look at each field."""

from __future__ import annotations

import random

HEAD, SEAL = 16, 8

NUMBERS = [0, 1, 2, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
DOUBLES = [0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0x0000000000000001, 0x7FEFFFFFFFFFFFFF]


def checksum(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return value


def sealed(contents: bytes, like: bytes) -> bytes:
    """A state of these contents, with the head of another, whose length and checksum are right."""
    length = (HEAD + len(contents) + SEAL).to_bytes(8, "little")
    data = like[:8] + length + contents
    return data + checksum(data).to_bytes(8, "little")


def damaged(state: bytes, numbers: random.Random) -> bytes:
    """A state with one to three changes."""
    contents = bytearray(state[HEAD:-SEAL])
    for _ in range(numbers.choice([1, 1, 1, 2, 3])):
        at = numbers.randrange(len(contents) + 1)
        size = numbers.choice([1, 2, 4, 8])
        kind = numbers.randrange(7)
        if kind == 0:
            contents[at : at + 1] = numbers.randbytes(1)
        elif kind == 1:
            contents[at : at + size] = (numbers.choice(NUMBERS) % 256**size).to_bytes(size, "little")
        elif kind == 2:
            contents[at : at + 8] = numbers.choice(DOUBLES).to_bytes(8, "little")
        elif kind == 3:
            del contents[at : at + size]
        elif kind == 4:
            contents[at:at] = numbers.randbytes(size)
        elif kind == 5:
            begin = numbers.randrange(len(contents) + 1)
            contents[at : at + size] = contents[begin : begin + size]
        elif contents:
            at = min(at, len(contents) - 1)
            contents[at] = (contents[at] + numbers.choice([-1, 1])) % 256
    return sealed(bytes(contents), state)
