"""The pictures of the gallery of spaces: digits, and what a search in a space made of them."""

from __future__ import annotations

import matplotlib.pyplot as plt
from lenet import images, labels, model, show

import dfa

NUM_ATTACKED = 20
NUM_SHOWN = 4


def attack(space: dfa.Space, *, max_queries: int = 300) -> None:
    """Attack digits in a space; draw the first that were broken, and say how many there are.

    Args:
        space: Where the search may go.
        max_queries: Budget per image.
    """
    result = dfa.run(
        model, images[:NUM_ATTACKED], labels[:NUM_ATTACKED], space=space, max_queries=max_queries, progress=False
    )
    broken = [record for record in result.records if record.found]
    # One of its class each: digits of one class look alike.
    shown = list({record.class_before: record for record in broken}.values())[:NUM_SHOWN]
    lines = max((len(record.distances or {}) for record in shown), default=0)
    figure, axes = plt.subplots(1, 2 * NUM_SHOWN, figsize=(7.6, 1.2 + 0.25 * lines), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i, record in enumerate(shown):
        show(axes[0, 2 * i], images[record.index], f"{record.class_before}")
        reported = "".join(f"\n{name} {value:g}" for name, value in (record.distances or {}).items())
        show(axes[0, 2 * i + 1], result.images[record.index], f"{record.class_after}{reported}")
    figure.tight_layout()
    summary = result.summary()
    found = f"{summary.verified} of {summary.attacked} digits broken"
    print(f"{found}, {summary.queries_median:g} queries in the median" if broken else found)
