"""`dfa.frontier`: the smallest sizes at which images are broken, what they cost, and what they are not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import dfa
from dfa.critical.schedule import State
from oracles import LinearClassifier, random_images

SHAPE = (6, 6, 1)
LEVELS = np.array([127, 126, 124, 120, 112, 96, 60, 200])
FLAT = np.repeat(LEVELS, 36).reshape(-1, *SHAPE).astype(np.uint8)
"""Images of one grey each; below 128 they are dark."""


def brightness(images):
    bright = images.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1)


class Counted:
    """A classifier that counts what it is sent, for attack queries and all else together."""

    def __init__(self, classifier):
        self.classifier = classifier
        self.number = 0

    def __call__(self, images):
        self.number += len(images)
        return self.classifier(images)


def of(frontier):
    """All that a frontier found, and what it cost."""
    return [
        (each.state, each.critical, each.attempts, each.record.class_after, image is not None and image.tobytes())
        for each, image in zip(frontier.records, frontier.images, strict=True)
    ]


def search(oracle, images, labels=None, **settings):
    return dfa.frontier(
        oracle, images, labels, **{"max_epsilon": 40, "max_queries": 300, "progress": False, **settings}
    )


def test_the_critical_epsilon_of_flat_images_is_what_divides_them_from_the_other_class():
    oracle = Counted(brightness)
    found = search(oracle, FLAT)
    # All values up by as much, and not one level less, where the mean passes 127.5; 60 is too far, 200 falls downwards.
    assert found.critical.tolist() == [1, 2, 4, 8, 16, 32, 41, 41]
    assert [each.state for each in found.records] == [State.BROKEN] * 6 + [State.HELD] * 2
    assert (found.queries <= 300).all()
    assert found.queries.sum() + found.clean + found.verification == oracle.number
    for record, image, original in zip(found.records[:6], found.images, FLAT, strict=False):
        assert image is not None
        change = image.astype(int) - original
        assert abs(change).max() == record.critical
        assert brightness(image[None])[0].argmax() == record.record.class_after == 1
    assert found.images[6] is None
    # In vain a search ends where it is seen to lead nowhere: nothing moves what is too far.
    spent = {attempt for each in found.records[:6] for attempt in each.attempts if not attempt.is_success}
    assert spent
    assert all(attempt.queries < 300 for attempt in spent)


def test_the_curve_counts_images_that_are_right_and_not_broken():
    labels = np.zeros(8, dtype=int)
    labels[7], labels[2] = 1, 1
    found = search(brightness, FLAT, labels)
    assert found.records[2].state is State.SKIPPED
    assert found.critical[2] == -1
    # The one that was wrong at first counts as broken by nothing.
    assert [found.at(size).unbroken for size in (0, 1, 2, 7, 8, 31, 32, 40)] == [7, 6, 5, 5, 4, 3, 2, 2]
    assert all(found.at(size).total == 8 for size in (0, 40))
    assert found.at(8).share == 0.5
    assert found.at(8).interval == pytest.approx((0.157, 0.843), abs=1e-3)
    assert [point.size for point in found.curve()] == list(range(41))
    assert "upper bound" in str(found)
    with pytest.raises(dfa.InvalidInputError, match=r"size must be an integer in 0\.\.40, got 41"):
        found.at(41)


def test_what_is_of_the_target_class_already_does_not_count():
    found = search(brightness, FLAT, targets=1)
    assert found.records[7].state is State.SKIPPED
    assert found.at(0).total == 7


IMAGES = random_images(9, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 64, "threads": 2}], ids=["1", "64"])
def test_neither_batches_nor_threads_change_what_is_found(settings):
    assert of(search(CLASSIFIER, IMAGES, **settings)) == of(search(CLASSIFIER, IMAGES, threads=1))


@pytest.mark.parametrize("space", [dfa.Pixels, lambda side: dfa.Rectangle(side, side)], ids=["pixels", "rectangle"])
def test_other_spaces_have_sizes_of_their_own(space):
    found = search(CLASSIFIER, IMAGES, space=space, max_epsilon=5, max_queries=200)
    assert found.unit == "size"
    broken = [each for each in found.records if each.state is State.BROKEN]
    assert broken
    for each in broken:
        image = found.images[each.index]
        changed = (image != IMAGES[each.index]).any(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if space is dfa.Pixels:
            assert changed.sum() <= each.critical
        else:
            assert max(np.ptp(rows), np.ptp(columns)) < each.critical
    # Each size of a round is a run, and what is found at a size is what that space allows.
    assert len({attempt.size for each in broken for attempt in each.attempts}) > 2


def test_all_searches_of_an_image_share_its_budget():
    oracle = Counted(CLASSIFIER)
    found = search(oracle, IMAGES, max_epsilon=9, max_queries=45)
    assert found.queries.max() == 45
    # Some are cut off by what the searches before them had taken, beside others that have more left.
    assert any(
        sum(each.queries for each in record.attempts[:-1]) > 0 for record in found.records if record.queries == 45
    )
    assert found.queries.sum() + found.clean + found.verification == oracle.number


class UpAndDown:
    """An optimizer of a user's that always asks about the same two images."""

    def begin(self, task):
        while True:
            yield np.stack([task.high, task.low])


