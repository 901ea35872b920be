"""An optimizer of the user's own in dfa's loop: what it finds, is given and told, and how its runs are kept."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import dfa
import stored_runs
from dfa.engine.users_searches import UsersSearches
from dfa.views.reproduction import reproduction
from oracles import LinearClassifier, Recorder, never
from outcomes import outcomes
from own_optimizers import OneImage, Steps, attack
from pages import how_7_your_own_optimizer
from problems import SHAPE as PROBLEM_SHAPE
from problems import problem_of
from rivals.counting import Problem, QueryCounter, log_margin, run_searches
from rivals.square import square
from small_problem import CLASSIFIER, IMAGES
from stored_runs import assert_same, cut_short

PAGE = Path(__file__).parents[1] / "docs" / "how" / "7-your-own-optimizer.md"


@pytest.fixture(scope="module")
def square_attack():
    """The class that the page on optimizers of one's own shows."""
    names = how_7_your_own_optimizer.names(None)
    (block,) = re.findall(r"^```python\n(HALVINGS = .*?)^square = ", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(block, PAGE.name, "exec"), names)
    return names["SquareAttack"]


# What it finds.


def queries_by_the_counter(oracle, problem, seed, batch_size=256):
    counter = QueryCounter(dfa.as_oracle(oracle), problem)
    streams = [np.random.default_rng([seed, place]) for place in range(len(problem.images))]
    searches = [
        square(image, problem.promise.epsilon, stream, share=0.1)
        for image, stream in zip(problem.images, streams, strict=True)
    ]
    run_searches(counter, searches, log_margin, batch_size)
    return counter.hits.tolist()


def queries_by_dfa(optimizer, oracle, problem, seed, batch_size=256):
    result = attack(
        optimizer,
        oracle,
        problem.images,
        epsilon=problem.promise.epsilon,
        targets=problem.goals if problem.is_targeted else None,
        objective="log",
        ids=np.arange(len(problem.images)),
        max_queries=problem.budget,
        seed=seed,
        batch_size=batch_size,
    )
    return [record.queries if record.verified else 0 for record in result.records]


@pytest.mark.parametrize("rank", [None, 3])
def test_the_square_attack_of_the_page_needs_the_queries_of_the_rival(square_attack, rank):
    classifier = LinearClassifier(PROBLEM_SHAPE)
    problem = problem_of(12, rank=rank, budget=60)
    for seed in (0, 1):
        expected = queries_by_the_counter(classifier, problem, seed)
        assert len(set(expected)) > 5
        assert queries_by_dfa(square_attack(), classifier, problem, seed) == expected


def test_it_does_on_lenet_1(square_attack, data):
    keras = pytest.importorskip("keras", reason="keras is not installed", exc_type=ImportError)
    model = keras.models.load_model(data / "models" / "lenet1.keras")
    # The last bits of what a framework answers depend on the batch, so all rows are asked one by one.
    oracle = dfa.OneByOne(lambda image: np.asarray(model(image[np.newaxis] / np.float32(255)))[0])
    with np.load(data / "mnist_test2000.npz") as file:
        images = file["images"][:4].reshape(-1, 28, 28, 1)
    goals = np.asarray(dfa.as_oracle(oracle).scores(images)).argmax(axis=1)
    problem = Problem(images, goals, False, dataclasses.replace(problem_of(1).promise, epsilon=64), 100)
    expected = queries_by_the_counter(oracle, problem, 0)
    assert sum(number > 5 for number in expected) >= 2
    assert queries_by_dfa(square_attack(), oracle, problem, 0) == expected


@dataclass(frozen=True)
class Within:
    """dfa's own search, as if it were a user's."""

    racos: dfa.Racos

    def begin(self, task):
        return self.racos.begin(task)


