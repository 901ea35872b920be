"""Queries that dfa and its rivals need: same oracle, images, integer epsilon and budget, counted in one place.

The images are the first of each set that the model classifies correctly, and success is over all of them. Queries of
an image are counted up to the first success; a failure counts as the whole budget. `rivals/counting.py` says what is
counted; dfa counts for itself, and its count is compared with the images that its oracle saw.

Every cell (a setting, an attack, a seed) is written to the JSON when it is finished, and one that the JSON holds with
the same parameters is not measured again, so a long run may be cut into many. The variants of Square Attack compete:
per setting, the one with the lowest mean is the best, to which all others are compared.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import dfa
from harness.arguments import make_parser, matching, not_negative, positive
from harness.arrays import Image
from harness.inputs import CountingOracle, first_correct, load_images, load_model, targets_of
from harness.printing import print_table
from harness.results import now, read_results, write_results
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
)
from rivals.nes import nes
from rivals.parsimonious import parsimonious, parsimonious_loss
from rivals.signhunter import signhunter
from rivals.square import square

_MARKS = (10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Setting:
    """A model, its images, and what is asked of the attacks.

    Attributes:
        model: File in the data folder.
        images: File in the data folder.
        epsilon: Grey levels.
        rank: The target is the rank-th likeliest class of the clean image; None in an untargeted attack.
        number: Images: the first that the model classifies correctly.
        batch_size: Rows of the oracle's batch.
    """

    model: str
    images: str
    epsilon: int
    rank: int | None
    number: int
    batch_size: int = 256


_LENET = ("lenet1.keras", "mnist_test2000.npz")
_ROBUST = ("mnist_robust.keras", "mnist_test2000.npz")
_RESNET = ("cifar_resnet20.keras", "cifar10_correct500.npz")
_V1 = ("mobilenet_v1_160.keras", "imagenet100_160.npz")
_V2 = ("mobilenet_v2_224.keras", "imagenet100_224.npz")
SETTINGS = {
    "lenet1-eps64": Setting(*_LENET, 64, None, 200),
    "lenet1-eps64-targeted": Setting(*_LENET, 64, 4, 200),
    "mnist-robust-eps76": Setting(*_ROBUST, 76, None, 200),
    "resnet20-eps8": Setting(*_RESNET, 8, None, 200),
    "resnet20-eps4": Setting(*_RESNET, 4, None, 200),
    "resnet20-eps8-targeted": Setting(*_RESNET, 8, 4, 200),
    "mobilenetv1-eps10-targeted": Setting(*_V1, 10, 11, 100, batch_size=64),
    "mobilenetv1-eps4": Setting(*_V1, 4, None, 100, batch_size=64),
    "mobilenetv2-eps4": Setting(*_V2, 4, None, 50, batch_size=64),
    "mobilenetv2-eps10-targeted": Setting(*_V2, 10, 11, 50, batch_size=64),
}


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
        configuration: Decides, with the setting and the budget, whether a cell of the JSON is this one.
        only_untargeted: There is no targeted form.
    """

    run: Callable[[dfa.Oracle, Problem, int, int], Outcome]
    configuration: str
    only_untargeted: bool = False


def _described(function: Callable[..., Any]) -> str:
    """Return a function's name, and the keyword arguments that `partial` has bound."""
    if isinstance(function, partial):
        keywords = ", ".join(f"{name}={value!r}" for name, value in function.keywords.items())
        return f"{_described(function.func)}({keywords})"
    return str(getattr(function, "__name__", type(function).__name__)).lstrip("_")


def searching(make: Callable[[Image, int, np.random.Generator], Search], loss: Loss) -> Attack:
    """Return an attack whose searches run side by side.

    Args:
        make: From an image, epsilon and the image's own random stream to a search.
        loss: What the searches see.
    """

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        started = time.perf_counter()
        counter = QueryCounter(oracle, problem)
        streams = (np.random.default_rng([seed, place]) for place in range(len(problem.images)))
        searches = [
            make(image, problem.epsilon, stream) for image, stream in zip(problem.images, streams, strict=False)
        ]
        run_searches(counter, searches, loss, batch_size)
        return outcome_of(counter, started, batch_size)

    return Attack(run, f"{_described(make)}, loss={_described(loss)}")


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


