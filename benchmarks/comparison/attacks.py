"""The attacks that are compared: dfa in its variants, and its rivals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

import dfa
from comparison.settings import ComparedSetting
from harness.arrays import Image
from harness.inputs import CountingOracle
from harness.promises import Ball, FewPixels, OnePatch, OuterFrame, Promise
from rivals.art_square import art_square, toolbox_version
from rivals.bandits import bandits
from rivals.counting import (
    Loss,
    Problem,
    QueryCounter,
    Search,
    cross_entropy,
    log_margin,
    probability_margin,
    run_searches,
    unchanged,
)
from rivals.hop_skip_jump import hop_skip_jump
from rivals.nes import nes
from rivals.parsimonious import parsimonious, parsimonious_loss
from rivals.rays import rays
from rivals.signhunter import signhunter
from rivals.sparse_rs import sparse_rs_frame, sparse_rs_loss, sparse_rs_patch, sparse_rs_pixels
from rivals.square import square


class Outcome(NamedTuple):
    """What one attack did to one problem.

    Attributes:
        queries: Per image, the query that was the first success; None for a failure.
        sent: Queries sent, of all images.
        wall: Seconds.
        oracle: Seconds of them inside the oracle.
        calls: Of the oracle.
        unconfirmed: Successes that were none when asked again, and count as failures.
    """

    queries: list[int | None]
    sent: int
    wall: float
    oracle: float
    calls: int
    unconfirmed: int


@dataclass(frozen=True)
class Attack:
    """An attack and its configuration.

    Attributes:
        run: Attacks a problem: from oracle, problem, seed and batch size to the outcome.
        configuration: Decides, with the setting and the budget, whether a cell that is held is this one.
        takes: Whether it is an attack for a setting.
    """

    run: Callable[[dfa.Oracle, Problem, int, int], Outcome]
    configuration: Callable[[ComparedSetting], str]
    takes: Callable[[ComparedSetting], bool]


def in_ball(setting: ComparedSetting) -> bool:
    """Return whether scores are shown, and every value may change by epsilon."""
    return not setting.shows_labels and isinstance(setting.promise, Ball)


def in_ball_untargeted(setting: ComparedSetting) -> bool:
    """Return the same, of attacks that know no target."""
    return in_ball(setting) and setting.rank is None


def in_ball_by_labels(setting: ComparedSetting) -> bool:
    """Return whether labels alone are shown, in an untargeted attack in the ball."""
    return setting.shows_labels and isinstance(setting.promise, Ball) and setting.rank is None


def promising(kind: type[Promise]) -> Callable[[ComparedSetting], bool]:
    """Return a function that tells whether scores are shown, and an untargeted attack has a promise of that kind."""
    return lambda setting: isinstance(setting.promise, kind) and setting.rank is None and not setting.shows_labels


def everywhere(setting: ComparedSetting) -> bool:
    """Return True."""
    return True


def _described(function: Callable[..., Any]) -> str:
    """Return a function's name, and the keyword arguments that `partial` has bound."""
    if isinstance(function, partial):
        keywords = ", ".join(f"{name}={value!r}" for name, value in function.keywords.items())
        return f"{_described(function.func)}({keywords})"
    return str(getattr(function, "__name__", type(function).__name__)).lstrip("_")


MakeSearch: TypeAlias = Callable[[Image, int, np.random.Generator], Search]
"""From an image, the number in the promise (epsilon, pixels, ...) and the image's own random stream to a search."""


def search_attack(
    make: MakeSearch,
    loss: Loss,
    takes: Callable[[ComparedSetting], bool] = in_ball,
) -> Attack:
    """Return an attack whose searches run side by side.

    Args:
        make: Begins a search.
        loss: What the searches see.
        takes: Which settings it is for.
    """

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        started = time.perf_counter()
        counter = QueryCounter(oracle, problem)
        streams = (np.random.default_rng([seed, place]) for place in range(len(problem.images)))
        (number,) = problem.promise.describe().values()
        searches = [make(image, number, stream) for image, stream in zip(problem.images, streams, strict=False)]
        run_searches(counter, searches, loss, batch_size)
        return outcome_of(counter, started, batch_size)

    configuration = f"{_described(make)}, loss={_described(loss)}"
    return Attack(run, lambda setting: configuration, takes)


