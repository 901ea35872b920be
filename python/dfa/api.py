"""`dfa.run`: checks the arguments and starts the loop."""

from __future__ import annotations

import math
import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.errors import DfaError, Interrupted, InvalidInputError, StoreError
from dfa.folder import check_folder
from dfa.inputs import Inputs, StreamIds, parse_labels
from dfa.objectives import Objective
from dfa.optimizer import Racos
from dfa.oracle import as_oracle
from dfa.results import Result
from dfa.runner import Plan, attack
from dfa.space import LinfBall
from dfa.targets import Rank, parse
from dfa.types import DegreeFunction, ImageSequence


def run(
    oracle: Any,
    images: ImageSequence | NDArray[np.uint8],
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    epsilon: ArrayLike = 10,
    space: LinfBall | None = None,
    objective: Objective | DegreeFunction | str | None = None,
    optimizer: Racos | None = None,
    max_queries: int = 10_000,
    max_seconds: float | None = None,
    batch_size: int = 256,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = True,
    store: str | Path | None = None,
    overwrite: bool = False,
    ids: ArrayLike | None = None,
) -> Result:
    """Search an adversarial image for every image, by querying alone.

    What is found is a uint8 image within epsilon of its original, confirmed by a query of its own. Results depend
    on the oracle's answers, `seed`, the images and the settings; not on `threads` or `batch_size`. By default images
    learn from the images before them (`Racos.archive`), so their order is part of the run; with
    `optimizer=dfa.Racos(archive=False)`, and with `dfa.Racos.paper()`, each image's result is its own, whatever the
    order and whichever others are attacked with it. (An oracle whose answers depend on the batch breaks that; many
    deep-learning frameworks do, in the last bits.)

    Args:
        oracle: A Keras model, any callable from uint8 (B, H, W, C) to scores (B, K), or what `dfa.as_oracle`
            returns, which also says what scores are (probabilities or logits) and how to preprocess.
        images: uint8, (N, H, W, C), or any sequence of uint8 (H, W, C) images, read lazily.
        labels: Class ids, (N,). An image that the oracle classifies otherwise is skipped. None: the oracle's own
            answers on the clean images.
        targets: None for an untargeted attack; a class id, one per image (N,), or `dfa.rank(j)`, the j-th likeliest
            class of the clean image.
        epsilon: The largest change per coordinate in grey levels: an integer 1..255, one per image (N,), one per
            coordinate (H, W, C) where 0 means unchangeable, or both (N, H, W, C).
        space: The search space instead of `epsilon`.
        objective: "log", "paper", a `dfa.Objective`, or a function of (scores, classes). None: the optimizer's own.
        optimizer: None for the default, `dfa.Racos.paper()` for the paper's setting.
        max_queries: Budget per image. Counts every candidate sent to the oracle, and is never exceeded; the clean
            prediction and the confirmation are counted apart, in `Result.profile`.
        max_seconds: Wall-clock limit per image, from its first query on, looked at after every iteration.
        batch_size: The most images per call of the oracle.
        seed: 0..2**64 - 1.
        threads: Threads of the C++ core. None: 1, which proposes tens of thousands of 299x299x3 images per second and
            leaves the other cores to the oracle.
        progress: Show a progress bar where the error stream is a terminal.
        store: A folder to save the result to, also when the run is cut short. Checked before the first query.
        overwrite: Replace a result saved there before.
        ids: Integers that name the images' random streams, (N,). None: made from the images' bytes.

    Returns:
        Records, adversarial images, profile; see `Result`.

    Raises:
        InvalidInputError: An argument is not as described.
        StoreError: `store` cannot be written, or holds a result and `overwrite` is False.
        OracleError: The oracle failed or its answer cannot be used; `.result` holds what was found before.
        ObjectiveError: The objective failed likewise.
        Interrupted: On KeyboardInterrupt; `.result` holds what was found before.

    Source:
        Paper, section 4. Differences: see `Racos` for the default optimizer; a tie between the original class and
        another does not count as success.
    """
    inputs = Inputs(images)
    assert inputs.shape is not None
    num_images = inputs.num_images
    optimizer = _checked_optimizer(optimizer)
    parsed_labels = parse_labels(labels, num_images)
    parsed_targets = parse(targets, num_images=num_images, labels=parsed_labels)
    chosen = optimizer.objective if objective is None else Objective.of(objective)
    ball = _checked_space(space, epsilon).bind(num_images, inputs.shape)
    model = as_oracle(oracle)
    _require_integer("max_queries", max_queries, 1, 2**62)
    if max_queries < optimizer.population:
        raise InvalidInputError(
            f"max_queries must be at least the population of {optimizer.population} (samples + positives), which is "
            f"asked first, got {max_queries}"
        )
    if max_seconds is not None and not (_is_number(max_seconds) and 0 < max_seconds < math.inf):
        raise InvalidInputError(f"max_seconds must be None or a number above 0, got {max_seconds!r}")
    _require_integer("batch_size", batch_size, 1)
    _require_integer("seed", seed, 0, 2**64 - 1)
    threads = 1 if threads is None else threads
    _require_integer("threads", threads, 1, 1024)
    stream_ids = StreamIds(ids, num_images)
    if store is not None:
        store = check_folder(store, overwrite=overwrite)

    plan = Plan(
        oracle=model,
        inputs=inputs,
        ids=stream_ids,
        labels=parsed_labels,
        targets=parsed_targets,
        ball=ball,
        optimizer=optimizer,
        degree=chosen.untargeted if parsed_targets is None else chosen.targeted,
        max_queries=int(max_queries),
        max_seconds=max_seconds,
        batch_size=int(batch_size),
        seed=int(seed),
        threads=int(threads),
        shows_progress=progress,
        config={
            "num_images": num_images,
            "shape": list(inputs.shape),
            "targets": None if targets is None else targets,
            "epsilon": epsilon if space is None else space.epsilon,
            "objective": chosen.name,
            "optimizer": optimizer,
            "max_queries": int(max_queries),
            "max_seconds": max_seconds,
            "batch_size": int(batch_size),
            "seed": int(seed),
            "threads": int(threads),
            "oracle": model.describe(),
            "versions": {
                "dfa": _core.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "build": _core.build_info(),
        },
    )
    if store is None:
        return attack(plan)
    try:
        result = attack(plan)
    except (DfaError, Interrupted) as error:
        _save_partial(error, store, overwrite=overwrite)
        raise
    try:
        result.save(store, overwrite=overwrite)
    except DfaError as error:
        error.result = result
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted while saving; what was found is in the `result` of this error", result=result
        ) from error
    return result


