"""`dfa.repair`: the search on the integer lattice around a vector that turned benign when it was rounded.

A vector lies in a box of 2^n images, those that round each of its n fractional coordinates down or up. Some of them are
as adversarial as the vector; nearest rounding picks one without asking. Here they are searched by queries alone:

| stage | candidates | why |
|---|---|---|
| outward | one: every coordinate rounded away from the original | no shorter a perturbation than the attack's |
| stochastic | a few: each up with the probability of its fraction | unbiased: on average as adversarial as the vector |
| blocks | flips of blocks of coordinates, kept if the degree falls; blocks halve down to single ones | descends |
| coordinates | flips of one coordinate at a time, those that rounding moved farthest first | C&W's own idea |

Source: paper, section 3.1.1, on Carlini and Wagner's remark that a greedy search on the lattice of discrete solutions,
changing one value at a time, would mend their attack; the authors know of no implementation. That search is the stage
"coordinates"; the others find the same with far fewer queries, and are the default.

The core holds the searches and writes their candidates, for many vectors at once; random numbers are its Philox
streams, named by (seed, id).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.auditing.normalizers import Affine, as_normalizer, checked_vectors
from dfa.auditing.repair_report import RepairReport, Stage
from dfa.auditing.repair_search import Repair, open_lattice
from dfa.auditing.vector_oracle import image_and_vector_oracles
from dfa.auditing.vectors import checked_claims, read_vectors
from dfa.checks import as_array, as_length, one_of, require_count, require_integer
from dfa.engine.inputs import Inputs, StreamIds
from dfa.engine.interrupts import carrying_result
from dfa.errors import InvalidInputError
from dfa.oracle.gate import Gate
from dfa.search.goals import Rank, check_ranked, parse_labels, parse_targets
from dfa.search.objectives import LOG, Objective
from dfa.types import DegreeFunction, Images, ImageSequence


def repair(
    oracle: Any,
    originals: ImageSequence | Images,
    vectors: ArrayLike | str | Path,
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    normalizer: Any = Affine(),  # noqa: B008 -- frozen
    vector_oracle: Any = None,
    claimed: ArrayLike | None = None,
    epsilon: ArrayLike | None = None,
    max_queries: int = 1_000,
    stages: tuple[Stage | str, ...] = (Stage.OUTWARD, Stage.STOCHASTIC, Stage.BLOCKS),
    num_stochastic: int = 16,
    objective: Objective | DegreeFunction | str = LOG,
    ids: ArrayLike | None = None,
    seed: int = 0,
    batch_size: int = 256,
    threads: int | None = None,
    layout: str | None = None,
) -> RepairReport:
    """Search, around vectors whose nearest image is benign, for images that are adversarial, by queries alone.

    Every candidate rounds each coordinate of its vector down or up, so it lies less than one grey level from the
    vector, and never farther from the original than `epsilon`. Coordinates that are whole (within a thousandth) stay.

    Args:
        oracle: As in `dfa.audit`; likewise `originals`, `vectors`, `labels`, `targets`, `normalizer`, `ids`, `seed`.
        originals: As there.
        vectors: Float, (N, ...), or a path.
        labels: Class ids, (N,). None: those of the data, or else the oracle's own answers.
        targets: None, class ids, or `dfa.rank(j)`.
        normalizer: T and its inverse.
        vector_oracle: If given, vectors that it does not find adversarial are skipped, as no success of the attack.
        claimed: bool, (N,), instead of asking it. Without either, every vector is tried.
        epsilon: The largest distance from the original in grey levels: an integer 1..255, or one per image, (N,). None:
            the vector's own, rounded up.
        max_queries: Candidates per image, never exceeded.
        stages: Those to run, in this order: of "outward", "stochastic", "blocks", "coordinates".
        num_stochastic: Candidates of the stochastic stage.
        objective: The dissatisfaction degree that the greedy stages descend.
        ids: Integers that name random streams, (N,).
        seed: 0..2**64 - 1.
        batch_size: The most images per call of the oracle; the images of a batch are searched side by side. Results do
            not depend on it.
        threads: Threads of the C++ core. None: 1. Results do not depend on it.
        layout: As in `dfa.run`, of the originals.

    Returns:
        Records, adversarial images, and `summary()`.

    Raises:
        InvalidInputError: An argument is not as described.
        OracleError: The oracle failed; `.result` holds what had ended.
        ObjectiveError: The objective failed, likewise.
        Interrupted: On KeyboardInterrupt, likewise.
        BaseException: Whatever else ends the repair, as it is, likewise.

    Source:
        Paper, section 3.1.1; see `dfa.auditing.repair`.
    """
    started = time.perf_counter()
    inputs = Inputs(originals, layout=layout)
    space = as_normalizer(normalizer)
    asked, model = image_and_vector_oracles(oracle, vector_oracle, claimed, space, needs_vectors=False)
    own = inputs.labels_in(asked.class_names) if labels is None else None
    parsed_labels = parse_labels(labels, inputs.num_images) if own is None else own
    parsed_targets = parse_targets(targets, num_images=inputs.num_images, labels=parsed_labels)
    check_ranked(parsed_targets, asked.num_ranked)
    chosen = Objective.of(objective).seen_through(asked.num_shown, shows_all=asked.shows_all)
    assert inputs.shape is not None
    example = checked_vectors(space, inputs.load(0)[None])
    max_queries = require_integer("max_queries", max_queries, 1)
    batch_size = require_count("batch_size", batch_size, 1)
    work = Repair(
        inputs=inputs,
        vectors=read_vectors(vectors, inputs.num_images, example.shape[1:]),
        labels=parsed_labels,
        targets=parsed_targets,
        normalizer=space,
        claimed=checked_claims(claimed, inputs.num_images),
        epsilon=_checked_epsilon(epsilon, inputs.num_images),
        max_queries=max_queries,
        lattice=open_lattice(
            inputs.shape,
            stages=_checked_stages(stages),
            num_stochastic=require_integer("num_stochastic", num_stochastic, 0, 2**32 - 1),
            seed=require_integer("seed", seed, 0, 2**64 - 1),
            threads=1 if threads is None else require_integer("threads", threads, 1, 1024),
        ),
        degree=chosen.untargeted if parsed_targets is None else chosen.targeted,
        ids=StreamIds(ids, inputs.num_images),
        batch=np.empty((batch_size, *inputs.shape), dtype=np.uint8),
        gate=Gate(asked, num_images=inputs.num_images, max_queries=max_queries),
        vector_gate=None if model is None else Gate(model, num_images=inputs.num_images, max_queries=0),
    )
    with carrying_result(lambda: work.report(started)):
        work.run()
    return work.report(started)


def _checked_stages(stages: Any) -> list[Stage]:
    if isinstance(stages, str | Stage) or as_length(stages) is None:
        raise InvalidInputError(f"stages must be a sequence of stages, such as ('outward', 'blocks'), got {stages!r}")
    return [one_of(Stage, each, "stages") for each in stages]


def _checked_epsilon(epsilon: ArrayLike | None, number: int) -> NDArray[np.int64]:
    if epsilon is None:
        return np.full(number, 255, dtype=np.int64)
    given = as_array("epsilon", epsilon)
    if given.dtype.kind not in "iu" or given.shape not in ((), (number,)) or given.min() < 1 or given.max() > 255:
        raise InvalidInputError(
            f"epsilon must be None, or in grey levels: an integer of 1..255, or one per image, ({number},); got "
            f"{epsilon!r}"
        )
    return np.broadcast_to(given.astype(np.int64), (number,))
