"""The rivals: what the counter of their queries counts, and that they are what they say."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import dfa
from harness.promises import Ball
from oracles import Recorder, never, random_images
from problems import CLASSIFIER, EPSILON, SHAPE, problem_of
from rivals.art_square import art_square
from rivals.bandits import bandits
from rivals.counting import (
    BudgetError,
    Problem,
    QueryCounter,
    box,
    cross_entropy,
    log_margin,
    probability_margin,
    run_searches,
)
from rivals.nes import nes
from rivals.parsimonious import _lazy_greedy, _State, first_side, parsimonious, parsimonious_loss
from rivals.signhunter import signhunter
from rivals.square import side_of_square, square

INTEGER = {
    "square": (partial(square, share=0.1), log_margin),
    "signhunter": (signhunter, cross_entropy),
    "parsimonious": (parsimonious, parsimonious_loss),
}
FLOAT = {
    "nes": (partial(nes, sigma=1.0), log_margin),
    "bandits": (partial(bandits, probe=4.0), cross_entropy),
}
RIVALS = INTEGER | FLOAT


def attack(problem, name, *, ask=CLASSIFIER, seed=0, batch_size=256, some=None):
    make, loss = RIVALS[name]
    counter = QueryCounter(dfa.as_oracle(ask), problem)
    searches = [
        make(image, problem.promise.epsilon, np.random.default_rng([seed, place]))
        for place, image in enumerate(problem.images)
    ]
    run_searches(counter, searches, loss, batch_size)
    return counter


# The counter.


def test_the_query_that_was_the_first_success_is_what_counts():
    problem = problem_of(2)
    low, high = box(problem.images, EPSILON)
    answers = iter([[[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]])
    problem = Problem(problem.images, np.zeros(2, dtype=np.int64), False, Ball(EPSILON), 10)
    counter = QueryCounter(dfa.as_oracle(lambda images: np.array(next(answers))), problem)
    owners = np.array([0, 1, 0, 1, 1, 0])
    images = np.stack([low[0], low[1], high[0], high[1], low[1], low[0]])
    counter.ask(images, owners)
    assert counter.hits.tolist() == [2, 3]
    assert counter.sent.tolist() == [3, 3]
    np.testing.assert_array_equal(counter.found[0], high[0])


def test_what_lies_outside_of_the_box_costs_a_query_and_is_no_success():
    problem = problem_of(1)
    counter = QueryCounter(dfa.as_oracle(lambda images: np.full((len(images), 2), 0.5)), problem)
    problem.goals[0] = 1
    low, high = box(problem.images, EPSILON)
    above, below = high[0].copy(), low[0].copy()
    above[3, 4, 1] += 1
    below[0, 0, 0] -= 1
    counter.ask(np.stack([above, below]), np.array([0, 0]))
    assert counter.hits.tolist() == [0]
    counter.ask(high, np.array([0]))
    assert counter.hits.tolist() == [3]


def test_the_budget_is_hard():
    problem = problem_of(2, budget=3)
    recorder = Recorder(never)
    counter = QueryCounter(dfa.as_oracle(recorder), problem)
    counter.ask(problem.images[[0, 0]], np.array([0, 0]))
    with pytest.raises(BudgetError, match="image 0 has a budget of 3"):
        counter.ask(problem.images[[1, 0, 0]], np.array([1, 0, 0]))
    assert counter.sent.tolist() == [2, 0]
    assert recorder.num_images == 2


def test_only_uint8_images_of_the_right_shape_pass():
    problem = problem_of(1)
    counter = QueryCounter(dfa.as_oracle(CLASSIFIER), problem)
    with pytest.raises(ValueError, match="must be uint8"):
        counter.ask(problem.images.astype(np.float32), np.array([0]))
    with pytest.raises(ValueError, match="must be uint8"):
        counter.ask(problem.images, np.array([0, 0]))


def test_a_success_that_is_none_when_asked_again_is_struck_out():
    problem = Problem(random_images(1, SHAPE), np.zeros(1, dtype=np.int64), False, Ball(EPSILON), 10)
    answers = iter([[[0.4, 0.6]], [[0.9, 0.1]]])
    counter = QueryCounter(dfa.as_oracle(lambda images: np.array(next(answers))), problem)
    counter.ask(problem.images, np.array([0]))
    assert counter.hits.tolist() == [1]
    assert counter.confirm(256) == 1
    assert counter.hits.tolist() == [0]
    assert counter.sent.tolist() == [1]


@pytest.mark.parametrize("loss", [log_margin, probability_margin, cross_entropy])
@pytest.mark.parametrize("is_targeted", [False, True])
def test_losses_fall_towards_success(loss, is_targeted):
    problem = Problem(random_images(2, SHAPE), np.zeros(2, dtype=np.int64), is_targeted, Ball(EPSILON), 10)
    scores = np.array([[0.9, 0.06, 0.04], [0.8, 0.16, 0.04]])
    if is_targeted:
        scores = scores[:, [1, 0, 2]]
    far, near = loss(scores, problem, np.array([0, 1]))
    assert near < far


def test_the_cross_entropy_tells_probabilities_near_1_apart():
    problem = Problem(random_images(1, SHAPE), np.zeros(1, dtype=np.int64), False, Ball(EPSILON), 10)
    scores = np.array([[1.0, 1e-30], [1.0, 1e-29]])
    np.testing.assert_allclose(cross_entropy(scores, problem, np.zeros(2, dtype=np.int64)), [-1e-30, -1e-29])


# All rivals.


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("rank", [None, 3])
def test_each_rival_breaks_an_easy_classifier(name, rank):
    problem = problem_of(rank=rank, budget=2_000)
    recorder = Recorder(CLASSIFIER)
    counter = attack(problem, name, ask=recorder)
    assert (counter.hits > 0).all()
    assert counter.sent.sum() == recorder.num_images
    assert counter.confirm(4) == 0
    for place, image in counter.found.items():
        assert np.abs(image.astype(int) - problem.images[place]).max() <= EPSILON
        assert (CLASSIFIER.classes(image[None])[0] == problem.goals[place]) == (rank is not None)


@pytest.mark.parametrize("name", RIVALS)
def test_a_failure_spends_the_budget_and_no_more(name):
    counter = attack(problem_of(3, budget=137, ask=never), name, ask=never)
    assert counter.sent.tolist() == [137] * 3
    assert not counter.hits.any()


@pytest.mark.parametrize("name", RIVALS)
def test_an_image_does_not_notice_its_neighbours_or_the_batch(name):
    problem = problem_of(budget=150, rank=3)
    together = attack(problem, name)
    assert attack(problem, name, batch_size=7).hits.tolist() == together.hits.tolist()
    first = Problem(problem.images[:2], problem.goals[:2], True, Ball(EPSILON), 150)
    assert attack(first, name).hits.tolist() == together.hits[:2].tolist()


@pytest.mark.parametrize("name", sorted(set(RIVALS) - {"signhunter"}))
def test_seeds_differ(name):
    problem = problem_of(rank=3, budget=300)
    assert attack(problem, name).hits.tolist() != attack(problem, name, seed=1).hits.tolist()


@pytest.mark.parametrize("name", INTEGER)
def test_integer_attacks_send_nothing_but_the_ends_of_the_box(name):
    # SignHunter's second pass begins at a corner of the box, from where a step may lead back to the original.
    problem = problem_of(1, budget=120, ask=never)
    recorder = Recorder(never)
    attack(problem, name, ask=recorder)
    difference = np.abs(recorder.images.astype(int) - problem.images[0])
    assert (difference == EPSILON).all()


@pytest.mark.parametrize("name", FLOAT)
def test_probes_come_first_and_iterates_stay_in_the_box(name):
    problem = problem_of(1, budget=200, ask=never)
    make, _ = RIVALS[name]
    search = make(problem.images[0], EPSILON, np.random.default_rng(0))
    probes = next(search)
    losses = np.arange(len(probes), dtype=np.float64)
    for _ in range(20):
        iterate = search.send(losses)
        assert iterate.shape == (1, *SHAPE)
        assert np.abs(iterate.astype(int) - problem.images).max() <= EPSILON
        assert len(search.send(np.zeros(1))) == len(probes)
    assert np.abs(iterate.astype(int) - problem.images).max() == EPSILON


# Square.


def published_share(share, step):
    """The schedule as the paper's text has it: p halves at these iterations of 10,000."""
    for iteration in (10, 50, 200, 500, 1_000, 2_000, 4_000, 6_000, 8_000):
        if step > iteration:
            share /= 2
    return share


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (224, 224)])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.8])
def test_the_schedule_of_square_is_the_published_one(shape, share):
    for step in (*range(60), *range(190, 520), *range(990, 1_010), 2_000, 2_001, 4_001, 6_001, 8_000, 8_001, 9_999):
        side = round(np.sqrt(published_share(share, step) * shape[0] * shape[1]))
        assert side_of_square(step, share, *shape) == min(max(side, 1), shape[0] - 1)


