"""`dfa.run`: what a user calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from dfa.engine.loop import attack
from dfa.engine.plan import make_plan
from dfa.engine.stored import attack_stored
from dfa.oracle.workers.choice import as_workers
from dfa.oracle.workers.pool import Workers, asked_by
from dfa.results.record import Record
from dfa.results.refuted import tell_refuted, warn_of_refuted
from dfa.results.result import Result
from dfa.results.skips import LIKELY_CAUSES, tell_skipped_records, warn_of_skips
from dfa.runs.storage import Storage
from dfa.search.confirmation import Confirmation
from dfa.search.goals import Rank
from dfa.search.objectives import Objective
from dfa.search.protocol import Optimizer
from dfa.search.racos import Racos
from dfa.space import Space
from dfa.types import DegreeFunction


def run(
    oracle: Any,
    images: Any,
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    epsilon: ArrayLike = 10,
    space: Space | None = None,
    objective: Objective | DegreeFunction | str | None = None,
    optimizer: Racos | Optimizer | None = None,
    confirmations: Confirmation | int = 1,
    max_queries: int = 10_000,
    max_seconds: float | None = None,
    give_up_after: int | None = None,
    batch_size: int = 256,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Callable[[Record], None] = True,
    store: str | Path | Storage | None = None,
    overwrite: bool = False,
    resume: bool = False,
    ids: ArrayLike | None = None,
    layout: str | None = None,
    names: Sequence[str | os.PathLike[str]] | None = None,
    class_names: Sequence[str] | None = None,
    prior: Any = None,
    workers: int | Sequence[str] | Workers | None = None,
) -> Result:
    """Search an adversarial image for every image, by querying alone.

    What is found is a uint8 image within epsilon of its original, confirmed by a query of its own. Results depend
    on the oracle's answers, `seed`, the images and the settings; not on `threads` or `batch_size`. By default images
    learn from the images before them (`Racos.archive`), so their order is part of the run; with
    `optimizer=dfa.Racos(archive=False)`, and with `dfa.Racos.paper()`, each image's result is its own, whatever the
    order and whichever others are attacked with it. (An oracle whose answers depend on the batch breaks that; many
    deep-learning frameworks do, in the last bits.)

    Args:
        oracle: A torch module (from images / 255 to logits), a Keras model, a .tflite file, any callable from uint8
            (B, H, W, C) to probabilities (B, K), a `dfa.Pipeline` in front of any of these, or what `dfa.as_oracle`
            returns, which also says what is answered (probabilities, logits, the k likeliest classes, the likeliest one
            with its probability, a label) and how to normalise or preprocess. What the search goes by where an answer
            hides the target `dfa.objectives` says; where it is a label alone, `dfa.search.rays` and
            `dfa.search.label_walk`.
        images: uint8, (N, H, W, C), or any sequence of uint8 (H, W, C) images, read lazily; `dfa.data.image_files` and
            `image_folder`; a `torch.utils.data.Dataset`, with or without labels, or a `DataLoader`; a Hugging Face
            `datasets.Dataset`. What these know, labels, names and class names, is used where it is not given here:
            see `dfa.data.as_images`. Labels are taken to be the oracle's class ids; `without_labels()` leaves them out.
        labels: Class ids, (N,). An image that the oracle classifies otherwise is skipped. None: those of the data, or
            else the oracle's own answers on the clean images.
        targets: None for an untargeted attack; a class id, one per image (N,), or `dfa.rank(j)`, the j-th likeliest
            class of the clean image.
        epsilon: The largest change per coordinate in grey levels: an integer 1..255, one per image (N,), one per
            coordinate (H, W, C) where 0 means unchangeable, or both (N, H, W, C).
        space: The search space instead of `epsilon`, which then must be left out: `dfa.LinfBall`, `dfa.Pixels`,
            `dfa.Patch`, `dfa.Frame`, `dfa.Rectangle`, `dfa.TinyRectangles`, `dfa.Lighting`, `dfa.Tiled`, `dfa.Shift`,
            or with `dfa.Custom` one of your own, whose originals (`images`) may be arrays of any numbers and shape.
        objective: "odds", "log", "paper" (as printed), "paper-code" (as its authors ran it), a `dfa.Objective`, or a
            function of (scores, classes). None: the optimizer's own; of one of yours "odds".
        optimizer: None for the space's default, `dfa.Racos.sequential()` where queries are dear and calls are not,
            `dfa.Racos.paper()` for the paper's setting, which towards a target is `dfa.Racos.paper(targeted=True)`; or
            one of your own, in an L-infinity ball: an object whose `begin(task)` returns what is asked for candidates
            and told their degrees, see `dfa.Optimizer`. Its images are independent; by labels alone it is asked one
            query a candidate as well, and told degrees that say nothing but whether one is adversarial.
        confirmations: For oracles that are randomised: how many of how many repeated answers must find an image
            adversarial before it counts, `dfa.Confirmation(8, of=10)`, or k for k of k. Where they do not, the search
            goes on, and that image ranks by the mean degree of its repeated answers. The clean prediction is then a
            mean of as many answers. All these are counted in `Result.profile` (`verification` and `clean`), and not
            against `max_queries`.
        max_queries: Budget per image. Counts every image sent to the oracle for it, and is never exceeded; the clean
            prediction and the confirmation are counted apart, in `Result.profile`. By labels alone an untargeted search
            of a ball goes along rays, with one query a candidate. Towards targets, in other spaces and with other
            optimizers a candidate takes two, itself and a step beyond it; that step may lie beyond epsilon, and is
            never a success.
        max_seconds: Wall-clock limit per image, from when its search begins, looked at after every iteration. Searches
            that begin together wait for one another's first answers of a prior, which counts.
        give_up_after: Queries after which an image is given up where nothing moves: where more than 0.9 of its best
            degree is left that half as many queries had reached. That is looked at when an iteration ends with so many
            queries or more, and again whenever they have doubled. Its record says "at rest", and means with failures
            count it at the whole budget, as if that had been spent. What would have fallen later is lost, so it is for
            robust models, where most images are asked in vain; 1,000 is what was measured, with scores; by labels alone
            it has not been measured. At most `max_queries`, and at least twice what the first iteration asks, which is
            s + k candidates. None: never, the whole budget is spent.
        batch_size: The most images per call of the oracle. As many go as are ready, which few images do not fill.
        seed: 0..2**64 - 1. Where labels alone are answered and there is no target, the default optimizer draws nothing
            in a ball, and all seeds give the same.
        threads: Threads of the C++ core. None: as many as pay, which the run finds out while it goes on: 1 beside a
            slow oracle or on busy cores, more beside a model on a fast accelerator. The result's config then says None.
        progress: Show a progress bar where the error stream is a terminal, and in a notebook; or a function that is
            called with each record as soon as it is settled.
        store: A folder to keep the run in, from the first query on: what is found is there as soon as it is confirmed,
            and a run that was killed can be taken up again. Checked before the first query. See `Storage`.
        overwrite: Replace a run or a result kept there before.
        resume: Go on with the run kept there, or begin it if there is none. Images, oracle and settings must be as
            they were (only `threads`, `progress` and `store` may differ), and the result is then what the run would
            have ended with, had it not been cut short. A run that has ended is read back.
        ids: Integers that name the images' random streams, (N,). None: made from the images' bytes.
        layout: "NCHW" says that images are (C, H, W). Without that, images whose channels seem to come first, such as
            (N, 3, 32, 32), are refused, unless they are tensors of a data set of torch; "NHWC" says that they are meant
            as they are: 3 high, with 32 channels.
        names: Files that the images came from, or other names, one per image; records, tables and reports carry them
            (`Record.source`). None: those of the data, or `images.names`, if the sequence has a list of so many strings
            there.
        class_names: What the oracle's classes are called, in their order. `labels` and `targets` may then hold names,
            and reports show them. None: what the model tells, as those of `dfa.from_torchvision` do, or else the data.
            Where both are there, a label of the data is the class of its name.
        prior: A surrogate, for whoever has one: a torch module (from images / 255 to logits), a Keras model, or what
            `dfa.as_oracle` made of one, of the same classes; or a function from uint8 images (n, H, W, C) and goals
            (n,), the targets or in an untargeted run the original classes to get away from, to signs or gradients (n,
            H, W, C): above 0 where a value should rise, or True, and False where it should fall. A model's are those of
            the goal's log-odds, averaged over shifted and shrunk copies of the image. It gives a first start for each
            image, by a dozen steps within the ball on the surrogate alone, and one more way to move: part of all
            coordinates take the signs that six steps from the best candidate so far end with. It is asked at each step
            for each candidate that improves, never for one that is only tried. What it is worth is learned from the
            oracle's answers, so one that knows nothing is soon left alone. With a prior the run is no longer without
            knowledge: its config and summary say so. An L-infinity ball only, and no oracle of labels alone. With
            `resume` a model is known by its parameters, a function by its name and its module alone: that it says what
            it said when the run began is for you to see to.
        workers: None: the oracle is asked in this process. A number of processes on this machine, a list of their
            devices (["cuda:0", "cuda:1"]), `dfa.LocalWorkers` or `dfa.RayWorkers`: each has a model of its own, and
            `oracle` is then a `dfa.factory`, the path of a model's file, or a function of a module that is the oracle
            itself. What is found is the same, to the bit, for any number of workers, whichever is fast, and whichever
            is lost: what it had is sent again, and counted (`Profile.resent`), and another takes its place. That needs
            answers that are the same wherever they come from, which is looked at before the first query, with a little
            noise that counts as none. A run may be resumed with other workers, or none.

    Returns:
        Records, adversarial images, profile; see `Result`.

    Raises:
        InvalidInputError: An argument is not as described.
        StoreError: `store` cannot be written, holds a run or a result and neither `overwrite` nor `resume` is given,
            is at another process's hands, or was begun with other images, another oracle or other settings.
        OracleError: The oracle failed or its answer cannot be used; `.result` holds what was found before.
        ObjectiveError: The objective failed likewise.
        OptimizerError: An optimizer of yours failed likewise, or asked about what lies beyond epsilon.
        PriorError: The prior failed likewise.
        Interrupted: On KeyboardInterrupt; `.result` holds what was found before. A further Ctrl-C waits until that is
            saved. Whatever else ends a run, an error of a `progress` function say, is raised as it is, and carries
            `.result` likewise.

    Warns:
        DoubtfulDataWarning: No value of the first images is above 1, or a `DataLoader` shuffles without a seed.
        ChanceAccuracyWarning: The oracle agrees with no more `labels` of the first images, 20 at least, than guessing
            would, as a model that is fed wrongly does; where warnings are errors it carries `.result`.
        MostSkippedWarning: More than half of the images were skipped; it shows labels and answers, and where warnings
            are errors it carries `.result`.
        RefutedFilesWarning: Files of a run that is kept in a folder are not what the run found; it tells the first, and
            carries `.result` likewise.

    Source:
        Paper, section 4. Differences: see `Racos` for the default optimizer; a tie does not count as success: another
        class must be strictly above the original one, the target above all others. `prior`: the idea of GFCS (Lord et
        al., ICLR 2022), by several steps and in signs; a random combination of outputs, where the gradient fails, is
        not taken.
    """
    with asked_by(oracle, as_workers(workers)) as model:
        plan = make_plan(
            model,
            images,
            labels,
            targets=targets,
            epsilon=epsilon,
            space=space,
            objective=objective,
            optimizer=optimizer,
            confirmations=confirmations,
            max_queries=max_queries,
            max_seconds=max_seconds,
            give_up_after=give_up_after,
            batch_size=batch_size,
            seed=seed,
            threads=threads,
            progress=progress,
            ids=ids,
            layout=layout,
            names=names,
            class_names=class_names,
            prior=prior,
        )
        most_sent = plan.batch_size * plan.questions.queries_per_image
        storage = Storage.parse(store, overwrite=overwrite, resume=resume, batch_size=most_sent)
        result = attack(plan) if storage is None else attack_stored(plan, storage)
    if skips := tell_skipped_records(result.records, LIKELY_CAUSES, own_classes=plan.own_classes):
        warn_of_skips(skips, result)
    if result.refuted:
        warn_of_refuted(tell_refuted(result.refuted, result.summary()), result)
    return result
