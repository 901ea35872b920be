"""A run before it begins: every argument of `dfa.run` checked, and put in its place."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.checks import is_integer, is_number, require_count, require_flag, require_integer
from dfa.data.image_set import UNKNOWN
from dfa.engine.inputs import Inputs, StreamIds
from dfa.errors import InvalidInputError, shown, told_with_place
from dfa.oracle import Oracle, as_oracle
from dfa.oracle.priors import Prior, as_prior
from dfa.originals import Form
from dfa.results.record import Record
from dfa.runs.folder import plain
from dfa.runs.store import Store
from dfa.search.class_names import parse_class_names
from dfa.search.confirmation import Confirmation
from dfa.search.goals import Rank, Targets, check_ranked, parse_labels, parse_targets
from dfa.search.label_walk import LabelWalk, Questions
from dfa.search.objectives import ODDS, Objective
from dfa.search.protocol import Optimizer, describe_optimizer
from dfa.search.racos import MOST_STARTS_OF_RAYS, Racos
from dfa.search.rays import Rays
from dfa.space import BoundSpace, LinfBall, Space
from dfa.space.ball import BoundBall
from dfa.types import Classes, DegreeFunction, Image


@dataclass(frozen=True)
class Plan:
    """A run, with every argument checked.

    Attributes:
        oracle: What is attacked.
        inputs: The images.
        ids: Names their random streams.
        labels: int64, (N,), -1 of an image that has none; or None for the oracle's own answers.
        class_names: One per class of the oracle, or None.
        own_classes: What the data calls its classes, where the labels are its own and nobody has told the oracle's.
        targets: Class ids, a rank, or None in an untargeted run.
        space: What may become of each image.
        optimizer: How candidates are made.
        degree: The dissatisfaction degree function of the run.
        questions: What is asked about a candidate, and what is made of the answers.
        confirmation: What makes a claim of the search a success.
        max_queries: Budget per image, attack queries sent.
        max_seconds: Time per image from its first query on, or None.
        give_up_after: Queries from which on an image is given up where it rests, or None.
        batch_size: The most images per call of the oracle.
        seed: 0..2**64 - 1.
        threads: Threads of the core, or None: as many as pay.
        shows_progress: Draw a progress bar where the error stream is a terminal, and in a notebook.
        config: What the result records of the run's settings.
        on_record: Called with each record as it is settled, or None.
        store: Where the run is kept while it goes on, and what it goes on from; or None.
        prior: A surrogate that says where images should go, or None.
        budgets: int64, (N,), of each image, at most `max_queries`; or None for that.
        forecast: The share of its budget within which a search must be seen to end, going on as it did last, or its
            image is given up; 0: at rest only.
        start: Of an image, given with its place, the coordinates to be raised in a first start of a ball, uint8
            (H, W, C), the others lowered; or None. It is asked before the optimizer's own. Not with a prior.
    """

    oracle: Oracle
    inputs: Inputs
    ids: StreamIds
    labels: Classes | None
    class_names: tuple[str, ...] | None
    own_classes: Sequence[str] | None
    targets: Targets
    space: BoundSpace
    optimizer: Racos | Optimizer
    degree: DegreeFunction
    questions: Questions
    confirmation: Confirmation
    max_queries: int
    max_seconds: float | None
    give_up_after: int | None
    batch_size: int
    seed: int
    threads: int | None
    shows_progress: bool
    config: dict[str, Any]
    on_record: Callable[[Record], None] | None = None
    store: Store | None = None
    prior: Prior | None = None
    budgets: NDArray[np.int64] | None = None
    forecast: float = 0.0
    start: Callable[[int, Image], NDArray[np.uint8] | None] | None = None

    @property
    def is_targeted(self) -> bool:
        """Whether images are to become of given classes, and not only of others than their own."""
        return self.targets is not None

    @property
    def learns(self) -> bool:
        """Whether images learn from the images before them."""
        return isinstance(self.optimizer, Racos) and self.optimizer.archive

    @property
    def deadline(self) -> float:
        """When a search that begins now is over, by the clock of `time.monotonic`; infinity for never."""
        return math.inf if self.max_seconds is None else time.monotonic() + self.max_seconds

    def budget(self, index: int) -> int:
        """Return the attack queries that may be sent for an image."""
        return self.max_queries if self.budgets is None else int(self.budgets[index])

    def label(self, index: int) -> int | None:
        """Return the label given for an image, if any."""
        return None if self.labels is None or self.labels[index] == UNKNOWN else int(self.labels[index])


_AROUND: Final = 8
"""Levels that lie around a field of the optimizer in what is written, at the most."""


def goal_of(draft: Record) -> int:
    """Return the class that the degree function is given for an image: the target, or the original class."""
    assert draft.goal is not None
    return draft.goal


def make_plan(
    oracle: Any,
    images: Any,
    labels: ArrayLike | None,
    *,
    targets: Rank | ArrayLike | None,
    epsilon: ArrayLike,
    space: Space | None,
    objective: Objective | DegreeFunction | str | None,
    optimizer: Racos | Optimizer | None,
    confirmations: Confirmation | int,
    max_queries: int,
    max_seconds: float | None,
    give_up_after: int | None,
    batch_size: int,
    seed: int,
    threads: int | None,
    progress: bool | Callable[[Record], None],
    ids: ArrayLike | None,
    layout: str | None,
    names: Sequence[str | os.PathLike[str]] | None,
    class_names: Sequence[str] | None,
    prior: Any = None,
) -> Plan:
    """Check the arguments of `dfa.run`, and return the run that they describe.

    Raises:
        InvalidInputError: An argument is not as `dfa.run` describes it.
    """
    space = _checked_space(space, epsilon)
    inputs = Inputs(images, space.form, layout=layout, names=names)
    optimizer = _checked_optimizer(optimizer, space)
    model = as_oracle(oracle).taking(space.form.takes)
    known = (class_names, model.class_names, inputs.class_names)
    parsed_names = parse_class_names(next((each for each in known if each is not None), None))
    if labels is None:
        parsed_labels = inputs.labels_in(parsed_names)
    else:
        parsed_labels = parse_labels(labels, inputs.num_images, parsed_names)
    parsed_targets = parse_targets(
        targets, num_images=inputs.num_images, labels=parsed_labels, class_names=parsed_names
    )
    is_targeted = parsed_targets is not None
    own = optimizer.objective if isinstance(optimizer, Racos) else ODDS
    chosen = own if objective is None else Objective.of(objective)
    confirmation = Confirmation.parse(confirmations)
    bound = space.bind(inputs.num_images, inputs.shape)
    check_ranked(parsed_targets, model.num_ranked)
    chosen = chosen.seen_through(model.num_shown, shows_all=model.shows_all)
    questions = Questions()
    if isinstance(optimizer, Racos):
        if not model.shows_distance:
            optimizer = _by_labels(optimizer, space, is_targeted=is_targeted)
        questions = _questions(model, space, bound, optimizer, is_targeted=is_targeted)
    first = optimizer.population if isinstance(optimizer, Racos) else 1
    _check_limits(questions, first, max_queries, max_seconds)
    checked_prior = as_prior(prior, is_targeted=is_targeted)
    if checked_prior is not None:
        _check_prior(model, space, optimizer)
    if give_up_after is not None:
        give_up_after = require_count("give_up_after (unless None)", give_up_after, 2, 2**32 - 1)
        if give_up_after > max_queries:
            raise InvalidInputError(
                f"give_up_after must be at most max_queries, {max_queries}, which ends an image before it, got "
                f"{give_up_after}; lower it, or leave it out"
            )
        least = 2 * questions.queries_per_image * first
        if give_up_after < least:
            raise InvalidInputError(
                f"give_up_after must be at least {least}, twice what the first iteration asks, so that there is a "
                f"degree of half as many queries to hold the best against, got {give_up_after}; raise it, or leave it "
                "out"
            )
    numbers: dict[str, Any] = {
        "max_queries": int(max_queries),
        "max_seconds": max_seconds,
        "give_up_after": give_up_after,
        "batch_size": require_count("batch_size", batch_size, 1),
        "seed": require_integer("seed", seed, 0, 2**64 - 1),
        "threads": None if threads is None else require_integer("threads", threads, 1, 1024),
    }
    config = {
        "num_images": inputs.num_images,
        **({} if inputs.part is None else {"part": inputs.part}),
        "shape": list(inputs.shape),
        "targets": targets,
        "class_names": parsed_names,
        **bound.describe(),
        "objective": chosen.name,
        "optimizer": optimizer if isinstance(optimizer, Racos) else _described(optimizer),
        "confirmations": confirmation,
        **numbers,
        "oracle": model.describe(),
        **({} if checked_prior is None else {"prior": checked_prior.describe()}),
        **({} if (workers := model.describe_workers()) is None else {"workers": workers}),
        "versions": {"dfa": _core.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "build": _core.build_info(),
    }
    return Plan(
        oracle=model,
        inputs=inputs,
        ids=_stream_ids(ids, inputs),
        labels=parsed_labels,
        class_names=parsed_names,
        own_classes=inputs.class_names if labels is None and known[:2] == (None, None) else None,
        targets=parsed_targets,
        space=bound,
        optimizer=optimizer,
        degree=chosen.targeted if is_targeted else chosen.untargeted,
        questions=questions,
        confirmation=confirmation,
        **numbers,
        shows_progress=not callable(progress) and require_flag("progress (unless a function)", progress),
        on_record=progress if callable(progress) else None,
        config=config,
        prior=checked_prior,
    )


def _stream_ids(given: ArrayLike | None, inputs: Inputs) -> StreamIds:
    """Return what names the images; copies in the parts before this one are counted."""
    ids = StreamIds(given, inputs.num_images)
    if ids.given is None:
        for image in inputs.earlier():
            ids.count(image)
    return ids


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


def _checked_optimizer(optimizer: Racos | Optimizer | None, space: Space) -> Racos | Optimizer:
    if optimizer is None:
        return space.optimizer()
    if isinstance(optimizer, Racos):
        space.check_optimizer(optimizer)
        return optimizer
    if isinstance(optimizer, type) or not _begins(optimizer):
        raise InvalidInputError(
            "optimizer must be None, a dfa.Racos, or an object with a method begin(task), as dfa.Optimizer says, got "
            f"{shown(optimizer)}{'; pass an instance of it' if isinstance(optimizer, type) else ''}"
        )
    if not isinstance(space, LinfBall):
        raise InvalidInputError(
            f"an optimizer of your own needs the space dfa.LinfBall, got {type(space).__name__}; leave space out, or "
            "take a dfa.Racos"
        )
    return optimizer


def _begins(optimizer: Any) -> bool:
    """Tell whether there is a method `begin`, which a user's `__getattr__` may answer with any error."""
    try:
        return callable(optimizer.begin)
    except Exception:
        return False