def test_the_schedule_stretches_with_the_number_of_steps():
    assert side_of_square(101, 0.3, 28, 28, steps=20_000) == side_of_square(50, 0.3, 28, 28)
    assert side_of_square(102, 0.3, 28, 28, steps=20_000) == side_of_square(51, 0.3, 28, 28)


def test_a_step_of_square_changes_one_square_with_one_sign_per_channel():
    image = random_images(1, (28, 28, 3))[0]
    search = square(image, EPSILON, np.random.default_rng(0), share=0.1)
    (best,) = next(search)
    stripes = best.astype(int) - image
    assert (stripes == stripes[:1]).all()
    best_loss, rng = 1.0, np.random.default_rng(1)
    (candidate,) = search.send(np.array([best_loss]))
    corners = set()
    for step in range(300):
        side = side_of_square(step, 0.1, 28, 28)
        rows, columns = np.nonzero((candidate != best).any(axis=2))
        assert rows.size
        assert max(np.ptp(rows), np.ptp(columns)) < side
        # Where a whole square shows, it has one sign per channel.
        if side * side == rows.size:
            patch = (candidate.astype(int) - image)[rows, columns]
            assert (patch == patch[0]).all()
            corners.add((rows.min() == 0, rows.max() == 27))
        loss = rng.random()
        following = search.send(np.array([loss]))[0]
        if loss < best_loss:
            best, best_loss = candidate, loss
        candidate = following
    # Squares lie anywhere, the first and the last row included.
    assert {(True, False), (False, True)} <= corners