def _save_partial(error: DfaError | Interrupted, store: Path, *, overwrite: bool) -> None:
    """Save what a run had found when it ended; the oracle is not asked again."""
    partial: Result | None = error.result
    if partial is None:
        return
    try:
        Result(records=partial.records, images=partial.images, profile=partial.profile, config=partial.config).save(
            store, overwrite=overwrite
        )
    except StoreError as store_error:
        # Not add_note, which Python 3.10 does not have.
        error.args = (f"{error}; the partial result could not be saved either: {store_error}",)


def _checked_optimizer(optimizer: Racos | None) -> Racos:
    if optimizer is None:
        return Racos()
    if not isinstance(optimizer, Racos):
        raise InvalidInputError(f"optimizer must be None or a dfa.Racos, got {optimizer!r}")
    return optimizer


def _checked_space(space: LinfBall | None, epsilon: ArrayLike) -> LinfBall:
    if space is None:
        return LinfBall(epsilon)
    if not isinstance(space, LinfBall):
        raise InvalidInputError(f"space must be None or a dfa.LinfBall, got {space!r}")
    return space


def _require_integer(name: str, value: object, least: int, most: int | None = None) -> None:
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or int(value) < least or (most is not None and int(value) > most):  # type: ignore[call-overload]
        bounds = f"of at least {least}" if most is None else f"in {least}..{most}"
        raise InvalidInputError(f"{name} must be an integer {bounds}, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