def test_an_optimizer_of_the_users_own_finds_critical_epsilons_within_the_same_budget():
    found = search(brightness, FLAT, optimizer=UpAndDown(), max_queries=100)
    assert found.critical.tolist() == [1, 2, 4, 8, 16, 32, 41, 41]
    assert found.queries.max() == 100
    # It rests at the first look.
    assert {each.queries for record in found.records[:2] for each in record.attempts if not each.is_success} <= {32}


def test_a_search_begins_with_what_broke_the_image_shrunk():
    seen = []

    def recorded(images):
        seen.extend(images.copy())
        return CLASSIFIER(images)

    # One that no texture breaks, so that what does is found and not only drawn.
    found_in = search(recorded, IMAGES[8:], max_epsilon=8, optimizer=dfa.Racos(archive=False)).records[0].attempts[0]
    assert found_in.queries > 20
    original = IMAGES[8].astype(int)
    rounds = [place for place, image in enumerate(seen) if np.array_equal(image, original)]
    # As it is, the image is asked about before each search; what was found is asked about once more behind it.
    found, first = seen[rounds[1] - 1], seen[rounds[1] + 1]
    assert abs(found - original).max() == 8
    assert np.array_equal(first, np.clip(original + 4 * np.sign(found - original), 0, 255))


class Failing:
    """An oracle that fails after so many images."""

    def __init__(self, after):
        self.left = after

    def __call__(self, images):
        self.left -= len(images)
        if self.left < 0:
            raise RuntimeError("no more")
        return CLASSIFIER(images)


def test_a_frontier_that_was_cut_short_is_taken_up_to_the_same_end(tmp_path):
    whole = search(CLASSIFIER, IMAGES, batch_size=4)
    with pytest.raises(dfa.OracleError, match="no more") as caught:
        search(Failing(200), IMAGES, store=tmp_path, batch_size=4)
    partial = caught.value.result
    assert isinstance(partial, dfa.Frontier)
    assert [each for each in partial.records if each.critical is not None]
    assert any(each.state is State.OPEN for each in partial.records)
    for each, end in zip(partial.records, whole.records, strict=True):
        assert each.attempts == end.attempts[: len(each.attempts)]
    resumed = search(Failing(10**9), IMAGES, store=tmp_path, resume=True, batch_size=4)
    assert of(resumed) == of(whole)
    document = json.loads((tmp_path / "frontier.json").read_text())
    assert [each["critical"] for each in document["records"]] == [each.critical for each in whole.records]
    assert document["curve"][0]["unbroken"] == 9
    with pytest.raises(dfa.StoreError):
        search(CLASSIFIER, IMAGES, store=tmp_path)


@pytest.mark.parametrize("space", [None, dfa.Pixels], ids=["ball", "pixels"])
@pytest.mark.parametrize("after", range(12, 300, 41))
def test_wherever_a_search_is_cut_short_all_that_was_sent_is_counted(space, after):
    oracle = Counted(Failing(after))
    with pytest.raises(dfa.OracleError) as caught:
        search(oracle, IMAGES, space=space, batch_size=4)
    partial = caught.value.result
    assert partial.queries.sum() + partial.clean + partial.verification == oracle.number


def cut_short(after=200):
    with pytest.raises(dfa.OracleError) as caught:
        search(Failing(after), IMAGES, batch_size=4)
    return caught.value.result


def test_a_frontier_that_was_cut_short_says_so_and_claims_nothing_of_sizes_that_were_not_searched(tmp_path):
    partial = cut_short()
    number = sum(each.state is State.OPEN for each in partial.records)
    assert 0 < number == partial.unfinished
    assert any(each.queries > sum(attempt.queries for attempt in each.attempts) for each in partial.records)
    words = f"cut short: {number} of 9 images not finished"
    assert words in str(partial)
    assert words in partial._repr_html_()
    assert f"{number} not finished" in repr(partial)
    assert any(f"not finished, broken at {each.critical} so far" in str(each) for each in partial.records)
    partial.save(tmp_path)
    read = dfa.Frontier.load(tmp_path)
    assert (read.records, str(read), read.document()) == (partial.records, str(partial), partial.document())
    for size in range(41):
        known = [
            each
            for each in partial.records
            if each.state is not State.OPEN
            or (each.critical or 99) <= size
            or any(attempt.size >= size and not attempt.is_success for attempt in each.attempts)
        ]
        point = partial.at(size)
        assert size == 0 or point.total == len(known)
        assert size == 0 or point.unbroken == sum((each.critical or 99) > size for each in known)
    whole = search(CLASSIFIER, IMAGES)
    assert whole.unfinished == 0
    assert "cut short" not in str(whole)
    assert "finished" not in repr(whole)


