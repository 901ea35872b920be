"""What an attack in words is made of beside its model: images, labels, targets, and where they are searched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa.cli.request import Request
from dfa.cli.sources.images import ImageSource, open_images, parse_size, tell_unused_labels
from dfa.cli.sources.labels import parse_target, read_labels
from dfa.data.choice import as_images
from dfa.data.image_files import ImageFiles
from dfa.data.image_set import ImageSet
from dfa.data.parts import Neighbours, Part
from dfa.search.confirmation import Confirmation
from dfa.space import LinfBall, Space


@dataclass(frozen=True)
class AttackInputs:
    """What `dfa.run` is given beside the model, of an attack in words.

    Attributes:
        source: The images that are attacked, and their names.
        files: All of them, where they are files; of a part those of the others too.
        part: Which part is attacked, or None.
        notes: What was left out of them, in words.
        data: The images as `dfa.run` takes them.
        labels: Theirs, or None.
        targets: Theirs, or None.
        layout: Theirs, or None.
        settings: All other arguments, by name, but for those of the store and the progress.
    """

    source: ImageSource
    files: ImageFiles | None
    part: Part | None
    notes: list[str]
    data: Any
    labels: NDArray[np.int64] | None
    targets: Any
    layout: str | None
    settings: dict[str, Any]

    def run(self, oracle: object, **more: Any) -> dfa.Result:
        """Attack, as `dfa.run` does, with more arguments of it."""
        return dfa.run(
            oracle, self.data, self.labels, targets=self.targets, layout=self.layout, **{**self.settings, **more}
        )

    def spread(self, number: int) -> AttackInputs:
        """Return so many of the images, or all, spread evenly, with what belongs to them."""
        total = len(self.source.names)
        step = max(1, total // number)
        places = range(0, step * min(number, total), step)
        space: Space = self.settings["space"]
        whole = as_images(self.data, layout=self.layout, form=space.form)
        some = ImageSet(
            Neighbours(whole.images, places),
            names=[self.source.names[place] for place in places],
            labels=lambda: None if whole.labels is None else whole.labels[list(places)],
            class_names=whole.class_names,
        )
        if isinstance(space, LinfBall) and np.ndim(space.epsilon) in (1, 4) and len(np.asarray(space.epsilon)) == total:
            space = replace(space, epsilon=np.asarray(space.epsilon)[list(places)])
        return replace(
            self,
            source=replace(self.source, names=some.names or []),
            data=some,
            labels=None if self.labels is None else self.labels[list(places)],
            targets=self.targets[list(places)] if isinstance(self.targets, np.ndarray) else self.targets,
            layout=None if self.layout is None else "NHWC",
            settings=self.settings | {"space": space},
        )


def open_inputs(
    request: Request,
    space: Space,
    *,
    optimizer: dfa.Racos,
    prior: Any,
    class_names: Sequence[str] | None,
    known_names: Sequence[str] | None,
    wanted: int | None,
    most: int | None = None,
    tell: Callable[[str], object] = lambda text: None,
) -> AttackInputs:
    """Return what words say of an attack beside its model.

    Args:
        request: The words.
        space: The search space that they name.
        optimizer: Likewise.
        prior: Likewise.
        class_names: Likewise.
        known_names: What the model calls its classes, or None.
        wanted: Channels that the model takes, if known.
        most: How many the images may be, where that is known.
        tell: Is told what images were found, before what is said of them is read.

    Raises:
        InvalidInputError: A word names nothing.
    """
    source = open_images(
        request.images,
        labels=request.labels,
        class_names=class_names,
        channels=request.channels,
        size=parse_size(request.size),
        wanted=wanted,
        most=most,
    )
    tell(source.text)
    notes = [*source.notes, *tell_unused_labels(source, request.images, request.labels)]
    labels = (
        None
        if request.labels is None or source.folders is not None
        else read_labels(request.labels, source.names, class_names=class_names, notes=notes)
    )
    targets = parse_target(request.target, source.names, class_names or known_names or source.class_names, notes)
    files = source.images if isinstance(source.images, ImageFiles) else None
    data, layout = source.images if source.folders is None else source.folders, request.image_layout
    part = None if request.part is None else Part.parse(request.part, len(source.names))
    if part is not None:
        data = as_images(data, layout=layout, form=space.form).part(part.number, of=part.of)
        layout = None if layout is None else "NHWC"
        labels = None if labels is None else labels[part.places]
        targets = targets[part.places] if isinstance(targets, np.ndarray) else targets
        source = source.part(part)
        notes.append(f"part {part}: images {part.places[0] + 1:,} to {part.places[-1] + 1:,} of {part.total:,}")
    settings = {
        "space": space,
        "objective": request.objective,
        "optimizer": optimizer,
        "confirmations": Confirmation.parse(request.confirmations or 1),
        "class_names": class_names,
        "prior": prior,
        **request.settings,
    }
    return AttackInputs(source, files, part, notes, data, labels, targets, layout, settings)
