"""What names an estimator: all that its answers depend on, and nothing else."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from dfa.oracle.adapters.estimator_digest import digest_of


class Thing:
    """An object of whatever attributes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def method(self):
        """Do nothing."""


class Unstored:
    def __reduce_ex__(self, protocol):
        raise TypeError("no")


def nodes(threshold):
    # Padded: a byte, and seven of no meaning before the number.
    array = np.empty(2, dtype=np.dtype([("left", "u1"), ("threshold", "f8")], align=True))
    array.view(np.uint8)[:] = int(threshold * 7) % 256
    array["left"], array["threshold"] = 1, threshold
    return array


def test_values_that_differ_have_names_that_differ():
    values = [
        None,
        True,
        1,
        1.0,
        1.5,
        "1",
        b"1",
        [1, 2],
        (1, 2),
        [1, [2]],
        [[1], 2],
        {"a": 1},
        {"a": 2},
        {"b": 1},
        {1, 2},
        {1, 3},
        np.zeros(2, "<f4"),
        np.zeros(2, "<i4"),
        np.zeros((2, 1), "<f4"),
        np.array([0, 1], "<f4"),
        np.array(["a", 1], dtype=object),
        np.array(["a", 2], dtype=object),
        np.ma.array([1.0, 2.0], mask=[False, True]),
        np.ma.array([1.0, 2.0], mask=[True, False]),
        np.ma.array([3.0, 2.0], mask=[False, True]),
        nodes(0.5),
        nodes(0.25),
        np.sqrt,
        np.square,
        Thing,
        Unstored,
        Thing(a=1),
        Thing(a=2),
        Thing(a=1).method,
        Thing(a=2).method,
        functools.partial(np.add, 1),
        functools.partial(np.add, 2),
    ]
    names = [digest_of(value) for value in values]
    assert None not in names
    assert [pair for pair in itertools.combinations(range(len(names)), 2) if names[pair[0]] == names[pair[1]]] == []


def test_what_changes_no_answer_changes_no_name():
    def same(one, other):
        assert digest_of(one) == digest_of(other)
        assert digest_of(one) is not None

    same(np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    same(np.arange(6)[::2], np.array([0, 2, 4]))
    same(np.float64(0.5), 0.5)
    same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    same(Thing(a=1, n_jobs=2, verbose=1, random_state=3), Thing(a=1, n_jobs=None, verbose=0, random_state=None))
    same(Thing(random=np.random.RandomState(1)), Thing(random=np.random.RandomState(2)))
    # Words of a set come in another order in each process.
    same(set("abcdefgh"), set("hgfedcba"))
    one, other = nodes(0.5), nodes(0.5)
    other.view(np.uint8).reshape(2, -1)[:, 1:8] = 99
    assert one.tobytes() != other.tobytes()
    same(one, other)


def test_what_only_its_address_tells_from_others_has_no_name():
    held = Thing()
    held.itself = held
    for value in (lambda: 0, held, Unstored(), Thing(a=[lambda: 0])):
        assert digest_of(value) is None