def outcome_of(counter: QueryCounter, started: float, batch_size: int) -> Outcome:
    """Return what a counter has counted since `started`, with its successes confirmed."""
    wall = time.perf_counter() - started
    unconfirmed = counter.confirm(batch_size)
    return Outcome(
        [hit or None for hit in counter.hits.tolist()],
        int(counter.sent.sum()),
        wall,
        counter.seconds,
        counter.calls,
        unconfirmed,
    )


def sparse_rs(make: Callable[..., Search], loss: Loss, takes: Callable[[ComparedSetting], bool]) -> Attack:
    """Return a form of Sparse-RS, whose schedule ends with the budget."""

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        stretched = search_attack(partial(make, steps=problem.budget), loss)
        return stretched.run(oracle, problem, seed, batch_size)

    return Attack(run, search_attack(make, loss).configuration, takes)


def dfa_attack(takes: Callable[[ComparedSetting], bool] = in_ball, **keywords: Any) -> Attack:
    """Return `dfa.run` with keyword arguments of its own."""

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        return run_dfa(oracle, problem, seed, batch_size, **keywords)

    def configuration(setting: ComparedSetting) -> str:
        # The default spelled out, so that a cell of yesterday's default is not taken for one of today's.
        optimizer = keywords.get("optimizer") or setting.promise.space().optimizer()
        parts = {part.name: getattr(optimizer, part.name) for part in fields(optimizer)}
        parts["objective"] = optimizer.objective.name
        others = {name: value for name, value in keywords.items() if name != "optimizer"}
        return f"dfa.run({others}, {parts})"

    return Attack(run, configuration, takes)


def run_dfa(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int, **keywords: Any) -> Outcome:
    """Run `dfa.run` on a problem, with its figures held against those of the counter."""
    counted = CountingOracle(oracle)
    result = dfa.run(
        counted,
        problem.images,
        targets=problem.goals if problem.is_targeted else None,
        space=problem.promise.space(),
        max_queries=problem.budget,
        batch_size=batch_size,
        seed=seed,
        progress=False,
        **keywords,
    )
    records, profile = result.records, result.profile
    _check_counts(result, problem, oracle, counted.images, batch_size)
    return Outcome(
        [record.queries if record.verified else None for record in records],
        profile.rows_sent,
        profile.wall,
        profile.oracle,
        profile.batches,
        sum(record.found and not record.verified for record in records),
    )


@dataclass(frozen=True)
class Rival:
    """A rival's search as an optimizer of `dfa.run`."""

    make: MakeSearch
    epsilon: int

    def begin(self, task: dfa.Task) -> Search:
        """Begin it with the task's random stream."""
        return self.make(task.original, self.epsilon, task.rng)


def through_dfa(
    make: MakeSearch, objective: dfa.Objective, loss: Loss, takes: Callable[[ComparedSetting], bool] = in_ball
) -> Attack:
    """Return what `search_attack` does, to the digit, asked by dfa's own loop.

    It is for searches that stay in the ball, and whose loss is one of dfa's objectives.

    Args:
        make: As of `search_attack`.
        objective: What the searches see: of every candidate, the loss.
        loss: The same, as the counter has it.
        takes: As of `search_attack`.
    """

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        (epsilon,) = problem.promise.describe().values()
        places = np.arange(len(problem.images))
        rival = Rival(make, epsilon)
        return run_dfa(oracle, problem, seed, batch_size, optimizer=rival, objective=objective, ids=places)

    return Attack(run, search_attack(make, loss).configuration, takes)