def test_a_chart_of_a_frontier_that_was_cut_short_says_so():
    pytest.importorskip("matplotlib")
    partial = cut_short()
    (axes,) = partial.plot(search(CLASSIFIER, IMAGES)).axes
    assert axes.get_title() == f"cut short: {partial.unfinished} of 18 images not finished"


def test_each_image_is_told_when_it_is_done():
    told = []
    found = search(CLASSIFIER, IMAGES, progress=told.append)
    assert sorted(each.index for each in told) == list(range(9))
    assert sorted(told, key=lambda each: each.index) == found.records


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_whatever_ends_a_search_carries_what_was_found(error):
    def end(record):
        raise error

    with pytest.raises(type(error)) as caught:
        search(brightness, FLAT, progress=end)
    partial = caught.value.result
    assert isinstance(partial, dfa.Frontier)
    assert any(each.state is State.OPEN for each in partial.records)
    # Two images are done after the first round; who is told of the one has found the other too.
    whole = search(brightness, FLAT)
    assert sum(each.state is State.HELD for each in partial.records) == 2
    for each, end_of in zip(partial.records, whole.records, strict=True):
        assert each.attempts == end_of.attempts[: len(each.attempts)]


def test_an_interrupt_within_a_round_keeps_what_the_round_had_found():
    class Interrupting(Failing):
        def __call__(self, images):
            try:
                return super().__call__(images)
            except RuntimeError:
                raise KeyboardInterrupt from None

    with pytest.raises(dfa.Interrupted) as caught:
        search(Interrupting(30), IMAGES, batch_size=4)
    partial = caught.value.result
    assert isinstance(partial, dfa.Frontier)
    assert partial.rounds == 1
    assert 0 < sum(each.critical is not None for each in partial.records) < len(IMAGES)


def test_what_is_answered_otherwise_later_leaves_what_was_found_and_no_label():
    asked = {"first": 0}

    def fickle(images):
        """Another answer about the first image as it is, from the second time on."""
        scores = CLASSIFIER(images)
        for row in np.flatnonzero((images == IMAGES[0]).all(axis=(1, 2, 3))):
            asked["first"] += 1
            scores[row] = scores[row] if asked["first"] == 1 else scores[row][::-1]
        return scores

    found, usual = search(fickle, IMAGES), search(CLASSIFIER, IMAGES)
    first = found.records[0]
    assert (first.state, first.critical, len(first.attempts)) == (State.BROKEN, 40, 1)
    assert found.critical[1:].tolist() == usual.critical[1:].tolist()
    assert all(each.record.label is None for each in found.records)


class Vanishing:
    """Images of which one can be read a few times only."""

    def __init__(self, place, times):
        self.place, self.times = place, times

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        self.times -= index == self.place
        if index == self.place and self.times < 0:
            raise OSError("gone")
        return IMAGES[index]


@pytest.mark.parametrize(("times", "state"), [(0, State.ERROR), (2, State.BROKEN)])
def test_an_image_that_cannot_be_read_costs_the_others_nothing(times, state):
    alone = dfa.Racos(archive=False)
    found, usual = (search(CLASSIFIER, images, optimizer=alone) for images in (Vanishing(4, times), IMAGES))
    assert found.records[4].state is state
    assert np.delete(found.critical, 4).tolist() == np.delete(usual.critical, 4).tolist()


