"""The query-efficiency harness: what its counter counts, and that its rivals are what they say."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial

import numpy as np
import pytest

import dfa
import queries
from oracles import LinearClassifier, Recorder, never, random_images
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

SHAPE = (8, 8, 3)
EPSILON = 20
CLASSIFIER = LinearClassifier(SHAPE)

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


def problem_of(number=6, *, budget=400, epsilon=EPSILON, rank=None, ask=CLASSIFIER):
    images = random_images(number, SHAPE)
    order = np.argsort(-np.asarray(ask(images)), axis=1, kind="stable")
    return Problem(images, order[:, 0 if rank is None else rank - 1], rank is not None, epsilon, budget)


def attack(problem, name, *, ask=CLASSIFIER, seed=0, batch_size=256, some=None):
    make, loss = RIVALS[name]
    counter = QueryCounter(dfa.as_oracle(ask), problem)
    searches = [
        make(image, problem.epsilon, np.random.default_rng([seed, place])) for place, image in enumerate(problem.images)
    ]
    run_searches(counter, searches, loss, batch_size)
    return counter


# The counter.


def test_the_query_that_was_the_first_success_is_what_counts():
    problem = problem_of(2)
    low, high = box(problem.images, EPSILON)
    answers = iter([[[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]])
    problem = Problem(problem.images, np.zeros(2, dtype=np.int64), False, EPSILON, 10)
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
    problem = Problem(random_images(1, SHAPE), np.zeros(1, dtype=np.int64), False, EPSILON, 10)
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
    problem = Problem(random_images(2, SHAPE), np.zeros(2, dtype=np.int64), is_targeted, EPSILON, 10)
    scores = np.array([[0.9, 0.06, 0.04], [0.8, 0.16, 0.04]])
    if is_targeted:
        scores = scores[:, [1, 0, 2]]
    far, near = loss(scores, problem, np.array([0, 1]))
    assert near < far


def test_the_cross_entropy_tells_probabilities_near_1_apart():
    problem = Problem(random_images(1, SHAPE), np.zeros(1, dtype=np.int64), False, EPSILON, 10)
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
    first = Problem(problem.images[:2], problem.goals[:2], True, EPSILON, 150)
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


# The harness.


def test_dfa_is_counted_as_it_counts():
    problem = problem_of(budget=300)
    outcome = queries.dfa_attack().run(dfa.as_oracle(CLASSIFIER), problem, 0, 256)
    result = dfa.run(CLASSIFIER, problem.images, epsilon=EPSILON, max_queries=300, progress=False)
    assert outcome.queries == [record.queries if record.verified else None for record in result.records]
    assert outcome.sent == sum(record.queries_sent for record in result.records)


def test_a_count_that_differs_from_dfas_own_is_an_error():
    problem = problem_of(budget=300)
    oracle = dfa.as_oracle(CLASSIFIER)
    result = dfa.run(oracle, problem.images, epsilon=EPSILON, max_queries=300, progress=False)
    profile = result.profile
    seen = profile.rows_sent + profile.clean + profile.verification
    queries._audit(result, problem, oracle, seen, 256)
    with pytest.raises(RuntimeError, match="the images that its oracle saw"):
        queries._audit(result, problem, oracle, seen + 1, 256)
    tighter = Problem(problem.images, problem.goals, False, EPSILON - 1, 300)
    with pytest.raises(RuntimeError, match="its successes, judged here"):
        queries._audit(result, tighter, oracle, seen, 256)


def cell(attack, seed, hits, setting="lenet1-eps64"):
    return {
        "setting": setting,
        "attack": attack,
        "seed": seed,
        "parameters": {"budget": 1_000},
        "queries": hits,
        "sent": 0,
        "wall": 2.0,
        "oracle": 1.0,
        "calls": 1,
        "unconfirmed": 0,
    }


def test_failures_count_as_the_budget_and_the_best_square_is_the_measure():
    cells = [
        cell("square-0.1-margin", 0, [10, 20]),
        cell("square-0.1-margin", 1, [100, 200]),
        cell("square-0.3-margin", 0, [9, None]),
        cell("dfa", 0, [5, None]),
        cell("dfa", 0, [7, 7], setting="resnet20-eps8"),
    ]
    rows = {row.attack: row for row in queries.rows_of(cells, "lenet1-eps64")}
    assert rows["dfa"].mean == (5 + 1_000) / 2
    assert rows["dfa"].success_within(10) == 0.5
    assert rows["dfa"].success_within(1_000) == 0.5
    # The seeds that both have.
    assert rows["dfa"].ratio == pytest.approx(502.5 / 15)
    assert rows["square-0.1-margin"].ratio == 1
    assert rows["square-0.3-margin"].ratio == pytest.approx(504.5 / 15)
    means = queries.geometric_means({"a": list(rows.values()), "b": []})
    assert means["dfa"] == (pytest.approx(33.5), 1)


@pytest.fixture
def small_harness(tmp_path, monkeypatch):
    """A harness whose one setting is an easy classifier; returns a way to call it, and the attacks that ran."""
    ran = []

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["queries.py", "--out", str(tmp_path / "queries.json"), *arguments])
        queries.main()
        return json.loads((tmp_path / "queries.json").read_text())

    def measure(loaded, setting, attack, seed, arguments):
        ran.append((attack, seed))
        return original(loaded, setting, attack, seed, arguments)

    original = queries.measure
    loaded = queries.Loaded(dfa.as_oracle(CLASSIFIER), problem_of(budget=300))
    monkeypatch.setattr(queries, "measure", measure)
    monkeypatch.setattr(queries, "load", lambda setting, arguments: loaded)
    monkeypatch.setattr(queries, "draw", lambda tables, folder: None)
    return run, ran


def test_a_cell_is_measured_once_and_again_when_its_parameters_change(small_harness):
    run, ran = small_harness
    arguments = ["--only", "resnet20-eps8", "--attacks", "square-0.1-*", "dfa", "--seeds", "0"]
    first = run(*arguments)
    assert [entry[0] for entry in ran] == ["dfa", *(f"square-0.1-{loss}" for loss in queries._LOSSES)]
    assert run(*arguments)["results"] == first["results"]
    assert len(ran) == 4
    assert len(run(*arguments[:-1], "1")["results"]) == 8
    assert len(ran) == 8
    run(*arguments, "--images", "5")
    assert len(ran) == 12
    run(*arguments, "--images", "5", "--skip", "2")
    assert len(ran) == 16
    run("--summarise")
    assert len(ran) == 16


def test_every_cell_is_on_disk_before_the_next_begins(small_harness, monkeypatch, tmp_path):
    run, ran = small_harness
    measure = queries.measure

    def interrupted(*arguments):
        if len(ran) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(queries, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("--only", "resnet20-eps8", "--attacks", "square-0.1-*", "--seeds", "0")
    held = json.loads((tmp_path / "queries.json").read_text())
    assert [(entry["attack"], entry["seed"]) for entry in held["results"]] == ran
    assert set(held["versions"]) >= {"dfa", "numpy", "python"}


def test_a_cell_is_recognised_by_another_process():
    # A function's repr holds its address.
    assert [name for name, attack in queries.ATTACKS.items() if " at 0x" in attack.configuration] == []
    assert "window_share" in queries.ATTACKS["dfa"].configuration


def test_an_unknown_name_is_refused():
    with pytest.raises(SystemExit, match=r"'sqare' matches none of: .*square-0.05-margin"):
        queries.matching(["sqare"], queries.ATTACKS)


def test_pictures_show_every_setting_that_was_measured(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    cells = [cell("dfa", 0, [5, None]), cell("square-0.1-margin", 0, [None, None])]
    tables = {setting: queries.rows_of(cells, setting) for setting in queries.SETTINGS}
    queries.draw(tables, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["queries-lenet1-eps64.png"]


def test_the_harness_loads_correctly_classified_images_and_the_targets_that_dfa_takes(data):
    pytest.importorskip("tensorflow")
    arguments = argparse.Namespace(data=data, images=300, skip=0, budget=100)
    setting = queries.SETTINGS["lenet1-eps64-targeted"]
    oracle, problem = queries.load(setting, arguments)
    images, labels = queries.load_images(data, setting.images)
    result = dfa.run(oracle, images[:330], targets=dfa.rank(4), epsilon=64, max_queries=2, progress=False)
    right = [record for record in result.records if record.class_before == labels[record.index]][:300]
    assert right[-1].index > 299
    np.testing.assert_array_equal(problem.images, images[[record.index for record in right]])
    assert problem.goals.tolist() == [record.target for record in right]


@pytest.mark.parametrize("name", ["lenet1-eps64", "lenet1-eps64-targeted"])
def test_images_that_the_default_was_chosen_on_can_be_left_out(data, name):
    pytest.importorskip("tensorflow")
    setting = queries.SETTINGS[name]
    everything = queries.load(setting, argparse.Namespace(data=data, images=30, skip=0, budget=100)).problem
    rest = queries.load(setting, argparse.Namespace(data=data, images=20, skip=10, budget=100)).problem
    np.testing.assert_array_equal(rest.images, everything.images[10:])
    assert rest.goals.tolist() == everything.goals[10:].tolist()
    with pytest.raises(SystemExit, match=r"classifies no more than 2000 images correctly; --skip fewer"):
        queries.load(setting, argparse.Namespace(data=data, images=1, skip=2_000, budget=100))
