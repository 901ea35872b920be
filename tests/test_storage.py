"""Where and how a run is kept: the same words in a `Storage` and beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

import dfa

PLAIN = {"overwrite": False, "resume": False, "batch_size": 4}


def test_a_folder_stands_for_a_storage():
    for folder in ("runs/x", Path("runs/x")):
        assert dfa.Storage.parse(folder, **PLAIN) == dfa.Storage(Path("runs/x"))
    assert dfa.Storage.parse(None, **PLAIN) is None


@pytest.mark.parametrize("word", ["overwrite", "resume"])
def test_a_word_counts_in_the_storage_and_beside_it(word):
    inside = dfa.Storage("runs/x", **{word: True})
    assert dfa.Storage.parse(inside, **PLAIN) == inside
    assert dfa.Storage.parse(dfa.Storage("runs/x"), **{**PLAIN, word: True}) == inside
    other = {"overwrite": "resume", "resume": "overwrite"}[word]
    with pytest.raises(dfa.InvalidInputError, match="either resumed or overwritten"):
        dfa.Storage.parse(inside, **{**PLAIN, other: True})


def test_what_a_storage_says_besides_is_kept():
    storage = dfa.Storage("runs/x", interval=16, command={"words": ["dfa", "run"]})
    assert dfa.Storage.parse(storage, **PLAIN) == storage
    with pytest.raises(dfa.InvalidInputError, match=r"interval \(at least four batches\) must be .*16"):
        dfa.Storage.parse(dfa.Storage("runs/x", interval=15), **PLAIN)