@pytest.mark.parametrize("racos", [dfa.Racos(archive=False), dfa.Racos.paper()], ids=["default", "paper"])
@pytest.mark.parametrize("settings", [{}, {"give_up_after": 11, "targets": dfa.rank(2)}, {"confirmations": 2}], ids=str)
def test_the_cores_search_finds_the_same_whoever_holds_it(racos, settings):
    """Budgets, rests, traces, hits, counts and records: all that the core's places do, these do as well."""
    settings = {"objective": "log", **settings}
    expected = attack(racos, **settings)
    assert 3 <= expected.success.sum() < len(IMAGES)
    assert outcomes(attack(Within(racos), **settings)) == outcomes(expected)


@pytest.mark.parametrize(("optimizer", "calls_at_once"), [(Steps(1), 1), (Steps(5), 3), (Steps(40), 1)], ids=str)
def test_the_batch_size_changes_nothing(optimizer, calls_at_once):
    oracle = dfa.as_oracle(CLASSIFIER)
    oracle.calls_at_once = calls_at_once
    whole = attack(optimizer, batch_size=64, max_queries=90)
    assert 3 <= whole.success.sum() < len(IMAGES)
    for batch_size in (1, 7, 256):
        result = attack(optimizer, oracle, batch_size=batch_size, max_queries=90)
        assert outcomes(result) == outcomes(whole)
        assert max(record.queries_sent for record in result.records) == 90


def test_an_image_depends_on_no_other():
    whole = attack(Steps())
    order = np.random.default_rng(0).permutation(len(IMAGES))[:9]
    some = attack(Steps(), images=IMAGES[order])
    assert outcomes(some) == [outcomes(whole)[place] for place in order]


