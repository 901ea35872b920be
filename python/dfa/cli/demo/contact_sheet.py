"""The demo's picture: digits, the adversarial images of each attack, and what they changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow

from dfa.checks import counted_queries
from dfa.cli.demo.attacks import EPSILON, Attack
from dfa.cli.demo.classifier import SIDE
from dfa.results.result import Result
from dfa.types import Classes, Images
from dfa.views.pictures import Sheet, amplified_difference


def choose_examples(labels: Classes, results: Sequence[Result], number: int) -> list[int]:
    """Return the images to show: of as many classes as possible, and in each those that most attacks broke.

    Args:
        labels: int64, (N,).
        results: What the attacks found.
        number: Images wanted; fewer are returned only if no attack broke more.

    Returns:
        Indices, ordered by class.
    """
    num_broken = np.sum([result.success for result in results], axis=0)
    order = np.argsort(-num_broken, kind="stable")
    # The best of every class come first, then the second best of every class, and so on.
    place = {int(i): int(np.count_nonzero(labels[order[:n]] == labels[i])) for n, i in enumerate(order)}
    ranking = sorted((int(i) for i in order if num_broken[i]), key=lambda i: (place[i], labels[i]))
    return sorted(ranking[:number], key=lambda i: (labels[i], i))


def draw_contact_sheet(
    originals: Images, rows: Sequence[tuple[Attack, Result]], examples: Sequence[int]
) -> Pillow.Image:
    """Return one picture: a column per digit; the original, then per attack the adversarial and what changed.

    Args:
        originals: uint8, (N, 28, 28, 1).
        rows: The attacks to show, and what they found.
        examples: Indices of the digits to show.
    """
    factor = 128 // EPSILON
    sheet = Sheet(
        "LeNet-1 on handwritten digits, attacked by asking it alone",
        f"No value changes by more than {EPSILON} of 255 grey levels. Differences are shown {factor} times as large; "
        "mid-grey is zero.\nUnder each digit its class and probability, before and after. Shown is, per class, a digit "
        "that most attacks broke.",
        num_columns=max(len(examples), 6),
        cell=4 * SIDE,
    )
    clean = rows[0][1].records
    sheet.add_row(
        "original",
        [originals[i] for i in examples],
        [(_class_text(clean[i].class_before, clean[i].probability_before),) for i in examples],
    )
    for attack, result in rows:
        sheet.add_section(section_title(attack, result))
        found = [result.images[i] for i in examples]
        records = [result.records[i] for i in examples]
        sheet.add_row(
            "adversarial",
            found,
            [
                (
                    _class_text(record.class_before, record.probability_before),
                    _class_text(record.class_after, record.probability_after),
                )
                for record in records
            ],
        )
        sheet.add_row(
            "difference",
            [
                None if image is None else amplified_difference(originals[i], image, factor)
                for i, image in zip(examples, found, strict=True)
            ],
            [(counted_queries(record.queries),) for record in records],
        )
    return sheet.draw()


def section_title(attack: Attack, result: Result) -> str:
    """Return what the contact sheet says of an attack."""
    aim = "Untargeted" if attack.targets is None else f"Targeted at the {attack.targets.j}th likeliest class"
    setting = {"paper": "the paper's setting", "default": "the default"}[attack.setting]
    summary = result.summary()
    title = f"{aim}, {setting}: {100 * summary.TSR:.0f} % of {summary.attacked:,} digits"
    return f"{title}, median {counted_queries(round(summary.queries_median))}" if summary.verified else title


def _class_text(number: int | None, probability: float | None) -> str:
    return "-" if number is None or probability is None else f"{number}  {100 * probability:.0f} %"
