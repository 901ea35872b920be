"""An image's search depends on its bytes, the seed, the settings and the oracle's answers, and on nothing else.

Not on threads, the batch size, its place, or the images beside it: to the bit.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

import dfa
from oracles import LazyImages, LinearClassifier, Recorder, never, random_images
from outcomes import outcomes

SHAPE = (6, 6, 3)
IMAGES = random_images(30, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)

# Images that learn from one another have a promise of their own, in test_run_archive.py.
ALONE = dataclasses.replace(dfa.Racos(), archive=False)

SETTINGS = [
    pytest.param({"optimizer": ALONE}, id="default"),
    pytest.param({"optimizer": ALONE, "targets": dfa.rank(2)}, id="default-targeted"),
    pytest.param({"optimizer": dataclasses.replace(ALONE, improvements=2.0)}, id="improvements"),
    pytest.param({"optimizer": ALONE, "give_up_after": 30}, id="given-up"),
    pytest.param({"optimizer": dfa.Racos.paper()}, id="paper"),
    pytest.param({"optimizer": dfa.Racos.paper(targeted=True), "targets": dfa.rank(2)}, id="paper-targeted"),
]


def attack(images=IMAGES, oracle=CLASSIFIER, **settings):
    defaults = {"epsilon": 8, "max_queries": 150, "threads": 1, "optimizer": ALONE}
    return dfa.run(oracle, images, **{**defaults, **settings})


def assert_is_worth_comparing(result):
    assert 5 <= result.success.sum() < len(result.records)
    assert len(set(result.queries.tolist())) > 5


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_batch_size_changes_nothing(settings):
    of_64 = attack(batch_size=64, **settings)
    assert_is_worth_comparing(of_64)
    for batch_size in (1, 17, 256):
        assert outcomes(attack(batch_size=batch_size, **settings)) == outcomes(of_64)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="default"),
        # So many coordinates that a candidate takes long to draw, and two threads would meet in what they share.
        pytest.param({"optimizer": dfa.Racos.paper(coordinates=0.1)}, id="paper"),
        pytest.param(
            {"optimizer": dataclasses.replace(ALONE, samples=4, region="ordered", values="extremes")}, id="regions"
        ),
    ],
)
def test_the_number_of_threads_changes_nothing(settings):
    # Large enough that the core does use its threads.
    shape = (96, 96, 3)
    images = random_images(24, shape)
    classifier = LinearClassifier(shape)

    def run(threads):
        oracle = Recorder(classifier)
        result = attack(images, oracle, **settings | {"max_queries": 40, "threads": threads})
        return result, oracle.batches

    by_one, asked_by_one = run(1)
    assert len({len(record.trace) for record in by_one.records}) > 2
    for threads in (2, 7):
        by_many, asked_by_many = run(threads)
        assert outcomes(by_many) == outcomes(by_one)
        # To the bit and in the same order, every candidate of every batch.
        assert all(map(np.array_equal, asked_by_many, asked_by_one))


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_order_of_the_images_changes_nothing(settings):
    in_order = outcomes(attack(**settings))
    for seed in (1, 2):
        order = np.random.default_rng(seed).permutation(len(IMAGES))
        shuffled = attack(IMAGES[order], **settings | {"batch_size": 16})
        assert [record.index for record in shuffled.records] == list(range(len(IMAGES)))
        assert outcomes(shuffled) == [in_order[index] for index in order]


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_image_alone_fares_as_among_others(settings):
    together = outcomes(attack(**settings))
    assert outcomes(attack(IMAGES[11:17], **settings)) == together[11:17]
    for index in (0, 8, 29):
        assert outcomes(attack(IMAGES[[index]], **settings)) == [together[index]]


def test_images_that_are_skipped_change_nothing_for_the_others():
    labels = CLASSIFIER.classes(IMAGES)
    everything = outcomes(attack(labels=labels))
    wrong = np.arange(0, 30, 3)
    labels[wrong] = (labels[wrong] + 1) % 10
    some = outcomes(attack(labels=labels, batch_size=8))
    assert [each for i, each in enumerate(some) if i not in wrong] == [
        each for i, each in enumerate(everything) if i not in wrong
    ]


def test_exact_copies_of_an_image_are_searched_differently_by_their_running_number():
    a, b = IMAGES[1], IMAGES[2]
    result = attack(np.stack([a, b, a, a]), oracle=never)
    ids = [record.id for record in result.records]
    assert len(set(ids)) == 4
    assert len({record.trace for record in result.records}) == 1  # every degree of this oracle is the same
    copies = attack(np.stack([a, b, a, a]))
    first, other, second, third = outcomes(copies)
    assert len({each[0].trace for each in (first, second, third)}) == 3
    assert [each[0].id for each in (first, other, second, third)] == ids
    assert outcomes(attack(np.stack([a, b]))) == [first, other]
    # Wherever they stand, the first copy read is the first.
    assert outcomes(attack(np.stack([b, a, a, a]), batch_size=1)) == [other, first, second, third]


def test_ids_name_the_random_streams_instead_of_the_bytes():
    ids = np.arange(30) * 7
    named = attack(ids=ids)
    assert [record.id for record in named.records] == ids.tolist()
    assert outcomes(named) != outcomes(attack())
    order = np.random.default_rng(5).permutation(30)
    assert outcomes(attack(IMAGES[order], ids=ids[order])) == [outcomes(named)[index] for index in order]
    # One id for two copies of an image makes one search of them.
    first, second = outcomes(attack(np.stack([IMAGES[1]] * 2), ids=[4, 4]))
    assert first == second
    assert outcomes(attack(np.stack([IMAGES[1]] * 2), ids=[4, 2**32 - 1]))[1] != first


class Buffered:
    """Reads every image into the same memory, as a decoder may."""

    def __init__(self, images):
        self._images = images
        self._buffer = np.empty_like(images[0])

    def __len__(self):
        return len(self._images)

    def __getitem__(self, index):
        self._buffer[:] = self._images[index]
        return self._buffer


@pytest.mark.parametrize(
    "sequence",
    [
        LazyImages,
        list,
        lambda images: np.asfortranarray(images),
        lambda images: np.concatenate([images[:, :, ::-1]] * 2, axis=3)[:, :, ::-1, :3],
        Buffered,
    ],
    ids=["lazy", "list", "fortran", "strided", "buffered"],
)
def test_it_does_not_matter_what_holds_the_images(sequence):
    assert outcomes(attack(sequence(IMAGES))) == outcomes(attack())


def test_a_memory_map_serves_as_an_array_does(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert outcomes(attack(mapped)) == outcomes(attack())


def test_the_images_given_are_not_changed():
    images = IMAGES.copy()
    attack(images)
    assert (images == IMAGES).all()


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_seed_matters_and_the_same_seed_repeats_the_run(settings):
    by_seed = [attack(seed=seed, **settings) for seed in (0, 1, 2**64 - 1, 2**32)]
    assert outcomes(attack(**settings)) == outcomes(by_seed[0])
    few = 5 if settings["optimizer"].start == "uniform" else 15
    assert sum(min(result.records[index].queries for result in by_seed) >= few for index in range(len(IMAGES))) > 5
    for index in range(len(IMAGES)):
        # An image that falls at one of the first queries has a trace too short to tell; most textures are not random.
        traces = {result.records[index].trace for result in by_seed}
        assert len(traces) == 4 or min(result.records[index].queries for result in by_seed) < few
    assert len({tuple(result.queries) for result in by_seed}) == 4


def test_epsilon_by_image_and_by_number_are_the_same_search():
    assert outcomes(attack(epsilon=np.full(30, 8))) == outcomes(attack())
    assert outcomes(attack(epsilon=np.full((30, *SHAPE), 8))) == outcomes(attack(epsilon=np.full(SHAPE, 8)))


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_longer_budget_begins_like_a_shorter_one(settings):
    short, long = attack(max_queries=40, **settings), attack(max_queries=150, **settings)
    for shorter, longer in zip(short.records, long.records, strict=True):
        begun = [(queries, degree) for queries, degree in longer.trace if queries <= 40]
        assert list(shorter.trace) == begun


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_that_is_forked_after_a_run_with_threads_runs_to_its_end():
    code = (
        "import os, numpy as np, dfa\n"
        "images = np.random.default_rng(0).integers(0, 256, (24, 96, 96, 3), dtype=np.uint8)\n"
        "ask = lambda batch: np.broadcast_to([0.75, 0.25], (len(batch), 2))\n"
        "attack = lambda: dfa.run(ask, images, max_queries=20, threads=3, progress=False).queries_sent.sum()\n"
        "expected = attack()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if attack() == expected else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert attack() == expected"
    )
    # Later versions of Python warn of any fork beside threads.
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