def _check_counts(result: dfa.Result, problem: Problem, oracle: dfa.Oracle, images_seen: int, batch_size: int) -> None:
    """Hold dfa's own figures against what its oracle saw, and its images against the counter's judgement.

    Raises:
        RuntimeError: They differ.
    """
    records, profile = result.records, result.profile
    counter = QueryCounter(oracle, problem)
    places = [place for place, record in enumerate(records) if record.verified]
    for start in range(0, len(places), batch_size):
        some = places[start : start + batch_size]
        images = [result.images[place] for place in some]
        counter.ask(np.stack([image for image in images if image is not None]), np.array(some, dtype=np.int64))
    checks = {
        "the images that its oracle saw": (
            images_seen,
            profile.rows_sent + profile.clean + profile.verification,
        ),
        "the queries of its records": (sum(record.queries_sent for record in records), profile.rows_sent),
        "its successes, judged here": (int((counter.hits > 0).sum()), len(places)),
        "its records beyond the budget": (sum(record.queries_sent > problem.budget for record in records), 0),
    }
    for what, (here, there) in checks.items():
        if here != there:
            raise RuntimeError(f"dfa's figures do not agree with {what}: {here} here, {there} there")


def through_art(attack: Callable[[QueryCounter, int, int], None], takes: Callable[[ComparedSetting], bool]) -> Attack:
    """Return an attack of the Adversarial Robustness Toolbox."""

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        num_classes = oracle.num_classes or np.asarray(oracle.scores(problem.images[:1])).shape[1]
        started = time.perf_counter()
        counter = QueryCounter(oracle, problem)
        attack(counter, num_classes, seed)
        return outcome_of(counter, started, batch_size)

    configuration = f"{_described(attack)}, adversarial-robustness-toolbox {toolbox_version()}"
    return Attack(run, lambda setting: configuration, takes)


LOSSES = {"margin": log_margin, "probability": probability_margin, "entropy": cross_entropy}
OBJECTIVES = {"margin": dfa.objectives.LOG, "probability": dfa.objectives.PAPER}
"""Of those losses that are an objective of dfa: what is above 0 until there is success, as a cross-entropy is not."""


def square_attack(share: float, name: str) -> Attack:
    """Return Square Attack with a loss: through dfa's loop where that has it, else through the counter's own."""
    make = partial(square, share=share)
    if name in OBJECTIVES:
        return through_dfa(make, OBJECTIVES[name], LOSSES[name])
    return search_attack(make, LOSSES[name])


DFA_VARIANTS: dict[str, dict[str, Any]] = {
    "dfa": {},
    "dfa-sequential": {"optimizer": dfa.Racos.sequential()},
    "dfa-alone": {"optimizer": dfa.Racos(archive=False)},
    "dfa-plain": {
        "optimizer": dfa.Racos(archive=False, values="extremes", start="stripes", starts=None),
    },
}
"""Names of dfa's variants, and the keyword arguments of `dfa.run` that make them."""
ATTACKS: dict[str, Attack] = {
    **{name: dfa_attack(in_ball if keywords else everywhere, **keywords) for name, keywords in DFA_VARIANTS.items()},
    **{f"square-{share}-{name}": square_attack(share, name) for share in (0.05, 0.1, 0.3) for name in LOSSES},
    # The paper's p for adversarially trained MNIST models.
    "square-0.8-margin": square_attack(0.8, "margin"),
    "art-square": through_art(art_square, in_ball_untargeted),
    "signhunter": search_attack(signhunter, cross_entropy),
    "parsimonious": search_attack(parsimonious, parsimonious_loss),
    "nes": search_attack(partial(nes, sigma=1.0), log_margin),
    "bandits": search_attack(partial(bandits, probe=1.0), cross_entropy),
    "sparse-rs-pixels": sparse_rs(sparse_rs_pixels, sparse_rs_loss, promising(FewPixels)),
    "sparse-rs-patch": sparse_rs(sparse_rs_patch, sparse_rs_loss, promising(OnePatch)),
    "sparse-rs-frame": sparse_rs(sparse_rs_frame, sparse_rs_loss, promising(OuterFrame)),
    "rays": search_attack(rays, unchanged, in_ball_by_labels),
    "hop-skip-jump": through_art(hop_skip_jump, in_ball_by_labels),
}