def dfa_attack(**keywords: Any) -> Attack:
    """Return `dfa.run` with keyword arguments of its own."""

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        counted = CountingOracle(oracle)
        result = dfa.run(
            counted,
            problem.images,
            targets=problem.goals if problem.is_targeted else None,
            epsilon=problem.epsilon,
            max_queries=problem.budget,
            batch_size=batch_size,
            seed=seed,
            progress=False,
            **keywords,
        )
        records, profile = result.records, result.profile
        _audit(result, problem, oracle, counted.images, batch_size)
        return Outcome(
            [record.queries if record.verified else None for record in records],
            profile.rows_sent,
            profile.wall,
            profile.oracle,
            profile.batches,
            sum(record.found and not record.verified for record in records),
        )

    # The default spelled out, so that a cell of yesterday's default is not taken for one of today's.
    optimizer = keywords.get("optimizer") or dfa.Racos()
    parts = {part.name: getattr(optimizer, part.name) for part in fields(optimizer)}
    parts["objective"] = optimizer.objective.name
    others = {name: value for name, value in keywords.items() if name != "optimizer"}
    return Attack(run, f"dfa.run({others}, {parts})")


def _audit(result: dfa.Result, problem: Problem, oracle: dfa.Oracle, images_seen: int, batch_size: int) -> None:
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


def through_art() -> Attack:
    """Return Square Attack through the Adversarial Robustness Toolbox."""

    def run(oracle: dfa.Oracle, problem: Problem, seed: int, batch_size: int) -> Outcome:
        num_classes = np.asarray(oracle.scores(problem.images[:1])).shape[1]
        started = time.perf_counter()
        counter = QueryCounter(oracle, problem)
        art_square(counter, num_classes, seed)
        return outcome_of(counter, started, batch_size)

    return Attack(run, f"art_square, adversarial-robustness-toolbox {toolbox_version()}", only_untargeted=True)


_LOSSES = {"margin": log_margin, "probability": probability_margin, "entropy": cross_entropy}
DFA_VARIANTS: dict[str, dict[str, Any]] = {
    "dfa": {},
    "dfa-alone": {"optimizer": dfa.Racos(archive=False)},
    "dfa-plain": {
        "optimizer": dfa.Racos(archive=False, values="extremes", start="stripes", starts=None),
    },
}
"""Names of dfa's variants, and the keyword arguments of `dfa.run` that make them."""
ATTACKS: dict[str, Attack] = {
    **{name: dfa_attack(**keywords) for name, keywords in DFA_VARIANTS.items()},
    **{
        f"square-{share}-{name}": searching(partial(square, share=share), loss)
        for share in (0.05, 0.1, 0.3)
        for name, loss in _LOSSES.items()
    },
    # The paper's p for adversarially trained MNIST models.
    "square-0.8-margin": searching(partial(square, share=0.8), log_margin),
    "art-square": through_art(),
    "signhunter": searching(signhunter, cross_entropy),
    "parsimonious": searching(parsimonious, parsimonious_loss),
    "nes": searching(partial(nes, sigma=1.0), log_margin),
    "bandits": searching(partial(bandits, probe=1.0), cross_entropy),
}


class Loaded(NamedTuple):
    """A setting's oracle and problem."""

    oracle: dfa.Oracle
    problem: Problem


def load(setting: Setting, arguments: argparse.Namespace) -> Loaded:
    """Load a setting: the first correctly classified images, but for those that are skipped, and their goals."""
    oracle = dfa.as_oracle(load_model(arguments.data, setting.model))
    images = load_images(arguments.data, setting.images)
    number = arguments.images or setting.number
    (chosen, goals), scores = first_correct(oracle, images, number, setting.batch_size, skip=arguments.skip)
    if not len(chosen):
        raise SystemExit(f"{setting.model} classifies no more than {arguments.skip} images correctly; --skip fewer")
    if setting.rank is not None:
        goals = targets_of(setting.rank, scores)
    problem = Problem(chosen, goals, setting.rank is not None, setting.epsilon, arguments.budget)
    return Loaded(oracle, problem)


