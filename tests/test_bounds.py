"""Whatever the settings and the answers, a candidate is an image within epsilon of the original."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core_driver import Epsilon, Images, ask, make_batch, population_of, radius_of, rows_of, tell
from reference import tuning
from reference.settings import Settings

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
DEGREES = st.one_of(st.sampled_from([0.0, -0.0, 1.0, float("inf"), float("-inf"), 5e-324]), st.floats(allow_nan=False))


def levels(draw: Any, size: tuple[int, int, int], edges: list[int]) -> Images:
    """A byte per coordinate, often one of `edges`."""
    count = size[0] * size[1] * size[2]
    byte = st.one_of(st.sampled_from(edges), st.integers(0, 255))
    return np.array(draw(st.lists(byte, min_size=count, max_size=count)), np.uint8).reshape(size)


@st.composite
def problems(draw: Any) -> tuple[Images, Epsilon, Settings]:
    size = draw(SIZES)
    image = levels(draw, size, [0, 1, 254, 255])
    epsilon: Epsilon = draw(st.sampled_from([1, 2, 64, 127, 128, 254, 255]))
    if draw(st.booleans()):
        epsilon = levels(draw, size, [0, 0, 0, 1, 127, 128, 255])
        epsilon.flat[draw(st.integers(0, epsilon.size - 1))] |= 1
    samples, positives = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    is_textured = draw(st.booleans())
    made = Settings(
        samples=samples,
        positives=positives,
        coordinates=draw(st.integers(1, image.size + 1)),
        region="none" if is_textured else draw(st.sampled_from(["none", "ordered", "per_coordinate"])),
        shape="window" if is_textured else draw(st.sampled_from(["scattered", "window"])),
        window_share=draw(st.floats(0, 1, exclude_min=True)),
        window_halvings=tuple(sorted(draw(st.lists(st.integers(0, 30), max_size=3)))),
        placements=draw(st.sampled_from([1, 2, 4])),
        values="textures" if is_textured else draw(st.sampled_from(["uniform", "extremes"])),
        start=draw(st.sampled_from(["uniform", "stripes", "textures"])),
        starts=draw(st.none() | st.integers(samples + positives, tuning.STARTS)),
        domain=draw(st.sampled_from(["ball", "valid"])),
        ties=draw(st.sampled_from(["older", "newer"])),
    )
    return image, epsilon, made


@settings(max_examples=300, deadline=None, derandomize=True)
@given(problem=problems(), seed=st.integers(0, 2**64 - 1), answers=st.data())
def test_candidates_stay_within_epsilon_and_masked_coordinates_stay(
    problem: tuple[Images, Epsilon, Settings], seed: int, answers: Any
) -> None:
    image, epsilon, made = problem
    batch = make_batch(made, image, seed=seed)
    slot = batch.add(image, 0, radius_of(epsilon))
    radii = np.broadcast_to(np.array(epsilon, np.int64), image.shape)
    original = image.astype(np.int64)
    best = float("inf")
    for iteration in range(5):
        rows = rows_of(batch, slot)
        candidates = ask(batch, rows, image.shape).astype(np.int64)
        assert (abs(candidates - original) <= radii).all()  # exactly the original where the radius is 0
        degrees = answers.draw(st.lists(DEGREES, min_size=len(rows), max_size=len(rows)))
        tell(batch, rows, degrees)
        best = min(best, *degrees)
        population = population_of(batch, slot)
        assert population[0][0] == best
        assert len(population) == made.samples + made.positives
        for rank, (_, birth, vector) in enumerate(population):
            assert birth < made.positives + made.samples * (iteration + 1)
            assert (vector is None) == (made.region == "none" and rank >= made.positives)
            if vector is None:
                continue
            moved = np.array(vector).reshape(image.shape)
            assert (abs(moved) <= radii).all()
            if made.domain == "valid":
                assert ((original + moved >= 0) & (original + moved <= 255)).all()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(problem=problems(), after=st.integers(2, 6), answers=st.data())
def test_candidates_of_searches_that_begin_anew_stay_within_epsilon(
    problem: tuple[Images, Epsilon, Settings], after: int, answers: Any
) -> None:
    image, epsilon, made = problem
    batch = make_batch(replace(made, restart_after=after), image)
    slot = batch.add(image, 0, radius_of(epsilon))
    radii = np.broadcast_to(np.array(epsilon, np.int64), image.shape)
    for _ in range(12):
        rows = rows_of(batch, slot)
        candidates = ask(batch, rows, image.shape).astype(np.int64)
        assert (abs(candidates - image.astype(np.int64)) <= radii).all()
        # Between 1 and 2, most descents come to rest at once.
        degrees = answers.draw(st.lists(st.sampled_from([1.0, 1.5, 2.0]), min_size=len(rows), max_size=len(rows)))
        tell(batch, rows, degrees)
