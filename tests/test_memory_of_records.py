"""What a run keeps of each image is small, and what it writes of all of them is never held as a whole."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
import sys
import tracemalloc

import numpy as np
import pytest

import dfa.engine.stored
from dfa.errors import InvalidInputError
from dfa.results.record import Record, Status, rewritten
from dfa.runs.folder import write_json, write_records
from dfa.runs.image_files import files_of, listed_files_of
from dfa.runs.saving import complete_run
from dfa.runs.store import Store
from stored_runs import CLASSIFIER, attack, cut_short

MANY = 20_000


def rows():
    for index in range(MANY):
        yield {"index": index, "text": f"row {index}"}


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_json(folder / "results.json", {"before": 1, "records": rows()}),
        lambda folder: write_records(folder, ["index", "text"], rows()),
        lambda folder: write_json(folder / "results.json", {"images": listed_files_of(range(MANY))}),
    ],
)
def test_what_is_written_of_many_images_is_not_held(tmp_path, write):
    tracemalloc.start()
    try:
        write(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (file,) = tmp_path.iterdir()
    # A list of as many indices takes 8 bytes for each.
    assert peak < 8 * MANY < file.stat().st_size


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_iterator_is_written_as_a_list_is(tmp_path, number):
    entries = [{"index": index, "values": [float("nan"), 2.5]} for index in range(number)]
    write_json(tmp_path / "list.json", {"format": "x", "records": entries, "after": {}})
    write_json(tmp_path / "iterator.json", {"format": "x", "records": iter(entries), "after": {}})
    text = (tmp_path / "list.json").read_text()
    assert (tmp_path / "iterator.json").read_text() == text
    assert len(json.loads(text)["records"]) == number


def test_files_are_listed_in_the_order_of_their_names():
    # From a million on, the order of the names is no longer that of the indices.
    indices = [0, 7, 99_999, 100_000, 999_999, 1_000_000, 1_000_001]
    assert list(listed_files_of(indices)) == sorted(files_of(indices))


@pytest.mark.parametrize("place", ["images", "originals"])
def test_a_file_that_is_gone_when_the_run_ends_is_written_again(tmp_path, monkeypatch, place):
    gone = []

    def remove_one(result, folder, **named):
        gone.append(next(iter(sorted((folder / place).iterdir()))))
        gone[0].unlink()
        return complete_run(result, folder, **named)

    monkeypatch.setattr(dfa.engine.stored, "complete_run", remove_one)
    attack(CLASSIFIER, tmp_path)
    assert gone[0].is_file()
    assert dfa.verify(tmp_path, CLASSIFIER).holds


TRACES = [
    (),
    ((1, 0.5),),
    ((1, float("inf")), (2, -0.0), (2**63 - 1, 5e-324)),
    ((2**63, 0.5),),
    ((1, None), (2, 0.5)),
    ((1, math.nan),),
    ((True, 1), (2, np.float64(0.5))),
]


@pytest.mark.parametrize("trace", TRACES)
def test_a_record_gives_the_trace_that_it_was_given(trace):
    record = Record(0, 1, Status.FAILURE, trace=trace)
    again = pickle.loads(pickle.dumps(record))
    for given in (record.trace, again.trace, dataclasses.replace(record, index=1).trace, copy.copy(record).trace):
        assert repr(given) == repr(trace)
        assert [list(map(type, pair)) for pair in given] == [list(map(type, pair)) for pair in trace]
    assert record == record
    assert record == dataclasses.replace(record)
    assert hash(record) == hash(dataclasses.replace(record))
    assert record != dataclasses.replace(record, trace=((7, 7.0),))
    assert f"trace={trace!r}" in repr(record)


def test_a_record_without_a_trace_has_an_empty_one():
    assert Record(0, 1, Status.FAILURE).trace == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        Record(0, 1, Status.FAILURE).trace = ((1, 0.5),)


@pytest.mark.parametrize("fields", [{}, {"index": 4}, {"trace": ((9, 0.25),)}, {"l0": 3, "trace": ()}])
def test_a_rewritten_record_is_that_of_the_standard_library_and_as_small(fields):
    record = Record(0, 1, Status.FAILURE, source="a", distances={"pixels": 2}, trace=((1, 0.5),))
    again = rewritten(record, **fields)
    assert again == dataclasses.replace(record, **fields)
    assert repr(again) == repr(dataclasses.replace(record, **fields))
    assert record.trace == ((1, 0.5),)
    assert sys.getsizeof(vars(again)) <= sys.getsizeof(vars(dataclasses.replace(record, **fields)))


def test_a_record_is_not_rewritten_to_what_it_cannot_be():
    record = Record(0, 1, Status.FAILURE)
    with pytest.raises(TypeError, match="no field 'size'"):
        rewritten(record, size=3)
    with pytest.raises(InvalidInputError, match="verified exactly if"):
        rewritten(record, verified=True)


def test_a_trace_is_held_in_few_bytes():
    tracemalloc.start()
    try:
        records = [
            Record(0, 1, Status.FAILURE, trace=tuple((1000 * each, 1.0 / each) for each in range(1, 101)))
            for _ in range(100)
        ]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Pairs of Python take more than 100 bytes each.
    assert size / len(records) < 100 * 16 + 600


def test_a_run_that_is_kept_does_not_hold_what_its_journal_has(tmp_path, monkeypatch):
    stores = []

    def followed(method):
        def follow(*given, **named):
            stores.append(method(*given, **named))
            return stores[-1]

        return follow

    for name in ("begin", "resume"):
        monkeypatch.setattr(Store, name, followed(getattr(Store, name)))
    cut_short(tmp_path, 200)
    attack(CLASSIFIER, tmp_path)
    begun, resumed = stores
    assert begun.digests == begun.kept == {}
    assert len(resumed.kept) > 3
    # What the records say is the ledger's.
    assert {tuple(row) for row in resumed.kept.values()} == {("file",)}