# The others.


def test_signhunter_flips_all_then_halves_then_quarters():
    image = np.full((4, 4, 1), 100, dtype=np.uint8)
    search = signhunter(image, 10, np.random.default_rng(0))
    first = next(search)
    assert (first == 110).all()
    sent = [search.send(np.array([float(step)])) for step in range(7)]
    flipped = [np.flatnonzero(images != 110).tolist() for images in sent]
    everything = list(range(16))
    assert flipped == [everything, everything[:8], everything[8:], *(everything[i : i + 4] for i in range(0, 16, 4))]


def test_signhunter_finds_every_sign_of_a_linear_loss():
    rng = np.random.default_rng(0)
    image = rng.integers(50, 200, SHAPE, dtype=np.uint8)
    weights = rng.standard_normal(SHAPE)
    search = signhunter(image, 10, rng)
    candidate = next(search)
    best = candidate
    best_loss = np.inf
    for _ in range(1 + 1 + 2 + 4 + 8 + 16 + 32 + 64 + 96 + 192):
        loss = float((weights * candidate[0]).sum())
        if loss <= best_loss:
            best, best_loss = candidate, loss
        candidate = search.send(np.array([loss]))
    np.testing.assert_array_equal(best[0].astype(int) - image, np.where(weights > 0, -10, 10))