def _described(optimizer: Optimizer) -> dict[str, Any]:
    """Return what is kept of a user's optimizer, which can be written by now.

    Raises:
        InvalidInputError: A field cannot, or has no value.
    """
    about = describe_optimizer(optimizer)
    for name, value in about["settings"].items():
        try:
            plain(value, _AROUND)
        except Exception as error:  # a user's object may raise anything
            raise InvalidInputError(
                f"each field of an optimizer must be something that can be kept (numbers, texts, arrays, lists of "
                f"these, objects that have a text), and the field {name} of {type(optimizer).__qualname__} is not: "
                f"{told_with_place(error)}; give it such a value, or make the optimizer no dataclass"
            ) from error
    return about


def _by_labels(optimizer: Racos, space: Space, *, is_targeted: bool) -> Racos:
    """Return the optimizer that is used where labels alone are answered."""
    is_alike = optimizer.shape == "window" and optimizer.start == "textures" and optimizer.region == "none"
    has_rays = is_alike and optimizer.population <= MOST_STARTS_OF_RAYS and isinstance(space, LinfBall)
    if has_rays and not is_targeted:
        # A target is seldom seen on any ray from the original, however far off.
        return replace(optimizer, shape="ray")
    # Labels tell of each candidate how far beyond it the next one is to be looked at.
    return replace(optimizer, improvements=0.0) if optimizer.improvements is None else optimizer