def test_all_is_counted_confirmed_and_within_epsilon():
    oracle = Recorder(CLASSIFIER)
    result = attack(Steps(), oracle, batch_size=16)
    profile = result.profile
    assert profile.rows_sent == result.queries_sent.sum()
    assert profile.verification == result.success.sum() > 0
    assert oracle.num_images == profile.clean + profile.verification + profile.rows_sent
    for record, image in zip(result.records, IMAGES, strict=True):
        asked = oracle.around(image, 8)[1:]
        assert len(asked) == record.queries_sent + record.verified
        hits = np.flatnonzero(CLASSIFIER.classes(asked) != record.class_before)
        if record.verified:
            assert record.queries == hits[0] + 1
            # An iteration is finished, and nothing beyond it is sent.
            assert record.queries_sent == min(150, -(-record.queries // 5) * 5)


def test_images_begin_as_they_are_needed():
    """All candidates of an iteration are held, so more images than fill the batches under way would take memory."""
    begun, most = [], []

    class Watching(Steps):
        def begin(self, task):
            begun.append(task.id)
            return super().begin(task)

    def oracle(batch):
        most.append(len(begun))
        return never(batch)

    attack(Watching(50), oracle, batch_size=20, max_queries=100)
    assert max(most[:6]) <= 2
    assert len(begun) == len(IMAGES)


# What a search is given, and told.


def test_a_task_says_what_may_become_of_the_image():
    tasks = []

    class Noting(Steps):
        def begin(self, task):
            tasks.append(task)
            return super().begin(task)

    mask = np.zeros((6, 6), dtype=bool)
    mask[2:4] = True
    space = dfa.LinfBall(240, mask)
    result = dfa.run(
        CLASSIFIER, IMAGES[:2], space=space, optimizer=Noting(), targets=3, seed=7, max_queries=9, progress=False
    )
    for task, image, record in zip(tasks, IMAGES, result.records, strict=False):
        np.testing.assert_array_equal(task.original, image)
        np.testing.assert_array_equal(
            task.low, np.where(mask[..., None], np.maximum(image.astype(int) - 240, 0), image)
        )
        np.testing.assert_array_equal(
            task.high, np.where(mask[..., None], np.minimum(image.astype(int) + 240, 255), image)
        )
        assert (task.goal, task.is_targeted, task.max_queries, task.seed, task.id) == (3, True, 9, 7, record.id)
        assert (
            np.random.default_rng([7, record.id]).random()
            == dfa.Task(original=image, epsilon=1, seed=7, id=record.id).rng.random()
        )
        for given in (task.original, task.low, task.high):
            with pytest.raises(ValueError, match="read-only"):
                given[:] = 0


def test_a_search_is_told_what_it_asked_and_not_of_the_iteration_that_ends_it():
    searches = []

    class Noting(Steps):
        def begin(self, task):
            searches.append(super().begin(task))
            return searches[-1]

    told = []

    class Copying(OneImage):
        def tell(self, degrees):
            told.append(degrees.copy())
            super().tell(degrees)

    class Single:
        def begin(self, task):
            return Copying(task, 5)

    (record,) = attack(Single(), never, IMAGES[:1], max_queries=17, objective="paper").records
    assert [each.tolist() for each in told] == [[0.5] * 5] * 3
    assert (record.reason, record.queries_sent) == ("query budget", 17)
    result = attack(Noting())
    for search, record in zip(searches, result.records, strict=True):
        assert len(search.seen) == -(-record.queries_sent // 5) - 1


def test_labels_alone_cost_one_query_a_candidate():
    oracle = Recorder(CLASSIFIER)
    result = attack(Steps(), dfa.label_only(oracle, num_classes=10), epsilon=20)
    assert result.success.sum() >= 5
    assert all(record.queries_sent % 5 == 0 for record in result.records)
    assert {len({degree for _, degree in record.trace} - {0.0}) for record in result.records} <= {0, 1}


def test_a_search_may_give_up():
    class Few:
        def begin(self, task):
            for _ in range(3):
                yield np.stack([task.high, task.low])

    class Empty(OneImage):
        def ask(self):
            return super().ask()[: 0 if len(self.seen) == 3 else 2]

    class Other:
        def begin(self, task):
            return Empty(task, 2)

    for optimizer in (Few(), Other()):
        result = attack(optimizer, never, IMAGES[:3])
        assert [(each.reason, each.queries_sent, each.at_rest) for each in result.records] == [("at rest", 6, True)] * 3


def test_time_ends_a_search():
    result = attack(Steps(), never, IMAGES[:2], max_queries=10**6, max_seconds=0.05)
    assert {record.reason for record in result.records} == {"time"}


# Runs in folders.


def stored(folder, optimizer, oracle=CLASSIFIER, **settings):
    return stored_runs.attack(oracle, folder, optimizer=optimizer, **settings)


@pytest.mark.parametrize(("num_calls", "number"), [(30, 1), (61, 7), (230, 1)])
def test_a_run_that_was_cut_short_goes_on(tmp_path, num_calls, number):
    oracle = Recorder(CLASSIFIER)
    expected = dfa.run(oracle, IMAGES, optimizer=Steps(number), **stored_runs.SETTINGS)
    sent = cut_short(tmp_path, num_calls, optimizer=Steps(number))
    again = Recorder(CLASSIFIER)
    result = stored(tmp_path, Steps(number), again)
    assert_same(result, expected)
    assert_same(dfa.Result.load(tmp_path), expected)
    assert sent + again.num_images - int(expected.success.sum()) - oracle.num_images <= stored_runs.INTERVAL + 8
    assert (result.profile.rows_sent, result.profile.batches) == (expected.profile.rows_sent, expected.profile.batches)
    # In the batches in which it would have asked: after a question about the oracle, before those about the files.
    resumed = [batch.tobytes() for batch in again.batches[1 : -math.ceil(expected.success.sum() / 4)]]
    assert resumed[2:] == [batch.tobytes() for batch in oracle.batches][-len(resumed[2:]) :]


def test_an_optimizer_that_failed_is_mended_and_the_run_goes_on(tmp_path):
    begun = []

    class Mine(Steps):
        def begin(self, task):
            begun.append(task)
            if len(begun) == 18:
                raise KeyError("mine")
            return super().begin(task)

    with pytest.raises(dfa.OptimizerError, match="failed in begin"):
        stored(tmp_path, Mine(7))
    assert_same(stored(tmp_path, Mine(7)), dfa.run(CLASSIFIER, IMAGES, optimizer=Steps(7), **stored_runs.SETTINGS))


def test_a_search_that_asks_something_else_is_not_gone_on_with(tmp_path):
    cut_short(tmp_path, 30, optimizer=Elsewhere())
    with pytest.raises(dfa.StoreError, match=r"image \d+, told what it was told before, asks something else"):
        stored(tmp_path, Elsewhere())


@dataclass(frozen=True)
class Elsewhere:
    """Draws from a generator of its own, which goes on."""

    rng = np.random.default_rng(0)

    def begin(self, task):
        return OneImage(Seeded(task, self.rng), 5)


class Seeded:
    def __init__(self, task, rng):
        self.original, self.low, self.high, self.rng = task.original, task.low, task.high, rng


def test_a_search_that_has_too_little_to_ask_is_not_gone_on_with(tmp_path):
    most = 10**6

    class Shrinking(Steps):
        def begin(self, task):
            search = super().begin(task)
            for _ in range(most):
                degrees = yield search.ask()
                search.tell(degrees)

    cut_short(tmp_path, 60, optimizer=Shrinking())
    most = 2
    with pytest.raises(dfa.StoreError, match="asks something else"):
        stored(tmp_path, Shrinking())


def test_other_settings_are_refused_and_the_report_names_the_optimizer(tmp_path):
    cut_short(tmp_path, 30, optimizer=Steps(5))
    with pytest.raises(dfa.StoreError, match=r"optimizer\.settings\.number was 5, and is 6"):
        stored(tmp_path, Steps(6))
    with pytest.raises(dfa.StoreError, match=r"optimizer\.kind was .*own_optimizers\.Steps"):
        stored(tmp_path, Within(dfa.Racos()))
    result = stored(tmp_path, Steps(5))
    assert dfa.verify(tmp_path, CLASSIFIER).holds
    assert f"optimizer=...,  # {Steps.__module__}.Steps(number=5), as it was" in reproduction(result.config, None)
    assert f"optimizer=...,  # {Steps.__module__}.Steps(number=5), as it was" in reproduction(
        dfa.Result.load(tmp_path).config, None
    )


DAMAGES = {
    "a search too few": lambda head, degrees: head["places"].pop(),
    "a search too many": lambda head, degrees: head["places"].append(head["places"][0] | {"place": 99, "answered": 0}),
    "a search twice": lambda head, degrees: head["places"].append(head["places"][0] | {"answered": 0}),
    "a field too few": lambda head, degrees: head.pop("tick"),
    "a word": lambda head, degrees: head["places"][0].update(tick="0"),
    "degrees too few": lambda head, degrees: degrees.pop(),
    "no number": lambda head, degrees: degrees.__setitem__(3, math.nan),
    "below 0": lambda head, degrees: degrees.__setitem__(3, -1.0),
    "others": lambda head, degrees: degrees.reverse(),
    "less than none": lambda head, degrees: [
        place.update(answered=place["answered"] + more) for place, more in zip(head["places"], (-99, 99), strict=False)
    ],
    "a batch of others": lambda head, degrees: head["again"].append([99]),
    "a batch of too many": lambda head, degrees: head["again"].extend([[0]] * 9),
    "an empty batch": lambda head, degrees: head["again"].append([]),
}
"""What somebody may make of the state that a folder keeps."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_state_that_is_none_is_refused(tmp_path, monkeypatch, damage):
    cut_short(tmp_path, 61, optimizer=Steps(5))
    load = UsersSearches.load
    loaded = []

    def load_damaged(self, state, now, jobs):
        line, _, rest = state.partition(b"\n")
        head, degrees = json.loads(line), array("d", rest)
        loaded.append(len(degrees))
        DAMAGES[damage](head, degrees)
        load(self, json.dumps(head).encode() + b"\n" + degrees.tobytes(), now, jobs)

    monkeypatch.setattr(UsersSearches, "load", load_damaged)
    with pytest.raises(dfa.StoreError, match=r"cannot be read|asks something else"):
        stored(tmp_path, Steps(5))
    assert loaded[0] > 20
