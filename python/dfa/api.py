"""`dfa.run`: checks the arguments and starts the loop."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.checks import as_array, is_integer, require_integer
from dfa.engine.inputs import Inputs, StreamIds
from dfa.engine.loop import attack
from dfa.engine.plan import Plan
from dfa.errors import DfaError, Interrupted, InvalidInputError, StoreError
from dfa.oracle import as_oracle
from dfa.originals import Form
from dfa.results.record import Record
from dfa.results.result import Result
from dfa.runs.loading import load
from dfa.runs.reading import check_alike, has_ended, holds_run
from dfa.runs.saving import complete_run
from dfa.runs.store import DEFAULT_INTERVAL, Store
from dfa.search.confirmation import Confirmation
from dfa.search.goals import Rank, check_ranked, parse_labels, parse_targets
from dfa.search.label_walk import LabelWalk, Questions
from dfa.search.objectives import Objective
from dfa.search.racos import Racos
from dfa.space import LinfBall, Space
from dfa.types import DegreeFunction, ImageSequence


@dataclass(frozen=True)
class Storage:
    """Where and how a run is kept; `store="runs/x"` stands for `Storage("runs/x")`.

    Attributes:
        folder: The run folder.
        overwrite: Replace a run or a saved result there.
        resume: Go on with the run there, if there is one: with the same images, oracle and settings, or it is refused.
        interval: The most images sent to the oracle between two checkpoints, and so the most that one kill can make a
            resumed run send again (and, where images are confirmed by repeated answers, those of one batch);
            `Profile.resent` counts them. At least four batches. A checkpoint also comes every minute, unless
            checkpoints take more than a hundredth of the time.
        command: What run.json keeps of whoever began the run.
    """

    folder: str | Path
    overwrite: bool = False
    resume: bool = False
    interval: int = DEFAULT_INTERVAL
    command: Mapping[str, object] | None = None


def run(
    oracle: Any,
    images: ImageSequence | NDArray[Any],
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    epsilon: ArrayLike = 10,
    space: Space | None = None,
    objective: Objective | DegreeFunction | str | None = None,
    optimizer: Racos | None = None,
    confirmations: Confirmation | int = 1,
    max_queries: int = 10_000,
    max_seconds: float | None = None,
    batch_size: int = 256,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Callable[[Record], None] = True,
    store: str | Path | Storage | None = None,
    overwrite: bool = False,
    resume: bool = False,
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
        oracle: A Keras model, a .tflite file, any callable from uint8 (B, H, W, C) to probabilities (B, K), a
            `dfa.Pipeline` in front of any of these, or what `dfa.as_oracle` returns, which also says what is answered
            (probabilities, logits, the k likeliest classes, the likeliest one with its probability, a label) and how to
            preprocess. What the search goes by where an answer hides the target, or is a label alone, `dfa.objectives`
            and `dfa.search.label_walk` say.
        images: uint8, (N, H, W, C), or any sequence of uint8 (H, W, C) images, read lazily.
        labels: Class ids, (N,). An image that the oracle classifies otherwise is skipped. None: the oracle's own
            answers on the clean images.
        targets: None for an untargeted attack; a class id, one per image (N,), or `dfa.rank(j)`, the j-th likeliest
            class of the clean image.
        epsilon: The largest change per coordinate in grey levels: an integer 1..255, one per image (N,), one per
            coordinate (H, W, C) where 0 means unchangeable, or both (N, H, W, C).
        space: The search space instead of `epsilon`, which then must be left out: `dfa.LinfBall`, `dfa.Pixels`,
            `dfa.Rectangle`, `dfa.TinyRectangles`, `dfa.Lighting`, `dfa.Tiled`, `dfa.Shift`, or with `dfa.Custom` one
            of your own, whose originals (`images`) may be arrays of any numbers and shape.
        objective: "odds", "log", "paper", a `dfa.Objective`, or a function of (scores, classes). None: the
            optimizer's own.
        optimizer: None for the space's default, `dfa.Racos.paper()` for the paper's setting.
        confirmations: For oracles that are randomised: how many of how many repeated answers must find an image
            adversarial before it counts, `dfa.Confirmation(8, of=10)`, or k for k of k. Where they do not, the search
            goes on, and that image ranks by the mean degree of its repeated answers. The clean prediction is then a
            mean of as many answers. All these are counted in `Result.profile` (`verification` and `clean`), and not
            against `max_queries`.
        max_queries: Budget per image. Counts every image sent to the oracle for it, and is never exceeded; the clean
            prediction and the confirmation are counted apart, in `Result.profile`. Where the oracle answers with labels
            alone a candidate takes two queries, itself and a step beyond it; that step may lie beyond epsilon, and is
            never a success.
        max_seconds: Wall-clock limit per image, from its first query on, looked at after every iteration.
        batch_size: The most images per call of the oracle.
        seed: 0..2**64 - 1.
        threads: Threads of the C++ core. None: 1, which proposes tens of thousands of 299x299x3 images per second and
            leaves the other cores to the oracle. Beside a model on a fast accelerator the core is what takes the time,
            and more threads share it.
        progress: Show a progress bar where the error stream is a terminal; or a function that is called with each
            record as soon as it is settled.
        store: A folder to keep the run in, from the first query on: what is found is there as soon as it is confirmed,
            and a run that was killed can be taken up again. Checked before the first query. See `Storage`.
        overwrite: Replace a run or a result kept there before.
        resume: Go on with the run kept there, or begin it if there is none. Images, oracle and settings must be as
            they were (only `threads`, `progress` and `store` may differ), and the result is then what the run would
            have ended with, had it not been cut short. A run that has ended is read back.
        ids: Integers that name the images' random streams, (N,). None: made from the images' bytes.

    Returns:
        Records, adversarial images, profile; see `Result`.

    Raises:
        InvalidInputError: An argument is not as described.
        StoreError: `store` cannot be written, holds a run or a result and neither `overwrite` nor `resume` is given,
            is at another process's hands, or was begun with other images, another oracle or other settings.
        OracleError: The oracle failed or its answer cannot be used; `.result` holds what was found before.
        ObjectiveError: The objective failed likewise.
        Interrupted: On KeyboardInterrupt; `.result` holds what was found before.

    Source:
        Paper, section 4. Differences: see `Racos` for the default optimizer; a tie between the original class and
        another does not count as success.
    """
    space = _checked_space(space, epsilon)
    inputs = Inputs(images, space.form)
    assert inputs.shape is not None
    num_images = inputs.num_images
    optimizer = _checked_optimizer(optimizer, space)
    parsed_labels = parse_labels(labels, num_images)
    parsed_targets = parse_targets(targets, num_images=num_images, labels=parsed_labels)
    chosen = optimizer.objective if objective is None else Objective.of(objective)
    confirmation = Confirmation.parse(confirmations)
    bound = space.bind(num_images, inputs.shape)
    model = as_oracle(oracle).taking(space.form.takes)
    check_ranked(parsed_targets, model.num_ranked)
    chosen = chosen.seen_through(model.num_shown, shows_all=model.shows_all)
    if not model.shows_distance and space.form is not Form.IMAGES:
        raise InvalidInputError(
            "by labels alone only images can be searched, since steps beyond a candidate are in grey levels; the "
            f"oracle {model.name!r} returns labels, and the space {type(space).__name__} is of other arrays"
        )
    questions = Questions() if model.shows_distance else LabelWalk(is_targeted=parsed_targets is not None)
    require_integer("max_queries", max_queries, 1, 2**62)
    each = questions.queries_per_image
    if max_queries < each * optimizer.population:
        raise InvalidInputError(
            f"max_queries must be at least {f'{each} times ' if each > 1 else ''}the population of "
            f"{optimizer.population} (samples + positives), which is asked first, got {max_queries}"
        )
    if max_seconds is not None and not (_is_number(max_seconds) and 0 < max_seconds < math.inf):
        raise InvalidInputError(f"max_seconds must be None or a number above 0, got {max_seconds!r}")
    require_integer("batch_size", batch_size, 1)
    require_integer("seed", seed, 0, 2**64 - 1)
    threads = 1 if threads is None else threads
    require_integer("threads", threads, 1, 1024)
    stream_ids = StreamIds(ids, num_images)
    storage = _storage(store, overwrite=overwrite, resume=resume, batch_size=each * int(batch_size))
    plan = Plan(
        oracle=model,
        inputs=inputs,
        ids=stream_ids,
        labels=parsed_labels,
        targets=parsed_targets,
        space=bound,
        optimizer=optimizer,
        degree=chosen.untargeted if parsed_targets is None else chosen.targeted,
        questions=questions,
        confirmation=confirmation,
        max_queries=int(max_queries),
        max_seconds=max_seconds,
        batch_size=int(batch_size),
        seed=int(seed),
        threads=int(threads),
        shows_progress=progress is True,
        on_record=progress if callable(progress) else None,
        config={
            "num_images": num_images,
            "shape": list(inputs.shape),
            "targets": None if targets is None else targets,
            **bound.describe(),
            "objective": chosen.name,
            "optimizer": optimizer,
            "confirmations": confirmation,
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
    if storage is None:
        return attack(plan)
    about = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": storage.command,
        "config": plan.config,
        "model": {"fingerprint": model.fingerprint()},
        "inputs": {"labels": parsed_labels, "ids": None if ids is None else as_array(ids)},
    }
    folder = Path(storage.folder)
    if storage.resume and holds_run(folder):
        if has_ended(folder):
            check_alike(folder, about)
            return replace(load(folder), oracle=model)
        opened = Store.resume(folder, about, interval=storage.interval)
    else:
        opened = Store.begin(
            folder,
            about,
            epsilon=plan.config["epsilon"],
            interval=storage.interval,
            overwrite=storage.overwrite,
        )
    with closing(opened):
        return _run_stored(replace(plan, store=opened), opened)


def _run_stored(plan: Plan, store: Store) -> Result:
    """Attack, and complete the folder however that ends."""
    try:
        result = attack(plan)
    except (DfaError, Interrupted) as error:
        _save_partial(error, store)
        raise
    try:
        store.flush()
        complete_run(result, store.folder, oracle=plan.oracle)
        store.end()
    except DfaError as error:
        error.result = result
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted while saving; what was found is in the `result` of this error", result=result
        ) from error
    return result