def _questions(oracle: Oracle, space: Space, bound: BoundSpace, optimizer: Racos, *, is_targeted: bool) -> Questions:
    if optimizer.shape == "ray" and isinstance(bound, BoundBall):
        return Rays(bound.epsilon)
    if oracle.shows_distance:
        return Questions()
    if space.form is not Form.IMAGES:
        raise InvalidInputError(
            "by labels alone only images can be searched, since steps beyond a candidate are in grey levels; the "
            f"oracle {oracle.name!r} returns labels, and the space {type(space).__name__} is of other arrays"
        )
    return LabelWalk(is_targeted=is_targeted)


def _check_prior(oracle: Oracle, space: Space, optimizer: Racos | Optimizer) -> None:
    if not isinstance(optimizer, Racos):
        raise InvalidInputError(f"a prior needs a dfa.Racos, got {shown(optimizer)}; leave prior or optimizer out")
    if not isinstance(space, LinfBall):
        raise InvalidInputError(f"a prior needs the space dfa.LinfBall, got {type(space).__name__}; leave prior out")
    if not oracle.shows_distance:
        raise InvalidInputError(
            f"a prior needs an oracle that shows more than labels, and {oracle.name!r} does not; leave prior out"
        )
    if optimizer.shape != "window" or optimizer.values != "textures" or optimizer.positives != 1:
        raise InvalidInputError(
            "a prior is one more filling of windows, whose worth is learned: the optimizer must have shape='window', "
            f"values='textures' and positives=1, got {optimizer.shape!r}, {optimizer.values!r} and "
            f"{optimizer.positives}"
        )


def _check_limits(questions: Questions, first: int, max_queries: int, max_seconds: float | None) -> None:
    """Check the limits of an image of which so many candidates are asked first, all at once."""
    require_integer("max_queries", max_queries, 1, 2**62)
    each = questions.queries_per_image
    if max_queries < each * first:
        raise InvalidInputError(
            f"max_queries must be at least {f'{each} times ' if each > 1 else ''}the population of "
            f"{first} (samples + positives), which is asked first, got {max_queries}"
        )
    if max_seconds is not None and not (is_number(max_seconds) and 0 < max_seconds < math.inf):
        raise InvalidInputError(f"max_seconds must be None or a number above 0, got {max_seconds!r}")
