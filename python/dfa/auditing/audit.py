"""`dfa.audit`: what is left of an attack's vectors once they are images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from dfa.auditing.audit_report import AuditReport
from dfa.auditing.audit_run import AuditRun
from dfa.auditing.normalizers import Affine
from dfa.auditing.roundings import Rounding
from dfa.checks import is_number, require_count, require_integer
from dfa.errors import InvalidInputError
from dfa.oracle.codecs import Codec
from dfa.results.skips import LIKELY_CAUSES, warn_of_skips
from dfa.search.goals import Rank
from dfa.types import Images, ImageSequence


def audit(
    oracle: Any,
    originals: ImageSequence | Images,
    vectors: ArrayLike | str | Path,
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    normalizer: Any = Affine(),  # noqa: B008 -- frozen
    vector_oracle: Any = None,
    claimed: ArrayLike | None = None,
    rounding: Rounding | str | Sequence[Rounding | str] = "nearest",
    codec: Codec | str | Sequence[Codec | str] = "png",
    epsilon: float | None = None,
    ids: ArrayLike | None = None,
    seed: int = 0,
    batch_size: int = 256,
    threads: int = 2,
    layout: str | None = None,
) -> AuditReport:
    """Bring an attack's adversarial vectors back to 8-bit images, ask again, and report what is left.

    A vector is asked about in its own space, and the oracle takes images; so there are two models, which are one
    classifier: g, of vectors, and f = g o T, of images.

    ==============================================  ==============================================================
    you have                                        pass
    ==============================================  ==============================================================
    g, such as the torch module that was attacked   `oracle=None, vector_oracle=g`: f is g behind the normalizer
    both, f being what is deployed                  `oracle=f, vector_oracle=g`
    a Keras model of 0..255, its normalizer inside  `oracle=f` alone: g is f on levels that are not rounded
    f alone, and what the attack says of itself     `oracle=f, claimed=success` (bool, (N,))
    ==============================================  ==============================================================

    An image counts (N_a) if the oracle classifies the original as labelled, and not as the target. SR is the share of
    those that are adversarial as vectors, TSR the share that are so as vectors and still are in the file that the codec
    gave back; GAP is what was lost.

    Args:
        oracle: Anything `dfa.as_oracle` takes, or None for `vector_oracle` behind `normalizer`.
        originals: uint8, (N, H, W, C), any sequence of uint8 (H, W, C) images, or data as `dfa.run` takes it: a data
            set or loader of torch or Hugging Face, `dfa.data.image_folder`. What it knows, labels and names, is used.
        vectors: What the attack returned: float, (N, ...), in its own space; or a path to .npy, .npz or .csv, see
            `dfa.auditing.vectors`.
        labels: Class ids, (N,). None: those of the data, or else the oracle's own answers.
        targets: None for an untargeted attack; class ids; or `dfa.rank(j)`.
        normalizer: T and its inverse: a `dfa.Affine`, or a pair of functions. The default is 0..1, (N, H, W, C); torch
            users need `dfa.Affine(layout="NCHW")`.
        vector_oracle: g: a torch module, a Keras model, or a function from vectors to scores (probabilities or logits).
        claimed: bool, (N,): the attack's own word for which vectors are adversarial, instead of asking.
        rounding: "nearest", "truncate", "floor", "ceil", "stochastic", or several of them.
        codec: "png", "webp", "jpeg:QUALITY", "none", a `dfa.Codec`, or several.
        epsilon: The attack's L-infinity budget in grey levels, a number of at least 1, to see whether rounding breaks
            it; it may be fractional (an attack's 0.03 is 7.65).
        ids: Integers that name the images' random streams, (N,). None: made from the originals' bytes.
        seed: 0..2**64 - 1, of stochastic rounding. Its draws depend on (seed, id), not on order or batch.
        batch_size: The most images per call of an oracle.
        threads: Threads that round, write and read images beside the oracle.
        layout: As in `dfa.run`, of the originals. That of the vectors is the normalizer's.

    Returns:
        The report: `str(report)`, `report.summary()`, `report.records`, `report.to_pandas()`, `report.plot(path)`.
        Images that are equal to one that was asked about already (lossless codecs give them back as they were) are not
        asked about again; `report.queries` counts what was sent.

    Raises:
        InvalidInputError: An argument is not as described: among others vectors that are not finite, or lie outside the
            range under the normalizer, a normalizer under which T^-1(T(d)) is not d, a codec that changes the size. If
            images were finished before it showed, `.result` holds the report on them.
        OracleError: An oracle failed, or its answer cannot be used; `.result` as above.
        Interrupted: On KeyboardInterrupt; `.result` as above.
        BaseException: Whatever else ends the audit, as it is; `.result` as above.

    Warns:
        MostSkippedWarning: More than half of the originals do not count; it shows labels and answers.

    Source:
        Paper, sections 2.3 and 3.2.1. It counts all images; here those that are misclassified from the start are left
        out, as its subjects had none.
    """
    started = time.perf_counter()
    report = AuditRun(
        oracle=oracle,
        originals=originals,
        vectors=vectors,
        labels=labels,
        targets=targets,
        normalizer=normalizer,
        vector_oracle=vector_oracle,
        claimed=claimed,
        roundings=tuple(Rounding.of(each) for each in _several(rounding, (Rounding, str), "rounding")),
        codecs=tuple(Codec.of(each) for each in _several(codec, (Codec, str), "codec")),
        epsilon=_checked_epsilon(epsilon),
        ids=ids,
        seed=require_integer("seed", seed, 0, 2**64 - 1),
        batch_size=require_count("batch_size", batch_size, 1),
        threads=require_integer("threads", threads, 1, 1024),
        layout=layout,
    ).run(started)
    if skips := report.skips(LIKELY_CAUSES):
        warn_of_skips(skips, report)
    return report


def _several(value: Any, single: tuple[type, ...], name: str) -> list[Any]:
    """Return one value or a sequence of them as a list."""
    if isinstance(value, (*single, Codec)):
        return [value]
    try:
        values = list(value)
    except TypeError:
        return [value]
    if not values:
        raise InvalidInputError(f"{name} must name at least one, got none")
    if len({each.name if isinstance(each, Codec) else str(each) for each in values}) != len(values):
        raise InvalidInputError(f"{name} must name each one once, got {value!r}")
    return values


def _checked_epsilon(epsilon: float | None) -> float | None:
    if epsilon is None:
        return None
    if not is_number(epsilon) or not 1 <= epsilon <= 255:
        is_share = is_number(epsilon) and 0 < epsilon < 1
        hint = f"; did you mean {epsilon * 255:g}, which is {epsilon:g} of 255?" if is_share else ""
        raise InvalidInputError(f"epsilon must be None or a number of grey levels in 1..255, got {epsilon!r}{hint}")
    return float(epsilon)