def parameters_of(setting: Setting, attack: Attack, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what makes a cell of the JSON stand for this measurement."""
    return {
        "model": setting.model,
        "images_file": setting.images,
        "epsilon": setting.epsilon,
        "rank": setting.rank,
        "skipped": arguments.skip,
        "images": arguments.images or setting.number,
        "budget": arguments.budget,
        "configuration": attack.configuration,
    }


def measure(loaded: Loaded, setting: str, attack: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one cell."""
    outcome = ATTACKS[attack].run(loaded.oracle, loaded.problem, seed, SETTINGS[setting].batch_size)
    return {
        "setting": setting,
        "attack": attack,
        "seed": seed,
        "parameters": parameters_of(SETTINGS[setting], ATTACKS[attack], arguments),
        "date": now(),
        **outcome._asdict(),
    }


def key_of(cell: dict[str, Any]) -> tuple[str, str, int]:
    """Return what a cell is called."""
    return cell["setting"], cell["attack"], cell["seed"]


def read_cells(path: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return the cells of a JSON by key; none where there is no such file."""
    return {key_of(cell): cell for cell in read_results(path, [])}


@dataclass
class Row:
    """An attack in a setting, over all its seeds.

    Attributes:
        attack: Its name.
        queries: float64, (seeds, N): per image, failures at the budget.
        is_success: bool, (seeds, N).
        seeds: In the order of the rows.
        wall: Seconds per seed.
        utilisation: Seconds inside the oracle over all seconds.
        budget: Of every image.
        ratio: Mean queries over those of the best Square with the same seeds; nan without one.
    """

    attack: str
    queries: NDArray[np.float64]
    is_success: NDArray[np.bool_]
    seeds: list[int]
    wall: float
    utilisation: float
    budget: int
    ratio: float = field(default=math.nan)

    @classmethod
    def of(cls, cells: Sequence[dict[str, Any]]) -> Row:
        """Return the row of an attack's cells, one per seed."""
        cells = sorted(cells, key=lambda cell: int(cell["seed"]))
        budget = cells[0]["parameters"]["budget"]
        hits = np.array([[hit or np.nan for hit in cell["queries"]] for cell in cells], dtype=np.float64)
        return cls(
            attack=cells[0]["attack"],
            queries=np.where(np.isnan(hits), budget, hits),
            is_success=~np.isnan(hits),
            seeds=[cell["seed"] for cell in cells],
            wall=sum(cell["wall"] for cell in cells) / len(cells),
            utilisation=sum(cell["oracle"] for cell in cells) / sum(cell["wall"] for cell in cells),
            budget=budget,
        )

    @property
    def mean(self) -> float:
        """Mean queries."""
        return float(self.queries.mean())

    def success_within(self, queries: int) -> float:
        """Return the share of images that had their success within so many queries."""
        return float((self.is_success & (self.queries <= queries)).mean())

    def mean_of(self, seeds: Iterable[int]) -> float:
        """Return the mean queries over some of the seeds."""
        return float(self.queries[[self.seeds.index(seed) for seed in seeds]].mean())

    def as_dict(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "attack": self.attack,
            "seeds": self.seeds,
            "images": self.queries.shape[1],
            "success": {str(mark): self.success_within(mark) for mark in _marks(self.budget)},
            "mean": self.mean,
            "mean_per_seed": self.queries.mean(axis=1),
            "median": float(np.median(self.queries)),
            "p90": float(np.quantile(self.queries, 0.9)),
            "wall_per_seed": self.wall,
            "utilisation": self.utilisation,
            "ratio_to_best_square": self.ratio,
        }


def rows_of(cells: Iterable[dict[str, Any]], setting: str) -> list[Row]:
    """Return the rows of a setting, ascending by mean, each held against the best Square."""
    by_attack: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        if cell["setting"] == setting:
            by_attack.setdefault(cell["attack"], []).append(cell)
    rows = sorted((Row.of(group) for group in by_attack.values()), key=lambda row: row.mean)
    best = best_square(rows)
    if best is not None:
        for row in rows:
            common = set(row.seeds) & set(best.seeds)
            if common:
                row.ratio = row.mean_of(common) / best.mean_of(common)
    return rows


def best_square(rows: Sequence[Row]) -> Row | None:
    """Return the variant of Square with the lowest mean, out of rows that ascend."""
    return next((row for row in rows if row.attack.startswith("square-")), None)


def geometric_means(tables: dict[str, list[Row]]) -> dict[str, tuple[float, int]]:
    """Return per attack the geometric mean of its ratios to the best Square, and over how many settings."""
    ratios: dict[str, list[float]] = {}
    for rows in tables.values():
        for row in rows:
            if not math.isnan(row.ratio):
                ratios.setdefault(row.attack, []).append(row.ratio)
    return {attack: (float(np.exp(np.mean(np.log(some)))), len(some)) for attack, some in ratios.items()}


def print_tables(tables: dict[str, list[Row]]) -> None:
    """Print a table per setting, and the geometric means."""
    for setting, rows in tables.items():
        if not rows:
            continue
        marks = _marks(rows[0].budget)
        headers = [setting, *(f"<= {mark:,}" for mark in marks)]
        headers += ["mean", "per seed", "median", "90 %", "ratio", "seconds", "utilisation", "seeds", "images"]
        print_table(
            headers,
            (
                [
                    row.attack,
                    *(f"{100 * row.success_within(mark):.1f} %" for mark in marks),
                    f"{row.mean:,.1f}",
                    "..".join(f"{mean:,.1f}" for mean in sorted({*_ends(row.queries.mean(axis=1))})),
                    f"{np.median(row.queries):,.1f}",
                    f"{np.quantile(row.queries, 0.9):,.1f}",
                    "-" if math.isnan(row.ratio) else f"{row.ratio:.2f}",
                    f"{row.wall:,.0f}",
                    f"{row.utilisation:.2f}",
                    len(row.seeds),
                    row.queries.shape[1],
                ]
                for row in rows
            ),
        )
        print()
    means = sorted(geometric_means(tables).items(), key=lambda entry: entry[1])
    if means:
        print_table(
            ["geometric mean of the ratios to the best Square", "", "settings"],
            ([attack, f"{mean:.3f}", number] for attack, (mean, number) in means),
        )


def draw(tables: dict[str, list[Row]], folder: Path) -> None:
    """Draw success against queries, a picture per setting."""
    try:
        figures: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        print("no pictures: they need matplotlib, pip install --group benchmarks")
        return

    for setting, rows in tables.items():
        if not rows:
            continue
        figure = figures.Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        best = best_square(rows)
        for row in rows:
            if row.attack.startswith("square-") and row is not best:
                continue
            queries = np.sort(row.queries[row.is_success])
            share = np.arange(1, len(queries) + 1) / row.queries.size
            steps = (np.r_[1, queries, row.budget], 100 * np.r_[0, share, share[-1:] if len(share) else 0])
            is_own = row.attack.startswith("dfa")
            axes.step(*steps, where="post", label=row.attack, linewidth=2.2 if is_own else 1.3)
        axes.set_xscale("log")
        axes.set_xlim(1, max(row.budget for row in rows))
        axes.set_ylim(0, 100)
        axes.set_xlabel("queries")
        axes.set_ylabel("success, % of correctly classified images")
        axes.set_title(setting)
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize="small")
        figure.savefig(folder / f"queries-{setting}.png", dpi=120)


def summarise(path: Path) -> None:
    """Print the tables and draw the pictures of a JSON, beside it."""
    cells = read_cells(path)
    if not cells:
        raise SystemExit(f"{path} holds no results yet; run without --summarise first")
    tables = {setting: rows_of(cells.values(), setting) for setting in SETTINGS}
    print_tables(tables)
    draw(tables, path.parent)


def write(path: Path, arguments: argparse.Namespace, cell: dict[str, Any]) -> None:
    """Add a cell to the JSON, in place of the one it repeats."""
    # Read anew: another process may have added cells of its own meanwhile.
    cells = read_cells(path)
    cells[key_of(cell)] = cell
    tables = {setting: rows_of(cells.values(), setting) for setting in SETTINGS}
    summary = {setting: [row.as_dict() for row in rows] for setting, rows in tables.items() if rows}
    write_results(path, arguments, list(cells.values()), summary=summary)


def main() -> None:
    """Run the cells that the JSON lacks, or summarise it."""
    parser = make_parser("queries", __doc__)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SETTING", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--attacks", nargs="+", default=["*"], metavar="ATTACK", help=f"of {', '.join(ATTACKS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=positive, help="per setting, instead of each setting's own number")
    parser.add_argument(
        "--skip",
        type=not_negative,
        default=0,
        help="leave out so many images before those: the default was chosen on the settings' own",
    )
    parser.add_argument("--budget", type=positive, default=10_000, help="queries per image")
    parser.add_argument("--redo", action="store_true", help="measure again what the JSON already holds")
    parser.add_argument("--summarise", action="store_true", help="only print the tables and draw, from the JSON")
    arguments = parser.parse_args()
    settings, attacks = matching(arguments.only, SETTINGS), matching(arguments.attacks, ATTACKS)
    if not arguments.summarise:
        for setting in settings:
            loaded: Loaded | None = None
            for seed in arguments.seeds:
                for attack in attacks:
                    if ATTACKS[attack].only_untargeted and SETTINGS[setting].rank is not None:
                        continue
                    held = read_cells(arguments.out).get((setting, attack, seed))
                    wanted = parameters_of(SETTINGS[setting], ATTACKS[attack], arguments)
                    if held is not None and held["parameters"] == wanted and not arguments.redo:
                        continue
                    loaded = loaded or load(SETTINGS[setting], arguments)
                    print(f"{setting}, {attack}, seed {seed} ...", file=sys.stderr, flush=True)
                    write(arguments.out, arguments, measure(loaded, setting, attack, seed, arguments))
    summarise(arguments.out)


def _marks(budget: int) -> list[int]:
    return [mark for mark in _MARKS if mark <= budget] or [budget]


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


if __name__ == "__main__":
    main()
