"""Whether images and oracle are those that a run began with: told from what it kept, and a few questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from dfa.engine.plan import Plan
from dfa.errors import InvalidInputError, StoreError
from dfa.oracle.gate import Gate, Purpose
from dfa.results.record import Record
from dfa.runs.store import digest_of, refuse_another_image
from dfa.search.objectives import predicted
from dfa.types import Scores

NUM_PROBES: Final = 8
"""Originals that are asked about again."""

_TOLERANCE: Final = 0.05
"""Of a probability: the same model on another device, or one that is a little random, is still the same."""


def probes(records: Iterable[Record], *, most: int = NUM_PROBES) -> list[Record]:
    """Return the first records whose original was asked about, as many as are asked about again."""
    return [record for record in records if record.class_before is not None][:most]


def refuse_another_oracle(records: Sequence[Record], scores: Scores) -> None:
    """Refuse an oracle that says of originals otherwise than it did.

    Args:
        records: Of `probes`.
        scores: float64, (n, K): what the oracle says of their originals now.

    Raises:
        StoreError: It says otherwise of more than half of them. A randomised oracle may differ now and then; another
            model differs nearly everywhere.
    """
    differ = [told for told in map(how_it_differs, records, scores) if told is not None]
    if 2 * len(differ) > len(records):
        raise StoreError(
            f"the oracle must be the one that the run began with, and it answers otherwise: {differ[0]}; pass that "
            "oracle, or start a new run in another folder"
        )


def how_it_differs(record: Record, row: Scores) -> str | None:
    """Return how an answer about an original differs from that of before, or None where it does not.

    Args:
        record: Of the image.
        row: float64, (K,): what the oracle says of its original now.
    """
    (found,) = predicted(row[np.newaxis]).tolist()
    before = record.probability_before
    # Where labels alone are told there is none.
    if before is None and found != record.class_before:
        return f"image {record.index} was of class {record.class_before}, and is of class {found}"
    if before is not None and (found != record.class_before or abs(row[found] - before) > _TOLERANCE):
        return (
            f"image {record.index} was of class {record.class_before} with probability {before:.3g}, and is of "
            f"class {found} with {row[found]:.3g}"
        )
    return None


def check_ended(folder: Path, digests: Mapping[int, bytes | None], plan: Plan, records: Sequence[Record]) -> None:
    """Make sure that a run that has ended was one of the plan's images and oracle, before it is taken for its result.

    Args:
        folder: Its folder.
        digests: Of the images that it read, by place; None for one that could not be.
        plan: What was asked for now; its oracle is asked about up to eight originals, unless it is a service.
        records: What the run found.

    Raises:
        StoreError: An image is another, or the oracle is.
        OracleError: The oracle failed.
    """
    for place, digest in digests.items():
        try:
            now = digest_of(plan.inputs.load(place))
        except InvalidInputError:
            now = None
        refuse_another_image(folder, place, digest, now)
    # Of a service each answer is paid for, and nothing more is sent in this run.
    asked = [] if plan.oracle.keeps_record else probes(records, most=min(NUM_PROBES, plan.batch_size))
    if asked:
        gate = Gate(plan.oracle, num_images=plan.inputs.num_images, max_queries=0)
        gate.prepare(plan.inputs.shape, plan.batch_size)
        indices = np.array([record.index for record in asked], dtype=np.int64)
        images = np.stack([plan.inputs.load(record.index) for record in asked])
        refuse_another_oracle(asked, gate.ask(images, indices, Purpose.CLEAN))
