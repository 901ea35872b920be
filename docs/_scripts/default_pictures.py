"""The pictures of the page on the default: each function makes one, of real searches on digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
from lenet import images, labels, model, show
from numpy.typing import NDArray

import dfa
from dfa.types import Degrees, Images

EPSILON = 40
BEFORE: Degrees = dfa.objectives.ODDS.untargeted(model(images).astype(np.float64), labels)
NUM_STARTS = 12
Found = TypeVar("Found")


@dataclass(frozen=True)
class Search:
    """One image's search: its attack queries, what LeNet-1 made of them, and how many went together.

    Attributes:
        asked: uint8, (Q, 28, 28, 1), in their order.
        degrees: float64, (Q,).
        is_other: bool, (Q,): whether the label is another than the original's.
        sizes: Of the iterations.
        record: What the run says of it.
    """

    asked: Images
    degrees: Degrees
    is_other: NDArray[np.bool_]
    sizes: list[int]
    record: dfa.Record

    def changes(self, index: int) -> NDArray[np.int16]:
        """Return what each query changed of image `index`, in grey levels."""
        return self.asked.astype(np.int16) - images[index]


def search(index: int, *, shown: Callable[[Any], Any] = lambda oracle: oracle, **settings: Any) -> Search:
    """Attack one image alone, untargeted."""
    batches: list[Images] = []

    def recorder(batch: Images) -> Any:
        batches.append(batch.copy())
        return model(batch)

    settings = {"epsilon": EPSILON, "max_queries": 1_000, "progress": False} | settings
    record = dfa.run(shown(recorder), images[index : index + 1], labels[index : index + 1], **settings).records[0]
    # The first call is the clean prediction, and the last one, of a success, its confirmation.
    asked = np.concatenate(batches)[1 : 1 + record.queries_sent]
    scores = model(asked).astype(np.float64)
    degrees = dfa.objectives.ODDS.untargeted(scores, np.full(len(scores), labels[index]))
    return Search(asked, degrees, scores.argmax(axis=1) != labels[index], [len(each) for each in batches[1:]], record)


def first(look: Callable[[int], Found | None]) -> tuple[int, Found]:
    """Return the first image that is classified rightly and has what is looked for, and what that is."""
    for index in np.flatnonzero(BEFORE > 0).tolist():
        found = look(index)
        if found is not None:
            return index, found
    raise LookupError("none of the digits shows it")


def ask_starts(index: int) -> Search | None:
    """Return what the textured starts leave of an image, if none of them breaks it."""
    tried = search(index, optimizer=dfa.Racos(archive=False), max_queries=NUM_STARTS)
    return None if tried.record.found else tried


def starts() -> None:
    """Show the starts of one image."""
    index, tried = first(ask_starts)
    figure, axes = plt.subplots(2, 7, figsize=(7.6, 3.0))
    show(axes[0, 0], images[index], f"original\n{BEFORE[index]:.1f}")
    axes[1, 0].axis("off")
    for axis, image, degree in zip(axes[:, 1:].flat, tried.asked, tried.degrees, strict=True):
        show(axis, image, f"{degree:.1f}")
    figure.tight_layout()


def forecasts() -> None:
    """Show what each start leaves on average, and what a texture and its other turn have in common."""
    indices = np.flatnonzero(BEFORE > 0)[:40].tolist()
    left = np.array([tried.degrees / BEFORE[i] for i in indices if (tried := ask_starts(i)) is not None])
    names = ["columns 1", "rows 2", "checks 1", "rows 8", "checks 2", "checks 8"]
    figure, (bars, dots) = plt.subplots(1, 2, figsize=(7.6, 2.7), width_ratios=(1.5, 1))
    at = np.arange(len(names))
    bars.bar(at - 0.2, left[:, :6].mean(axis=0), 0.38, label="as it is")
    bars.bar(at + 0.2, left[:, 6:].mean(axis=0), 0.38, label="turned over")
    bars.set_xticks(at, names, rotation=20)
    bars.set(ylabel="share of the degree left", title=f"{len(left)} digits")
    bars.set_ylim(0, 1.2)
    bars.legend(frameon=False, ncols=2, loc="upper left")
    roots = np.sqrt(left.clip(0, 1.5))
    for i, name in enumerate(names):
        dots.scatter(roots[:, i], roots[:, i + 6], s=6, label=name)
    dots.set(xlabel="share left as it is, square root", ylabel="turned over")
    dots.legend(frameon=False, fontsize=6)
    figure.tight_layout()


def windows() -> None:
    """Show how the change grows in a search of some length."""

    def is_long(index: int) -> Search | None:
        tried = search(index)
        return tried if tried.record.found and tried.record.queries >= 60 else None

    index, tried = first(is_long)
    lowest = np.minimum.accumulate(tried.degrees)
    kept = [0, *(np.flatnonzero(lowest[1:] < lowest[:-1]) + 1)]
    chosen = [kept[round(i)] for i in np.linspace(0, len(kept) - 1, 7)]
    figure, axes = plt.subplots(2, 7, figsize=(7.6, 2.8))
    for (above, below), i in zip(axes.T, chosen, strict=True):
        show(above, tried.changes(index)[i], f"query {i + 1}\n{tried.degrees[i]:.2f}", epsilon=EPSILON)
        show(below, tried.asked[i])
    figure.tight_layout()


def sides() -> None:
    """Show how windows shrink, from the settings of the default."""
    racos = dfa.Racos()
    told = np.arange(10_000)
    halvings = 2.0 ** np.searchsorted(racos.window_halvings, told, side="right")
    axis = plt.subplots(figsize=(5, 2.2))[1]
    for side in (28, 224):
        share = racos.first_windows((side, side, 3)) / halvings
        pixels = np.maximum(1, np.floor(np.sqrt(share) * side + 0.5))
        axis.step(told + 1, pixels, where="post", label=f"{side}x{side} pixels")
    axis.set(xscale="log", yscale="log", xlabel="answered candidates after the starts", ylabel="side of a window")
    axis.legend(frameon=False)


def merging() -> None:
    """Show an iteration of which several windows improved, and the candidate that merges them."""

    def merges(index: int) -> tuple[Search, int, range] | None:
        tried = search(index)
        ends = np.cumsum(tried.sizes)
        for begin, end in pairwise(ends):
            if begin < NUM_STARTS or end >= len(tried.degrees) or end - begin > 5:
                continue
            parent = int(np.argmin(tried.degrees[:begin]))
            better = tried.degrees[begin:end][tried.degrees[begin:end] < tried.degrees[parent]]
            if len(better) > 1 and tried.degrees[end] < better.min():
                return tried, parent, range(begin, end)
        return None

    index, (tried, parent, iteration) = first(merges)
    shown = [("parent", parent), *(("window", i) for i in iteration), ("merged", iteration.stop)]
    figure, axes = plt.subplots(1, len(shown), figsize=(1.2 * len(shown), 1.7))
    for axis, (name, i) in zip(axes, shown, strict=True):
        show(axis, tried.changes(index)[i], f"{name}\n{tried.degrees[i]:.2f}", epsilon=EPSILON)
    figure.tight_layout()


def archive() -> None:
    """Show what a run costs whose images learn from one another, and one whose images do not."""
    figure, axis = plt.subplots(figsize=(5, 2.4))
    for name, optimizer in (("archive=True", dfa.Racos()), ("archive=False", dfa.Racos(archive=False))):
        result = dfa.run(
            model, images[:60], labels[:60], targets=dfa.rank(4), epsilon=64, optimizer=optimizer, progress=False
        )
        queries = [record.queries for record in result.records if record.found]
        axis.plot(np.cumsum(queries), label=f"{name}: {np.mean(queries):.1f} queries an image")
    axis.set(xlabel="images broken, in their order", ylabel="queries, summed")
    axis.legend(frameon=False)
    figure.tight_layout()


def rest() -> None:
    """Show all candidates of a search that finds nothing and begins anew."""
    budget = 1_500

    def begins_anew(index: int) -> Search | None:
        tried = search(index, epsilon=8, max_queries=budget)
        settled = tried.degrees[300:500]
        return tried if len(settled) and tried.degrees[500:].max(initial=0.0) > 1.1 * settled.max() else None

    _, tried = first(begins_anew)
    figure, axis = plt.subplots(figsize=(6, 2.4))
    axis.plot(np.arange(1, len(tried.degrees) + 1), tried.degrees, ".", markersize=2)
    axis.set(xlabel="query", ylabel="degree", ylim=(0, None))
    figure.tight_layout()


def rays() -> None:
    """Show how far the queries of a search by labels alone lie, and what their labels are."""

    def is_long(index: int) -> Search | None:
        tried = search(index, shown=partial(dfa.label_only, num_classes=10))
        return tried if tried.record.found and tried.record.queries > 40 else None

    index, tried = first(is_long)
    reach = np.abs(tried.changes(index)).max(axis=(1, 2, 3))
    query = np.arange(1, len(reach) + 1)
    figure, axis = plt.subplots(figsize=(6, 2.4))
    axis.plot(query[~tried.is_other], reach[~tried.is_other], ".", markersize=3, label="the original label")
    axis.plot(query[tried.is_other], reach[tried.is_other], "o", markersize=4, label="another label")
    axis.axhline(EPSILON, linewidth=0.8, color="gray")
    axis.set(xlabel="query", ylabel="largest change, grey levels")
    axis.legend(frameon=False)
    figure.tight_layout()


def odds() -> None:
    """Print what three degrees make of three answers."""
    answers = np.array([[0.70, 0.20, 0.10], [0.50, 0.40, 0.10], [0.60, 0.22, 0.18]])
    target = np.full(len(answers), 2)
    print(f"{'P of three classes':24}{'top1 - P(c)':>14}{'its logarithm':>16}{'log odds':>12}")
    each = (dfa.objectives.PAPER, dfa.objectives.LOG, dfa.objectives.ODDS)
    for row, *degrees in zip(answers, *(objective.targeted(answers, target) for objective in each), strict=True):
        print(f"{', '.join(f'{p:.2f}' for p in row):24}{degrees[0]:14.2f}{degrees[1]:16.2f}{degrees[2]:12.2f}")