def test_frontiers_are_drawn_in_one_figure():
    pytest.importorskip("matplotlib")
    one, other = search(CLASSIFIER, IMAGES), search(CLASSIFIER, IMAGES, max_epsilon=20)
    (axes,) = one.plot(other, names=["_one", "$other$"]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["_one", "$other$"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [point.share for point in one.curve()])
    band, (low, high) = axes.collections[0].get_paths()[0], one.at(1).interval
    assert [band.contains_point((1.5, y)) for y in (low - 0.01, low + 0.01, high - 0.01, high + 0.01)] == [0, 1, 1, 0]
    assert "upper bound" in one._repr_html_()
    with pytest.raises(dfa.InvalidInputError, match="names must hold one for each of the 2"):
        one.plot(other, names=["one"])
    with pytest.raises(dfa.InvalidInputError, match=r"a chart must be of frontiers, .* got 3"):
        one.plot(3)
    with pytest.raises(dfa.InvalidInputError, match="one unit, got epsilon and size"):
        one.plot(search(CLASSIFIER, IMAGES, space=dfa.Pixels, max_epsilon=2))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_epsilon": 0}, r"max_epsilon must be an integer in 1\.\.255, got 0"),
        ({"max_epsilon": 256}, r"max_epsilon must be an integer in 1\.\.255"),
        ({"space": lambda size: size}, "space must make a search space of a size, such as dfa.Pixels; got 40"),
        ({"max_queries": 1}, "max_queries must be at least the population"),
        ({"progress": 3}, "progress"),
        ({"resume": True}, "resume=True needs the folder"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_first_query(settings, words):
    oracle = Counted(brightness)
    with pytest.raises(dfa.InvalidInputError, match=words):
        search(oracle, FLAT, **settings)
    assert oracle.number == 0


@pytest.mark.parametrize("sizes", [0, 2])
def test_a_function_that_makes_no_space_ends_the_search_in_words_and_carries_what_was_found(sizes):
    made = []

    def grow(size):
        made.append(size)
        if len(made) > sizes:
            raise MemoryError("too large")
        return dfa.Pixels(size)

    with pytest.raises(dfa.SpaceError, match=r"space, which makes .* failed at \d+: MemoryError: too large") as caught:
        search(CLASSIFIER, IMAGES, space=grow)
    assert (caught.value.result is None) == (sizes == 0)
    assert caught.value.result is None or caught.value.result.queries.sum() > 0


@pytest.mark.parametrize(
    ("others", "names", "words"),
    [([3], None, "of frontiers, .* got 3"), ([], 3, "names .* got 3"), ([], "a", "names .* got 'a'")],
)
def test_what_cannot_be_drawn_is_refused_in_words(others, names, words):
    found = search(brightness, FLAT[:1], max_epsilon=2)
    with pytest.raises(dfa.InvalidInputError, match=words):
        found.plot(*others, names=names)
    for act in (found.save, dfa.Frontier.load):
        with pytest.raises(dfa.InvalidInputError, match="folder must be a path"):
            act(3)


class Denying:
    """An oracle of which a hit has to be confirmed so many times before it is; what is not dark is a hit."""

    def __init__(self, times):
        self.times = times

    def __call__(self, images):
        scores = brightness(images)
        for row in np.flatnonzero(scores[:, 1] > 0.5):
            # The one that is asked about again comes alone.
            if len(images) == 1 and self.times > 0:
                self.times -= 1
                scores[row] = scores[row][::-1]
        return scores


def test_an_image_that_is_broken_and_not_confirmed_is_searched_while_its_budget_lasts(tmp_path):
    found = search(Denying(3), FLAT[:1], max_queries=60)
    assert (found.records[0].state, found.records[0].critical, found.unconfirmed) == (State.BROKEN, 1, 0)
    assert found.records[0].unconfirmed == 3
    assert "not confirmed" not in str(found)
    oracle = Counted(Denying(10**9))
    never = search(oracle, FLAT[:1], max_queries=60)
    (record,) = never.records
    assert (record.state, record.critical) == (State.HELD, None)
    assert record.queries + never.clean + never.verification == oracle.number
    assert 58 < record.queries <= 60
    assert never.unconfirmed == 1
    assert "; 1 more broken once and not confirmed" in str(never).splitlines()[0]
    assert "broken once and not confirmed" in str(record)
    never.save(tmp_path)
    assert dfa.Frontier.load(tmp_path).records == never.records


def test_an_oracle_that_takes_an_image_for_another_now_and_then_is_asked_again():
    asked = {"as it is": 0}

    def wavering(images):
        scores = brightness(images)
        for row in np.flatnonzero((images == FLAT[3]).all(axis=(1, 2, 3))):
            asked["as it is"] += 1
            if asked["as it is"] % 3 == 2:
                scores[row] = scores[row][::-1]
        return scores

    (record,) = search(wavering, FLAT[3:4]).records
    assert (record.state, record.critical) == (State.BROKEN, 8)


def test_of_images_that_are_wrong_at_first_there_is_no_critical_size():
    with pytest.warns(dfa.MostSkippedWarning, match="1 of 1 images were skipped"):
        found = search(brightness, FLAT[7:], np.array([0]))
    assert found.at(3).share == 0
    assert math.isnan(found.median)
    assert found.critical.tolist() == [-1]


def test_the_curve_is_what_runs_at_its_sizes_say(data: Path):
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    model = keras.models.load_model(data / "models" / "lenet1.keras")
    with np.load(data / "mnist_test2000.npz") as file:
        images, labels = file["images"][:60], file["labels"][:60]
    found = dfa.frontier(model, images, labels, max_epsilon=64, max_queries=200, progress=False)
    for size in (16, 32, 64):
        run = dfa.run(model, images, labels, epsilon=size, max_queries=200, progress=False)
        low, high = found.at(size).interval
        assert low <= run.summary().robust_accuracy <= high
