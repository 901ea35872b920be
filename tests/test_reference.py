"""The reference is judged by published vectors and brute force before the core is judged by it."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reference.chisquare import against_distribution, two_samples
from reference.coverage import Coverage, edges
from reference.gains import PLAIN
from reference.philox import Stream
from reference.proposals import (
    ATTEMPTS,
    Space,
    draw_candidate,
    draw_corner,
    draw_start,
    draw_subset,
    inside,
    make_space,
    ordered_region,
    propose,
    render,
    window_side,
)
from reference.racos import Racos, minimise
from reference.settings import Settings
from reference.textbook import PROBLEMS, distribution, sample


class Scripted(Stream):
    """A stream of given (n, result) pairs: the test states the range of each draw, and its result."""

    def __init__(self, draws: Iterable[tuple[int, int]]) -> None:
        super().__init__(0, 0, 0, 0)
        self.left = list(draws)

    def below(self, n: int) -> int:
        expected, draw = self.left.pop(0)
        assert n == expected
        return draw


def cube(m: int, epsilon: int) -> Space:
    return Space((1, m, 1), (-epsilon,) * m, (epsilon,) * m, tuple(range(m)))


def quantised_sum(image: np.ndarray) -> float:
    """A degree with many ties."""
    return float(int(image.astype(np.int64).sum()) // 16)


# Space, start and rendering


def test_space_of_one_epsilon_and_of_one_per_coordinate() -> None:
    image = np.array([[[0, 3, 128, 250, 255]]], dtype=np.uint8)
    ball = make_space(image, 10, "ball")
    assert (ball.lower, ball.upper, ball.free) == ((-10,) * 5, (10,) * 5, (0, 1, 2, 3, 4))
    radii = np.array([[[5, 0, 255, 0, 9]]])
    masked = make_space(image, radii, "ball")
    assert (masked.lower, masked.upper, masked.free) == ((-5, 0, -255, 0, -9), (5, 0, 255, 0, 9), (0, 2, 4))
    valid = make_space(image, radii, "valid")
    assert (valid.lower, valid.upper, valid.free) == ((0, 0, -128, 0, -9), (5, 0, 127, 0, 0), (0, 2, 4))


@pytest.mark.parametrize("epsilon", [0, 256, -1])
def test_space_refuses_an_epsilon_out_of_range(epsilon: int) -> None:
    with pytest.raises(ValueError, match=r"epsilon must be 0\.\.255"):
        make_space(np.zeros((2, 2, 1), np.uint8), epsilon, "ball")


def test_render_clamps_as_the_paper_does() -> None:
    image = np.array([[[0], [5]], [[250], [255]]], dtype=np.uint8)
    assert render(image, (-1, -5, 5, 1)).ravel().tolist() == [0, 0, 255, 255]
    assert render(image, (255, 1, 6, -255)).ravel().tolist() == [255, 6, 255, 0]


def test_start_draws_the_free_coordinates_in_order() -> None:
    image = np.array([[[7, 0, 255]]], dtype=np.uint8)
    search = Racos(image, np.array([[[3, 0, 2]]]), Settings(domain="valid"), seed=11, image_id=5)
    assert search.pending == 5
    for i in range(5):
        stream = Stream(11, 5, 0, i)
        assert search.candidates()[i] == (stream.below(7) - 3, 0, stream.below(3) - 2)


def test_start_in_stripes_draws_a_side_per_column_and_channel() -> None:
    """Also for a column that is masked throughout, so that a mask moves no stripe."""
    image = np.array([[[0, 9], [9, 9], [9, 255]], [[250, 9], [9, 9], [9, 0]]], dtype=np.uint8)
    radii = np.array([[[7, 7], [0, 0], [7, 7]], [[7, 0], [0, 0], [7, 7]]])
    stream = Scripted([(2, 1), (2, 0), (2, 1), (2, 1), (2, 0), (2, 1)])
    drawn = draw_start(stream, make_space(image, radii, "valid"), Settings(start="stripes"))
    assert drawn == (7, -7, 0, 0, -7, 0, 5, 0, 0, 0, -7, 7)
    assert stream.left == []


# The draws of one candidate


@pytest.mark.parametrize(("n", "size"), [(1, 4), (2, 5), (3, 5), (4, 4)])
def test_every_subset_is_drawn_equally_often(n: int, size: int) -> None:
    draws = itertools.product(*([(j + 1, u) for u in range(j + 1)] for j in range(size - n, size)))
    counts = Counter(frozenset(draw_subset(Scripted(script), n, size)) for script in draws)
    assert set(counts) == {frozenset(c) for c in itertools.combinations(range(size), n)}
    assert len(set(counts.values())) == 1


def test_region_holds_the_parent_and_no_negative() -> None:
    rng = random.Random(1)
    for trial in range(300):
        space = cube(m := rng.randint(1, 12), epsilon := rng.randint(1, 4))
        parent, *negatives = (tuple(rng.randint(-epsilon, epsilon) for _ in range(m)) for _ in range(rng.randint(1, 6)))
        lower, upper = ordered_region(Stream(trial, 0, 1, 0), space, parent, [*negatives, parent])

        def inside(x: tuple[int, ...], low: list[int] = lower, high: list[int] = upper) -> bool:
            return all(a <= v <= b for a, v, b in zip(low, x, high, strict=True))

        assert inside(parent)
        assert not any(inside(x) for x in negatives if x != parent)
        narrowed = sum((a, b) != (-epsilon, epsilon) for a, b in zip(lower, upper, strict=True))
        assert narrowed <= len(negatives)


def test_a_candidate_by_hand_in_the_ordered_region() -> None:
    """Every draw of lines 13-16, with one negative found among many coordinates and one among few."""
    space = cube(8, 9)
    positives = [(0,) * 8, (1,) * 8]
    negatives = [(1, 1, 1, 1, 1, 1, 1, 6), (3, 1, -4, -4, -4, -4, -4, -4)]
    stream = Scripted(
        [
            (2, 1),  # parent: the second positive
            (8, 0),  # of 1 + 7 pairs the first: 1 of 8 coordinates differs there, so at once coordinate 7
            (5, 3),  # cut in 1..5: 4 stays, which drops the first negative only
            (7, 6),  # of 7 pairs: the second negative, 7 of 8 coordinates differ, so one is found by trying
            (8, 1),  # equal there: once more
            (8, 0),  # coordinate 0
            (2, 0),  # cut in 1..2: 1 stays
            (7, 4),  # Y: coordinate 4
            (8, 4),  # 4 again, so 7
            (19, 18),  # coordinate 4 is not narrowed: -9 + 18
            (14, 13),  # coordinate 7 is -9..4
        ]
    )
    drawn = draw_candidate(stream, space, Settings(coordinates=2), positives, negatives).vector
    assert drawn == (1, 1, 1, 1, 9, 1, 1, 4)
    assert stream.left == []


def test_a_candidate_by_hand_in_the_region_per_coordinate() -> None:
    space = cube(3, 9)
    negatives = [(5, 0, 0), (-5, 0, 0), (0, 7, 0), (9, 0, 0), (-9, 0, 0)]
    stream = Scripted(
        [
            (1, 0),  # parent
            (2, 0),  # Y: coordinate 0
            (3, 2),  # and 2
            (5, 3),  # coordinate 0, first negative: 0..3 stay
            (5, 1),  # second: -3..0 stay; from the third, which is equal here, nothing is drawn
            (9, 8),  # fourth: 0..8 stay, which changes nothing
            (9, 0),  # fifth: -8..0 stay, which changes nothing
            (7, 6),  # of -3..3
            (19, 5),  # coordinate 2 is not narrowed: -9 + 5
        ]
    )
    settings = Settings(coordinates=2, region="per_coordinate")
    assert draw_candidate(stream, space, settings, [(0, 0, 0)], negatives).vector == (3, 0, -4)
    assert stream.left == []


@pytest.mark.parametrize("coordinates", [2, 3, 100])
def test_only_free_coordinates_are_drawn_and_all_where_more_are_asked_for(coordinates: int) -> None:
    space = Space((1, 4, 1), (0, -3, 0, -3), (0, 3, 0, 3), (1, 3))
    stream = Scripted([(1, 0), (1, 0), (2, 0), (7, 6), (7, 4)])  # parent, Y twice, values
    settings = Settings(coordinates=coordinates, region="none")
    assert draw_candidate(stream, space, settings, [(0, 0, 0, 0)], []).vector == (0, 3, 0, 1)
    assert stream.left == []


def test_extremes_are_the_bounds_of_the_region() -> None:
    settings = Settings(values="extremes")
    for side, expected in ((0, -9), (1, 4)):
        draws = [(1, 0), (1, 0), (1, 0), (7, 4), (1, 0), (2, side)]  # parent, pair, coordinate, cut, Y, side
        assert draw_candidate(Scripted(draws), cube(1, 9), settings, [(0,)], [(7,)]).vector == (expected,)


def test_the_side_of_a_window_follows_its_share_of_the_area() -> None:
    settings = Settings(window_share=0.1, window_halvings=(10, 50, 50))
    # 0.1 * 784 = 78.4, then 39.2, then 9.8
    assert [window_side(settings, (28, 28, 1), told) for told in (0, 9, 10, 49, 50, 51)] == [9, 9, 6, 6, 3, 3]
    assert window_side(settings, (30, 3, 3), 0) == 3  # no wider than the image
    assert window_side(Settings(window_share=1e-6), (28, 28, 1), 0) == 1
    assert window_side(Settings(window_share=1.0), (28, 28, 1), 0) == 28
    assert window_side(Settings(window_share=0.0625), (10, 10, 1), 0) == 3  # 2.5 is rounded up


@pytest.mark.parametrize(
    ("top", "left", "expected"), [(0, 0, [0, 1, 2, 3, 7, 8]), (1, 0, [7, 8, 12, 14]), (1, 1, [8, 10, 11, 14, 16, 17])]
)
def test_a_window_holds_its_free_coordinates_row_by_row(top: int, left: int, expected: list[int]) -> None:
    masked = np.ones((3, 3, 2), int)
    masked.flat[[6, 9, 13, 15]] = 0
    space = make_space(np.zeros((3, 3, 2), np.uint8), masked, "ball")
    stream = Scripted([(2, top), (2, left)])
    assert inside(space, *draw_corner(stream, space, 2), 2) == expected
    assert stream.left == []


def test_a_window_goes_where_the_fewest_have_lain() -> None:
    space = make_space(np.zeros((20, 8, 1), np.uint8), 9, "ball")
    coverage = Coverage(20, 8)
    coverage.add(0, 0, 4)
    coverage.add(4, 4, 4)
    corners = [(2, 2), (16, 4), (3, 0), (10, 1)]  # the second and the last are bare
    stream = Scripted([draw for top, left in corners for draw in ((17, top), (5, left))])
    assert draw_corner(stream, space, 4, 4, coverage) == (16, 4)
    assert stream.left == []


def test_coverage_counts_the_share_of_each_cell_that_windows_covered() -> None:
    """20 rows in 16 cells are of 1, 1, 1, 2 rows and so on; 8 columns are a cell each."""
    assert edges(20)[:6] == [0, 1, 2, 3, 5, 6]
    assert edges(8) == list(range(9))
    coverage = Coverage(20, 8)
    coverage.add(2, 1, 2)
    assert [[round(cell, 6) for cell in row[:4]] for row in coverage.cells[:5]] == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 0.5, 0.5, 0],
        [0, 0, 0, 0],
    ]
    assert coverage.under(2, 1, 2) == 3.0
    assert coverage.under(1, 0, 1) == 0.0
    assert coverage.under(3, 2, 3) == 0.5 * 2  # both rows of the cell that is half covered, and one column


def test_textured_windows_have_all_channels_alike_and_plain_ones_a_side_per_channel() -> None:
    space = make_space(np.full((6, 6, 3), 100, np.uint8), 5, "valid")
    settings = Settings(region="none", shape="window", values="textures", window_share=0.25)
    mixed: Counter[bool] = Counter()
    for number in range(200):
        proposal = draw_candidate(Stream(1, 0, 1, number), space, settings, [(0,) * 108], [])
        pixels = np.array(proposal.vector).reshape(-1, 3)
        window = pixels[(pixels != 0).any(axis=1)]
        assert len(window) == 9
        is_alike = bool((window == window[:, :1]).all())
        if proposal.filling == PLAIN:
            assert (window == window[0]).all()
            mixed[is_alike] += 1
        else:
            assert is_alike
    assert mixed[False] > 2 * mixed[True] > 0  # three channels of eight sides, two of them alike


def test_a_candidate_by_hand_in_a_window() -> None:
    """Extremes take one side per channel, within bounds that differ by coordinate."""
    image = np.array([[[0, 9], [255, 9]], [[250, 9], [9, 2]]], dtype=np.uint8)
    space = make_space(image, 7, "valid")
    parent = (1,) * 8
    settings = Settings(region="none", shape="window", values="extremes", window_share=0.25)
    window = [(1, 0), (2, 1), (2, 0)]  # parent, row, column
    stream = Scripted([*window, (2, 1), (2, 0)])  # a side per channel
    assert draw_candidate(stream, space, settings, [parent], []).vector == (1, 1, 1, 1, 5, -7, 1, 1)
    assert stream.left == []
    uniform = replace(settings, values="uniform")
    stream = Scripted([*window, (13, 3), (15, 14)])  # a value per coordinate: of -7..5 and of -7..7
    assert draw_candidate(stream, space, uniform, [parent], []).vector == (1, 1, 1, 1, -4, 7, 1, 1)
    assert stream.left == []
    # Cut against the negative, the upper bounds of the two coordinates are 1 and 0.
    cuts = replace(settings, region="per_coordinate")
    stream = Scripted([*window, (2, 1), (2, 0), (2, 1), (1, 0)])  # the cuts come after the sides
    assert draw_candidate(stream, space, cuts, [(0,) * 8], [(0, 0, 0, 0, 2, 1, 0, 0)]).vector == (
        0,
        0,
        0,
        0,
        1,
        -7,
        0,
        0,
    )
    assert stream.left == []


def test_the_window_shrinks_with_the_candidates_told() -> None:
    image = np.full((8, 8, 1), 100, np.uint8)
    settings = Settings(region="none", shape="window", window_share=1.0, window_halvings=(3, 6, 6))
    search = Racos(image, 50, settings, seed=5)
    sizes = []
    for _ in range(5):
        parents = [np.array(member.vector) for member in search.positives]
        for i in range(search.pending if parents else 0):
            sizes.append(min(int((np.array(search.candidates()[i]) != parent).sum()) for parent in parents))
        search.tell([0.0] * search.pending)
    # After the 5 starts none are told before the first iteration, 3 before the second, 6 before the third.
    assert min(sizes[:3]) > 36
    assert 16 < min(sizes[3:6]) <= max(sizes[3:6]) <= 36
    assert max(sizes[6:]) <= 9


def test_copies_of_positives_are_thrown_back_a_bounded_number_of_times() -> None:
    space = cube(1, 1)
    settings = Settings(coordinates=1, region="none")
    positives = [(0,), (1,)]
    copy, other = [(2, 0), (1, 0), (3, 1)], [(2, 0), (1, 0), (3, 0)]  # parent, Y, value
    assert propose(Scripted(copy * 3 + other), space, settings, positives, [(-1,)]).vector == (-1,)
    stream = Scripted(copy * ATTEMPTS)
    assert propose(stream, space, settings, positives, []).vector == (0,)
    assert stream.left == []
    assert ATTEMPTS == 16


# The distribution of proposals


def test_chi_square_of_counts_by_hand() -> None:
    def coin(heads: int, tails: int) -> Counter[tuple[int, ...]]:
        return Counter({(0,): heads, (1,): tails})

    fair: dict[tuple[int, ...], float] = {(0,): 0.5, (1,): 0.5}
    # The statistics are 1.6 and 3.2, with one degree of freedom.
    assert against_distribution(coin(520, 480), fair) == pytest.approx(0.20590, abs=1e-5)
    assert two_samples(coin(520, 480), coin(480, 520)) == pytest.approx(0.07364, abs=1e-5)
    # Five outcomes of one expected count each: pooled, so it does not matter that one of them took all.
    rare: dict[tuple[int, ...], float] = {(0,): 0.5, (1,): 0.495, **{(i,): 0.001 for i in range(2, 7)}}
    assert against_distribution(coin(500, 490) + Counter({(2,): 10}), rare) > 0.1
    always_heads: dict[tuple[int, ...], float] = {(0,): 1.0}
    assert against_distribution(coin(999, 1), always_heads) == 0


def proposals(name: str, count: int, **changes: Any) -> Counter[tuple[int, ...]]:
    """Proposals of the reference from a population of `textbook`."""
    problem = PROBLEMS[name]
    space = cube(len(problem.positives[0]), problem.epsilon)
    settings = replace(Settings(coordinates=problem.coordinates), **changes)
    return Counter(
        propose(Stream(2020, 0, 1, i), space, settings, problem.positives, problem.negatives).vector
        for i in range(count)
    )


@pytest.mark.parametrize("name", PROBLEMS)
def test_textbook_loop_has_the_exact_distribution(name: str) -> None:
    exact = distribution(PROBLEMS[name])
    assert sum(exact.values()) == pytest.approx(1)
    rng = random.Random(7)
    assert against_distribution(Counter(sample(rng, PROBLEMS[name]) for _ in range(20_000)), exact) > 1e-4


@pytest.mark.parametrize("name", PROBLEMS)
def test_reference_proposes_as_the_textbook(name: str) -> None:
    drawn = proposals(name, 20_000)
    assert against_distribution(drawn, distribution(PROBLEMS[name])) > 1e-4
    rng = random.Random(8)
    assert two_samples(drawn, Counter(sample(rng, PROBLEMS[name]) for _ in range(20_000))) > 1e-4


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_comparison_tells_another_region_apart(name: str) -> None:
    rng = random.Random(9)
    textbook = Counter(sample(rng, PROBLEMS[name]) for _ in range(20_000))
    assert two_samples(proposals(name, 20_000, region="none"), textbook) < 1e-20


# Population and whole runs


@pytest.mark.parametrize(("ties", "births"), [("older", [1, 3, 0, 2, 4]), ("newer", [3, 1, 4, 2, 0])])
def test_ties_at_the_start(ties: Any, births: list[int]) -> None:
    search = Racos(np.zeros((2, 2, 1), np.uint8), 3, Settings(ties=ties), seed=1)
    search.tell([1.0, -0.0, 1.0, 0.0, 1.0])
    assert [member.birth for member in search.population] == births
    assert [str(member.degree) for member in search.population[:2]] == ["0.0", "0.0"]


@pytest.mark.parametrize("ties", ["older", "newer"])
def test_population_is_the_best_of_everything_asked(ties: Any) -> None:
    """With whole-number degrees, so that ties decide often."""
    image = np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7
    search = Racos(image, 20, Settings(samples=4, positives=3, ties=ties), seed=3, image_id=2)
    asked: list[tuple[float, int, tuple[int, ...]]] = []
    rng = random.Random(4)
    for iteration in range(30):
        assert search.pending == (7 if iteration == 0 else 4)
        degrees = [float(rng.randint(0, 3)) for _ in range(search.pending)]
        for i, degree in enumerate(degrees):
            asked.append((degree, len(asked), search.candidates()[i]))
        search.tell(degrees)
        asked.sort(key=lambda member: (member[0], member[1] if ties == "older" else -member[1]))
        expected = asked[:7]
        assert [(m.degree, m.birth, m.vector) for m in search.population] == expected
        assert search.population == search.positives + search.negatives
        assert len(search.positives) == 3


@pytest.mark.parametrize("domain", ["ball", "valid"])
@pytest.mark.parametrize("region", ["none", "ordered", "per_coordinate"])
@pytest.mark.parametrize("values", ["uniform", "extremes"])
def test_candidates_stay_in_the_space_and_near_a_positive(domain: Any, region: Any, values: Any) -> None:
    rng = np.random.default_rng(5)
    image = rng.choice(np.array([0, 1, 100, 254, 255], np.uint8), size=(4, 4, 2))
    radii = rng.choice(np.array([0, 1, 40, 255]), size=image.shape)
    settings = Settings(coordinates=3, domain=domain, region=region, values=values)
    search = Racos(image, radii, settings, seed=6)
    for iteration in range(12):
        images = search.ask()
        assert images.dtype == np.uint8
        assert images.shape == (search.pending, 4, 4, 2)
        assert (abs(images.astype(int) - image) <= radii).all()
        for i in range(search.pending):
            x = np.array(search.candidates()[i]).reshape(image.shape)
            assert (abs(x) <= radii).all()
            if domain == "valid":
                assert (image + x == images[i]).all()
            if iteration > 0:
                changed = [(x.ravel() != member.vector).sum() for member in search.positives]
                assert 1 <= min(changed) <= 3
        search.tell([quantised_sum(image) for image in images])


@pytest.mark.parametrize("degrees", [[0.0] * 4, [0.0] * 6, [0.0, 1.0, float("nan"), 1.0, 1.0]])
def test_tell_refuses_wrong_degrees(degrees: list[float]) -> None:
    search = Racos(np.zeros((2, 2, 1), np.uint8), 3, Settings(), seed=1)
    with pytest.raises(ValueError, match="expected 5 degrees without NaN"):
        search.tell(degrees)
    assert search.population == ()


def test_minimise_stops_at_degree_zero_or_at_the_last_iteration() -> None:
    image = np.full((4, 4, 1), 100, np.uint8)
    search = Racos(image, 8, Settings(), seed=9)
    best = minimise(search, lambda x: max(0.0, float(x.astype(int).sum()) - 1560), 500)
    assert best.degree == 0
    assert render(image, best.vector).astype(int).sum() <= 1560
    assert 0 < search.iteration - 1 < 500
    search = Racos(image, 8, Settings(), seed=9)
    assert minimise(search, lambda x: 1.0, 10).birth == 0
    assert search.iteration == 11
