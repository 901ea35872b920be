"""The core equals the plain reference: every image, every vector, every rank of whole trajectories, exactly."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import dfa
from core_driver import DEFAULT, Epsilon, Images, ask, config_of, population_of, radius_of, rows_of, tell
from dfa import _core
from reference import tuning
from reference.archive import Archive, Lesson, Plan
from reference.philox import WORD, Stream, philox4x32
from reference.racos import Racos
from reference.settings import Settings

Degree = Callable[[Images], float]


def follow(
    image: Images,
    epsilon: Epsilon,
    settings: Settings,
    degree: Degree,
    iterations: int,
    *,
    seed: int = 1,
    image_id: int = 0,
    config: _core.Config | None = None,
    plans: tuple[_core.Plan, Plan] | None = None,
) -> Racos:
    """Run the core beside the reference and compare everything in every iteration; the finished reference."""
    core_plan, plan = plans or (None, None)
    search = Racos(image, epsilon, settings, seed=seed, image_id=image_id, plan=plan)
    batch = _core.Batch(config or config_of(settings), image.shape, seed, 1)
    slot = batch.add(image, image_id, radius_of(epsilon), core_plan)
    for iteration in range(iterations):
        assert batch.iteration(slot) == iteration
        assert batch.iteration_size(slot) == search.pending
        rows = rows_of(batch, slot)
        expected = search.ask()
        assert np.array_equal(ask(batch, rows, image.shape), expected), f"images of iteration {iteration}"
        degrees = [degree(candidate) for candidate in expected]
        tell(batch, rows, degrees)
        search.tell(degrees)
        assert population_of(batch, slot) == [
            # Where no region reads the negatives, the core keeps their degrees only.
            (m.degree, m.birth, None if settings.region == "none" and m in search.negatives else list(m.vector))
            for m in search.population
        ], f"population after iteration {iteration}"
    return search


# Random streams


@pytest.mark.parametrize("key", [(0, 0), (WORD - 1, WORD - 1), (0xA4093822, 0x299F31D0)])
@pytest.mark.parametrize("counter", [(0, 0, 0, 0), (WORD - 1,) * 4, (1, 2, 3, 4), (WORD - 1, 0, 7, 1 << 31)])
def test_philox_is_the_reference(counter: tuple[int, int, int, int], key: tuple[int, int]) -> None:
    assert tuple(_core.philox(counter, key)) == philox4x32(counter, key)


@pytest.mark.parametrize(
    "place",
    [(0, 0, 0, 0), (2**64 - 1, WORD - 1, WORD - 1, WORD - 1), (1 << 32, 1, 0, 0), (7, 0, 1, 2)],
)
def test_streams_are_the_reference(place: tuple[int, int, int, int]) -> None:
    core, reference = _core.Stream(*place), Stream(*place)
    # Long enough for every size of refill, and many times for the largest.
    assert [core.next() for _ in range(700)] == [reference.next() for _ in range(700)]
    bounds = [1, 2, 3, 255, 511, 784, 2**22 + 1, 2**31, 2**31 + 1, 3 * 2**30 + 1, WORD - 1]
    for n in bounds * 30:
        assert core.below(n) == reference.below(n)
    assert core.next() == reference.next()


# Trajectories over all parts, in small spaces

SWITCHES: dict[str, list[Any]] = {
    "region": ["none", "ordered", "per_coordinate"],
    "shape": ["scattered", "window", "ray"],
    "values": ["uniform", "extremes", "textures"],
    "start": ["uniform", "stripes", "textures"],
    "domain": ["ball", "valid"],
    "ties": ["older", "newer"],
}
OTHERS: dict[str, list[Any]] = {
    "samples": [1, 2, 3, 6],
    "positives": [1, 2, 4],
    "starts": ["none", "least", "one more", "most"],
    "coordinates": ["one", "two", "half", "all", "too many"],
    "window": [(0.1, ()), (0.3, (1, 4, 9, 9, 40)), (1.0, (12,)), (1e-9, (1,))],
    "size": [(1, 1, 1), (1, 1, 3), (2, 3, 1), (1, 9, 2), (4, 4, 3), (7, 3, 2), (12, 10, 1)],
    "pixels": ["edges", "any"],
    "epsilon": [1, 64, 127, 128, 255, "mask", "narrow mask", "one free"],
    "restart_after": [0, 2, 3, 8],
    "rest_ratio": [0.5, 0.95, 1.0],
    "placements": [1, 2, 5],
    "improvements": [0.0, 0.5, 3.0],
    "degree": ["fine", "coarse", "constant", "signed zeros", "infinite"],
    "seed": [0, 1, 0x9E3779B97F4A7C15, 2**64 - 1],
    "image_id": [0, 5, WORD - 1],
}
VARIANTS = 2
RAY_VARIANTS = 6
"""More of them, since few combinations have rays."""


def is_possible(case: dict[str, Any]) -> bool:
    """Textures fill windows, outside of which no region may reach, and rays begin with textures."""
    is_whole = case.get("region", "none") == "none"
    if case.get("shape") == "ray":
        return is_whole and case.get("start", "textures") == "textures"
    return case.get("values") != "textures" or (is_whole and case.get("shape", "window") == "window")


def make_cases() -> list[dict[str, Any]]:
    """Every combination of the switches, each with some values of the others, as evenly used as can be."""
    rng = random.Random(21)
    products = [dict(zip(SWITCHES, c, strict=True)) for c in itertools.product(*SWITCHES.values())]
    possible = [product for product in products if is_possible(product)]
    combinations = possible * VARIANTS + [each for each in possible if each["shape"] == "ray"] * RAY_VARIANTS
    columns = {}
    for name, values in OTHERS.items():
        column = (values * (len(combinations) // len(values) + 1))[: len(combinations)]
        rng.shuffle(column)
        columns[name] = column
    return [switches | {name: columns[name][i] for name in OTHERS} for i, switches in enumerate(combinations)]


CASES = make_cases()


@dataclass(frozen=True)
class Degrees:
    """A degree that depends on every pixel, in one of several grains."""

    kind: str
    original: Images

    def __call__(self, image: Images) -> float:
        weights = np.arange(image.size).reshape(image.shape) % 7 + 1
        total = int((weights * image.astype(np.int64)).sum())
        if self.kind == "fine":
            return total / 256
        if self.kind == "coarse":
            return float(total // 512)
        if self.kind == "constant":
            return 0.25
        if self.kind == "signed zeros":
            return [0.0, -0.0, 0.5][total % 3]
        return [float("inf"), float("-inf"), 1.0, -1e308][total % 4]


def make_epsilon(kind: Any, size: tuple[int, int, int], rng: np.random.Generator) -> Epsilon:
    if isinstance(kind, int):
        return kind
    levels = {"mask": [0, 1, 64, 127, 128, 255], "narrow mask": [0, 0, 3, 127], "one free": [0]}[kind]
    radii = rng.choice(np.array(levels, np.uint8), size=size)
    radii.flat[int(rng.integers(radii.size))] = 9
    return radii


@pytest.mark.weekly_but(100)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_small_trajectories_are_the_reference(number: int) -> None:
    case = CASES[number]
    rng = np.random.default_rng(number)
    size = case["size"]
    pixels = [0, 1, 254, 255] if case["pixels"] == "edges" else range(256)
    image = rng.choice(np.array(pixels, np.uint8), size=size)
    counts = {"one": 1, "two": 2, "half": max(1, image.size // 2), "all": image.size, "too many": 1000}
    share, halvings = case["window"]
    population = case["samples"] + case["positives"]
    starts = {"none": None, "least": population, "one more": population + 1, "most": tuning.STARTS}[case["starts"]]
    settings = Settings(
        **{
            name: case[name]
            for name in [*SWITCHES, "samples", "positives", "restart_after", "rest_ratio", "placements"]
        },
        coordinates=counts[case["coordinates"]],
        starts=starts,
        window_share=share,
        window_halvings=halvings,
        improvements=case["improvements"] if case["shape"] != "scattered" and case["region"] == "none" else 0.0,
    )
    epsilon = make_epsilon(case["epsilon"], size, rng)
    degree = Degrees(case["degree"], image)
    follow(image, epsilon, settings, degree, 20, seed=case["seed"], image_id=case["image_id"])


def test_the_small_trajectories_cover_every_pair_of_values() -> None:
    factors = SWITCHES | OTHERS
    seen = {((a, repr(case[a])), (b, repr(case[b]))) for case in CASES for a, b in itertools.combinations(factors, 2)}
    for a, b in itertools.combinations(factors, 2):
        for x, y in itertools.product(factors[a], factors[b]):
            if not is_possible({a: x, b: y}):
                continue
            assert ((a, repr(x)), (b, repr(y))) in seen


# Trajectories that small cases do not reach


def photo(size: tuple[int, int, int], seed: int = 3) -> Images:
    """Black, white and everything between, as MNIST has them."""
    return np.random.default_rng(seed).choice(np.array([0] * 9 + [255] * 3 + [1, 127, 128, 250], np.uint8), size=size)


def distance(target: Images, grain: int) -> Degree:
    """Falls for a long time, so that populations turn over; `grain` makes ties."""
    goal = target.astype(np.int64)
    return lambda image: float(np.abs(image.astype(np.int64) - goal).sum() // grain)


@pytest.mark.parametrize("region", ["none", "ordered", "per_coordinate"])
@pytest.mark.parametrize("grain", [1, 40])
def test_long_trajectories_in_which_starts_die_out_are_the_reference(region: Any, grain: int) -> None:
    image = photo((8, 8, 1))
    settings = Settings(samples=4, positives=3, coordinates=3, region=region)
    search = follow(image, 64, settings, distance(photo((8, 8, 1), 4), grain), 250)
    assert all(member.birth >= 7 for member in search.population)


@pytest.mark.parametrize("changes", [{}, {"samples": 5, "positives": 2}, {"start": "uniform", "starts": None}], ids=str)
@pytest.mark.parametrize("after", [7, 40])
def test_searches_that_begin_anew_are_the_reference(changes: dict[str, Any], after: int) -> None:
    """A degree that cannot fall far, so that descents come to rest, some after having gone on for a while."""
    image = photo((8, 8, 3))
    settings = replace(DEFAULT, restart_after=after, window_halvings=(3, 9, 20), **changes)
    search = follow(image, 10, settings, distance(photo((8, 8, 3), 4), 1), 250, image_id=11)
    assert search.descents > 2


@pytest.mark.parametrize("size", [(28, 28, 1), (40, 17, 3), (5, 33, 1)], ids=str)
@pytest.mark.parametrize("values", ["textures", "uniform"])
def test_windows_that_go_where_few_have_lain_are_the_reference(size: tuple[int, int, int], values: Any) -> None:
    """Cells of several sizes, beside each other in one image, and windows that cover parts of them."""
    settings = replace(DEFAULT, samples=2, values=values, window_halvings=(10, 30, 60))
    follow(photo(size), 10, settings, distance(photo(size, 4), 1), 90)


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize("changes", [{}, {"values": "uniform"}, {"positives": 2, "ties": "older"}], ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_improvements_that_are_merged_are_the_reference(changes: dict[str, Any], masked: bool) -> None:
    """Windows that overlap, mergers of mergers, and descents that end while something is merged."""
    image = photo((12, 11, 3))
    epsilon: Epsilon = np.random.default_rng(2).integers(0, 20, image.shape).astype(np.uint8) if masked else 10
    settings = replace(DEFAULT, improvements=4.0, restart_after=40, rest_ratio=0.7, window_halvings=(60,), **changes)
    search = follow(image, epsilon, settings, distance(photo((12, 11, 3), 5), 1), 90)
    assert search.descents > 1
    assert len(search.merges) > 25
    assert max(search.merges) > 3


@pytest.mark.parametrize("ties", ["older", "newer"])
@pytest.mark.parametrize("region", ["none", "ordered", "per_coordinate"])
def test_a_space_without_a_new_point_is_the_reference(ties: Any, region: Any) -> None:
    """All attempts fail once the positives hold every point; then copies of positives are accepted."""
    image = np.array([[[100]]], np.uint8)
    settings = Settings(samples=2, positives=12, coordinates=1, region=region, ties=ties)
    search = follow(image, 1, settings, lambda x: 1.0, 30)
    assert {member.vector for member in search.positives} == {(-1,), (0,), (1,)}


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize("region", ["none", "ordered", "per_coordinate"])
@pytest.mark.parametrize("masked", [False, True])
def test_large_y_is_the_reference(region: Any, masked: bool) -> None:
    """More edits than are sorted by comparison, in a space that needs two passes of counting."""
    image = photo((24, 24, 3))
    rng = np.random.default_rng(6)
    epsilon: Epsilon = rng.integers(0, 12, image.shape).astype(np.uint8) if masked else 10
    settings = Settings(coordinates=150, region=region)
    follow(image, epsilon, settings, distance(photo((24, 24, 3), 7), 1), 25, seed=2**63)


@pytest.mark.parametrize("region", ["none", "ordered"])
def test_a_large_image_is_the_reference(region: Any) -> None:
    """Large enough to be copied past the caches, to places of several alignments."""
    image = photo((151, 149, 3))
    assert image.size > 65536
    assert image.size % 16
    settings = Settings(coordinates=400, region=region)
    follow(image, 10, settings, distance(photo((151, 149, 3), 10), 1), 4)


@pytest.mark.parametrize("targeted", [False, True])
def test_the_papers_setting_at_28x28_is_the_reference(targeted: bool) -> None:
    image = photo((28, 28, 1))
    racos = dfa.Racos.paper(targeted=targeted)
    settings = Settings(samples=10 if targeted else 3)  # whose other defaults are the paper's
    assert settings.coordinates == 2
    degree = distance(photo((28, 28, 1), 8), 64)
    follow(image, 64, settings, degree, 60, image_id=17, config=racos.configure(image.size, image.shape))


@pytest.mark.parametrize(("size", "iterations"), [((28, 28, 1), 230), ((16, 20, 3), 230), ((151, 149, 3), 12)], ids=str)
def test_the_default_setting_is_the_reference(size: tuple[int, int, int], iterations: int) -> None:
    """Long enough for several halvings of the window."""
    image = photo(size)
    racos = dfa.Racos.sequential()
    default = replace(DEFAULT, window_share=0.05 if min(size[:2]) >= 100 else 0.1)
    # Without those of scattered changes only, what no optimizer decides, and what the image's size does.
    for field in fields(Settings):
        if field.name not in ("coordinates", "prior", "window_share"):
            assert getattr(racos, field.name) == getattr(default, field.name)
    assert racos.first_windows(size) == default.window_share
    degree = distance(photo(size, 9), 256)
    follow(image, 10, default, degree, iterations, config=racos.configure(image.size, image.shape))
    assert replace(dfa.Racos(), improvements=0.0) == racos
    several = replace(default, improvements=dfa.Racos().improvements_wanted)
    follow(image, 10, several, degree, iterations // 4, config=dfa.Racos().configure(image.size, image.shape))


def test_two_images_of_one_batch_are_their_references() -> None:
    """Asked and told together, in turns, each with its own epsilon and id."""
    images = [photo((5, 5, 2), 1), photo((5, 5, 2), 2)]
    radii: list[Epsilon] = [127, np.random.default_rng(1).integers(0, 256, (5, 5, 2)).astype(np.uint8)]
    settings = Settings(coordinates=4)
    batch = _core.Batch(config_of(settings), (5, 5, 2), 9, 1)
    slots = [batch.add(image, 40 + i, radius_of(radii[i])) for i, image in enumerate(images)]
    searches = [Racos(image, radii[i], settings, seed=9, image_id=40 + i) for i, image in enumerate(images)]
    for _ in range(20):
        rows = [(slot, i) for i in range(batch.iteration_size(slots[0])) for slot in slots]
        got = ask(batch, rows, (5, 5, 2))
        degrees = [float(image.astype(np.int64).sum() // 8) for image in got]
        for which, search in enumerate(searches):
            assert np.array_equal(got[which::2], search.ask())
            search.tell(degrees[which::2])
        tell(batch, rows, degrees)
        for slot, search in zip(slots, searches, strict=True):
            assert population_of(batch, slot) == [(m.degree, m.birth, list(m.vector)) for m in search.population]


# What searches teach an archive, and what it plans


@pytest.mark.parametrize("case", range(6))
def test_an_archive_taught_by_searches_plans_as_the_reference(case: int) -> None:
    """Searches of several goals in turn, each planned and followed; some find nothing, some begin with a success."""
    settings, scales = [
        (DEFAULT, (1.0, 0.25)),
        (replace(DEFAULT, samples=4, positives=2), (3.0, 1e-9)),
        (replace(DEFAULT, samples=2, values="extremes", domain="ball"), (1.0, 2.0)),
        (replace(DEFAULT, samples=3, positives=3, ties="older"), (0.5, 700.0)),
        (replace(DEFAULT, improvements=1.5), (1.0, 2.0)),
        (replace(DEFAULT, shape="ray"), (1.0, 0.5)),
    ][case]
    size = [(5, 6, 3), (6, 6, 1), (4, 3, 2), (7, 5, 1), (5, 4, 3), (6, 5, 2)][case]
    rng = np.random.default_rng(case)
    core, reference = _core.Archive(int(np.prod(size))), Archive()
    for number in range(36):
        goal = [7, -3, 7, 2**40][number % 4]
        scale = scales[number % 2]
        plans = core.plan(goal, scale), reference.plan(goal, scale)
        assert plans[0].num_starts == len(plans[1].starts)
        image = photo(size, number)
        kind = ["fine", "coarse", "fine", "signed zeros"][number % 4]
        degree = Falling(Degrees(kind, image), int(rng.integers(1, 40)), rng.permutation(30))
        batch = _core.Batch(config_of(settings), size, 1, 1)
        search = Racos(image, 30, settings, seed=1, image_id=number, plan=plans[1])
        slot = batch.add(image, number, 30, plans[0])
        while search.lesson.found is None and search.iteration < (12 if number % 3 else 30):
            rows = rows_of(batch, slot)
            expected = search.ask()
            assert len(rows) == len(expected)
            assert np.array_equal(ask(batch, rows, size), expected)
            degrees = [degree(each) for each in expected]
            tell(batch, rows, degrees)
            search.tell(degrees)
            if number % 5 == 4 and search.iteration == 7:  # what is learned is part of the state
                slot = batch.load(batch.save(slot))
        core.learn(goal, batch.lesson(slot))
        reference.learn(goal, search.lesson)
        assert len(core) == len(reference.perturbations)
        if number % 7 == 6:
            core = _core.Archive.load(core.save())
    assert len(core) > 5


def test_windows_that_hurt_are_turned_over_as_by_the_reference() -> None:
    """A degree whose logarithm is linear, so that the archive learns from the first searches that it is odd."""
    size = (9, 8, 3)
    image = photo(size)
    core, reference = _core.Archive(image.size), Archive()
    settings = replace(DEFAULT, improvements=4.0, restart_after=60, rest_ratio=0.7)
    turns: list[int] = []
    for number in range(6):
        slopes = np.random.default_rng(number).integers(-9, 10, size)
        slopes[number::2] += 2

        def degree(candidate: Images, slopes: NDArray[np.int64] = slopes) -> float:
            return float(1e3 * np.exp((slopes * (candidate.astype(np.int64) - image)).sum() / 1500))

        plans = core.plan(0, 1e3), reference.plan(0, 1e3)
        batch = _core.Batch(config_of(settings), size, 1, 1)
        slot = batch.add(image, number, 10, plans[0])
        search = Racos(image, 10, settings, seed=1, image_id=number, plan=plans[1])
        for iteration in range(40):
            rows = rows_of(batch, slot)
            expected = search.ask()
            assert np.array_equal(ask(batch, rows, size), expected), f"images of iteration {iteration}"
            degrees = [degree(each) for each in expected]
            tell(batch, rows, degrees)
            search.tell(degrees)
            if iteration % 7 == 6:  # what was put together is part of the state
                slot = batch.load(batch.save(slot))
        turns += search.turns if plans[1].bond < 0 else []
        assert plans[1].bond < 0 or sum(search.turns) == 0
        core.learn(0, batch.lesson(slot))
        reference.learn(0, search.lesson)
    assert sum(each > 0 for each in turns) > 25
    assert max(turns) > 1


def follow_to_hit(
    image: Images, number: int, plans: tuple[_core.Plan, Plan], degree: Callable[[int, Images], float]
) -> tuple[_core.Lesson, Lesson]:
    """Search as the reference does until the first window, which hits; starts get a degree by number and image."""
    batch = _core.Batch(config_of(DEFAULT), image.shape, 3, 1)
    slot = batch.add(image, number, 9, plans[0])
    search = Racos(image, 9, DEFAULT, seed=3, image_id=number, plan=plans[1])
    while search.lesson.found is None:
        rows = rows_of(batch, slot)
        expected = search.ask()
        assert np.array_equal(ask(batch, rows, image.shape), expected)
        # Starts come first, by their numbers in the plan.
        degrees = [degree(which, each) for which, each in zip(search.chosen, expected, strict=False)]
        degrees += [0.0] * (len(expected) - len(degrees))
        tell(batch, rows, degrees)
        search.tell(degrees)
    return batch.lesson(slot), search.lesson


def test_an_archive_plans_few_perturbations_that_are_only_started_from() -> None:
    """Searches end with their first window, so that a trial hardly pays; what broke others leaves a tenth."""
    image = np.full((4, 4, 1), 100, np.uint8)
    core, reference = _core.Archive(16), Archive()
    numbers = set()
    for number in range(30):
        core_plan, plan = core.plan(0, 1.0), reference.plan(0, 1.0)
        perturbations = [start.signs is not None for start in plan.starts]
        assert core_plan.num_starts == len(plan.starts)
        numbers.add(sum(perturbations))
        lessons = follow_to_hit(
            image, number, (core_plan, plan), lambda born, _, known=perturbations: 0.1 if known[born] else 0.9
        )
        core.learn(0, lessons[0])
        reference.learn(0, lessons[1])
    assert len(core) > 2 * tuning.MOST_STARTED_FROM
    assert max(numbers) == tuning.MOST_STARTED_FROM


@dataclass
class Falling:
    """Gives way after a number of candidates."""

    degree: Degree
    last: int
    order: Any
    asked: int = 0

    def __call__(self, image: Images) -> float:
        self.asked += 1
        if self.asked > self.last:
            return 0.0
        return 1.0 + self.degree(image) / 1024 + float(self.order[self.asked % 30])


def test_an_archive_forgets_as_the_reference() -> None:
    """More perturbations than it keeps, found one after another by searches that end with their first window."""
    image = np.full((3, 3, 1), 100, np.uint8)
    core, reference = _core.Archive(9), Archive()
    for number in range(tuning.MOST_PERTURBATIONS + 60):
        goal = number % 5 // 2
        if number % 20 == 0:
            core_plan, plan = core.plan(goal, 2.0), reference.plan(goal, 2.0)
        # Some of the starts work: those of perturbations with a random sign in one place.
        lessons = follow_to_hit(
            image,
            number,
            (core_plan, plan),
            lambda _, start, weight=0.5 + number % 3: float(start.flat[4] > 100) * weight,
        )
        core.learn(goal, lessons[0])
        reference.learn(goal, lessons[1])
        assert len(core) == len(reference.perturbations)
    assert len(core) == tuning.MOST_PERTURBATIONS