def test_parsimonious_begins_with_blocks_of_an_eighth():
    assert [first_side(side, side) for side in (28, 32, 160, 224, 256, 299)] == [4, 4, 16, 32, 32, 32]


def test_parsimonious_flips_single_blocks_of_one_channel():
    image = random_images(1, (32, 32, 3))[0]
    search = parsimonious(image, EPSILON, np.random.default_rng(0))
    low, _ = box(image, EPSILON)
    np.testing.assert_array_equal(next(search)[0], low)
    insertions = search.send(np.array([1.0]))
    assert len(insertions) == 64
    places = set()
    for candidate in insertions:
        rows, columns, channels = np.nonzero(candidate != low)
        assert rows.size == 16
        assert np.ptp(rows) == np.ptp(columns) == 3
        assert np.ptp(channels) == 0
        places.add((rows.min(), columns.min(), channels.min()))
    assert len(places) == 64


def test_parsimonious_solves_a_linear_loss_block_by_block():
    rng = np.random.default_rng(0)
    # Blocks of 2x2 at first, which cannot do it.
    image = rng.integers(50, 200, (16, 16, 1), dtype=np.uint8)
    weights = rng.standard_normal((16, 16, 1))
    search = parsimonious(image, 10, rng)
    candidates = next(search)
    for _ in range(1_500):
        candidates = search.send((candidates.astype(float) * weights).sum(axis=(1, 2, 3)))
    # The block that is asked about, the one that each mini-batch flips whatever it costs, and its way back.
    assert (candidates != image - 10 * np.sign(weights)).sum(axis=(1, 2, 3)).max() <= 3


def test_lazy_greedy_comes_back_to_a_block_whose_gain_has_shrunk():
    low, high = box(np.full((1, 3, 1), 100, dtype=np.uint8), 10)
    state = _State(low, high, np.zeros((1, 3, 1), dtype=np.bool_), low, 0.0)
    search = _lazy_greedy(state, [(slice(0, 1), slice(place, place + 1), 0) for place in range(3)])
    asked = [next(search), search.send(np.array([-3.0, -2.0, -1.0]))]
    asked += [search.send(np.array([loss])) for loss in (-3.5, -4.0)]
    assert [(images != low)[:, 0, :, 0].tolist() for images in asked] == [
        [[True, False, False], [False, True, False], [False, False, True]],
        [[True, True, False]],  # gains 0.5 now, less than the 1 of the last block
        [[True, False, True]],
        [[True, True, True]],
    ]
    with pytest.raises(StopIteration):
        search.send(np.array([-4.5]))
    assert state.raised.all()
    assert state.loss == -4.5


@pytest.mark.filterwarnings("ignore")
def test_square_through_art_is_charged_for_all_that_it_sends():
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    problem = problem_of(5, budget=200)
    recorder = Recorder(CLASSIFIER)
    counter = QueryCounter(dfa.as_oracle(recorder), problem)
    state = np.random.get_state()[1].tolist()
    art_square(counter, 10, seed=3)
    assert np.random.get_state()[1].tolist() == state
    assert counter.sent.sum() == recorder.num_images
    assert (counter.hits > 0).any()
    # Two looks at the clean image come before the first candidate.
    assert counter.hits[counter.hits > 0].min() >= 3
    assert counter.confirm(256) == 0
    again = QueryCounter(dfa.as_oracle(CLASSIFIER), problem)
    art_square(again, 10, seed=3)
    assert again.hits.tolist() == counter.hits.tolist()


@pytest.mark.filterwarnings("ignore")
def test_square_through_art_ends_with_the_budget():
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    counter = QueryCounter(dfa.as_oracle(never), problem_of(3, budget=50, ask=never))
    art_square(counter, 2, seed=0)
    assert counter.sent.tolist() == [50] * 3
