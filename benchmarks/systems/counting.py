"""How the vectors of a row are counted: as they are, as images, and as images that `dfa.repair` makes of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import dfa
from systems.context import SPACE, Result, Subject
from systems.rows import CannotRunError


@dataclass(frozen=True)
class Audited:
    """An audit of vectors.

    Attributes:
        report: The audit.
        mended: What `dfa.repair` makes of the vectors that rounding lost, as `_mended` has it; empty of none.
    """

    report: dfa.AuditReport
    mended: Result


def audit(
    oracle: Any,
    images: NDArray[np.uint8],
    vectors: Any,
    labels: NDArray[np.int64],
    *,
    targets: NDArray[np.int64] | None = None,
    normalizer: Any = dfa.Affine(),  # noqa: B008 -- frozen
) -> Audited:
    """Audit vectors in 0..1 against the model they were made for, which takes vectors, and repair what is lost."""
    report = dfa.audit(None, images, vectors, labels, targets=targets, normalizer=normalizer, vector_oracle=oracle)
    lost = report.adversarial_vector & ~report.adversarial_file[0, 0]
    mended = {}
    if lost.any():
        aims = None if targets is None else targets[lost]
        mended = _mended(oracle, images[lost], np.asarray(vectors)[lost], labels[lost], aims, normalizer)
    return Audited(report, mended)


def audit_of(subject: Subject, vectors: Any, *, targets: NDArray[np.int64] | None = None) -> Audited:
    """Audit vectors against the module they were made for."""
    return audit(subject.module, subject.images, vectors, subject.labels, targets=targets, normalizer=SPACE)


def figures_of(
    audited: Audited,
    seconds: float,
    *,
    epsilon: float | None = None,
    queries: float | None = None,
    note: str = "",
) -> Result:
    """Return what a row reports of an audit.

    Args:
        audited: The audit.
        seconds: Of the attack.
        epsilon: If given, only what lies within it counts, as a vector and as an image, in grey levels.
        queries: Mean queries of the attack's successes, as it counts them.
        note: What was changed from the defaults, or is to be known.
    """
    report = audited.report
    vector, file = report.adversarial_vector, report.adversarial_file[0, 0]
    anywhere = report.summary()
    if not (attacked := int(report.attacked.sum())):
        raise CannotRunError("no image is classified as it is labelled")
    if epsilon is not None:
        vector = vector & (report.linf_vector <= epsilon + 0.01)
        file = file & (report.linf_file[0, 0] <= epsilon)
    successes, files = int(vector.sum()), int((vector & file).sum())
    return {
        "images": attacked,
        "SR": successes / attacked,
        "TSR": files / attacked,
        "GAP": (successes - files) / successes if successes else math.nan,
        "ATC": seconds / max(successes, 1),
        "queries": queries,
        "at_any_distance": {"SR": anywhere.SR, "TSR": anywhere.TSR, "GAP": anywhere.GAP},
        "linf": {"vector": anywhere.linf_vector, "file": anywhere.linf_file},
        "mended": audited.mended,
        "summary": asdict(anywhere),
        "note": note,
    }


def attack_and_audit(
    subject: Subject,
    attack: Callable[[Tensor, Tensor], Any],
    *,
    epsilon: float | None = None,
    targets: NDArray[np.int64] | None = None,
    queries: Callable[[NDArray[np.bool_]], float] | None = None,
    note: str = "",
) -> Result:
    """Run a function from (vectors, labels or targets) to vectors, audit them, and return what a row reports."""
    x, y = subject.tensors
    started = time.perf_counter()
    vectors = np.asarray(attack(x, y if targets is None else torch.tensor(targets)).detach().cpu())
    seconds = time.perf_counter() - started
    audited = audit_of(subject, vectors, targets=targets)
    mean = None if queries is None else queries(audited.report.adversarial_vector)
    return figures_of(audited, seconds, epsilon=epsilon, queries=mean, note=note)


def _mended(
    oracle: Any,
    images: NDArray[np.uint8],
    vectors: NDArray[Any],
    labels: NDArray[np.int64],
    targets: NDArray[np.int64] | None,
    normalizer: Any,
) -> Result:
    """Return what `dfa.repair` makes of vectors that are adversarial, while their nearest images are benign.

    Returns:
        `lost`, how many there are; `repaired`, how many have an adversarial image; and of those the sums of `queries`
        and of the distances from the original in grey levels, `linf` and `l2`: the vector's and the image's.
    """
    report = dfa.repair(
        None,
        images,
        vectors,
        labels,
        targets=targets,
        normalizer=normalizer,
        vector_oracle=oracle,
    )
    rows = sorted(report.images)
    before = 255.0 * (vectors[rows] - normalizer.vectors(images[rows]))
    found = np.stack([report.images[row] for row in rows]) if rows else images[:0]
    # By their size, as none has no axis to be told from.
    pairs = [each.reshape(len(rows), images[0].size) for each in (before, found.astype(float) - images[rows])]
    return {
        "lost": len(images),
        "repaired": len(rows),
        "queries": sum(report.records[row].queries for row in rows),
        "linf": [float(np.abs(each).max(1, initial=0).sum()) for each in pairs],
        "l2": [float(np.linalg.norm(each, axis=1).sum()) for each in pairs],
    }