def _save_partial(error: DfaError | Interrupted, store: Store) -> None:
    """Write down what a run had found when it ended; the oracle is not asked again."""
    partial: Result | None = error.result
    if partial is None:
        return
    try:
        store.flush()
        complete_run(partial, store.folder, oracle=None)
    except StoreError as store_error:
        # Not add_note, which Python 3.10 does not have.
        error.args = (f"{error}; the partial result could not be saved either: {store_error}",)


def _storage(store: str | Path | Storage | None, *, overwrite: bool, resume: bool, batch_size: int) -> Storage | None:
    """Return where the run is kept, if anywhere."""
    if store is None:
        if resume:
            raise InvalidInputError("resume=True needs the folder of the run: pass store=")
        return None
    storage = store if isinstance(store, Storage) else Storage(Path(store))
    storage = replace(storage, overwrite=storage.overwrite or overwrite, resume=storage.resume or resume)
    if storage.overwrite and storage.resume:
        raise InvalidInputError("a run is either resumed or overwritten; pass one of resume=True and overwrite=True")
    require_integer("interval (at least four batches)", storage.interval, 4 * batch_size)
    return storage


def _checked_optimizer(optimizer: Racos | None, space: Space) -> Racos:
    if optimizer is None:
        return space.optimizer()
    if not isinstance(optimizer, Racos):
        raise InvalidInputError(f"optimizer must be None or a dfa.Racos, got {optimizer!r}")
    space.check_optimizer(optimizer)
    return optimizer


def _checked_space(space: Space | None, epsilon: ArrayLike) -> Space:
    if space is None:
        return LinfBall(epsilon)
    if not (is_integer(epsilon) and epsilon == LinfBall.epsilon):
        raise InvalidInputError(
            "epsilon and space were both given, and only the space would count; leave epsilon out, and for a ball pass "
            "space=dfa.LinfBall(epsilon, mask)"
        )
    if not isinstance(space, Space):
        raise InvalidInputError(f"space must be None or a search space such as dfa.LinfBall(), got {space!r}")
    return space


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
