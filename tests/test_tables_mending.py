"""The paper's tables: what `dfa.repair` makes of the vectors that rounding lost, its price, and its distances."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


def _model(vectors):
    """A bright image is class 1 where its grey levels add up to more than 401, a dark one where they are not whole."""
    levels = 255.0 * np.asarray(vectors, dtype=float).reshape(len(vectors), -1)
    part = levels.sum(1) % 1
    is_other = np.where(levels[:, 0] > 75, levels.sum(1) > 401, (part > 0.2) & (part < 0.8))
    return np.stack([~is_other, is_other], axis=1).astype(float)


@pytest.fixture
def lost():
    """Images, their labels, and vectors: one that outward rounding mends, one that nothing does, and one not lost."""
    images = np.stack([np.full((2, 2, 1), level, dtype=np.uint8) for level in (100, 50, 100)])
    levels = images.astype(float)
    levels[0] += 0.4
    levels[1, 0, 0] += 0.4
    levels[2] += 1
    return images, levels / 255, np.zeros(3, dtype=np.int64)


def test_what_is_lost_is_repaired_and_priced(lost):
    from systems.counting import audit, figures_of

    images, vectors, labels = lost
    figures = figures_of(audit(_model, images, vectors, labels), 3.0)
    assert (figures["SR"], figures["TSR"], figures["GAP"]) == (1.0, 1 / 3, 2 / 3)
    mended = figures["mended"]
    assert (mended["lost"], mended["repaired"], mended["queries"]) == (2, 1, 1)
    assert mended["linf"] == pytest.approx([0.4, 1], rel=1e-4)
    assert mended["l2"] == pytest.approx([0.8, 2], rel=1e-4)
    # The other one has no image to be repaired to.
    assert audit(_model, images[1:2], vectors[1:2], labels[1:2]).mended == {
        "lost": 1,
        "repaired": 0,
        "queries": 0,
        "linf": [0.0, 0.0],
        "l2": [0.0, 0.0],
    }
    assert audit(_model, images[2:], vectors[2:], labels[2:]).mended == {}


def test_towards_a_target_only_the_target_counts_as_repaired(lost):
    from systems.counting import audit

    images, vectors, labels = lost

    def of_three(batch):
        answers = _model(batch)
        # Where outward rounding goes to is another class than that of the vector.
        is_far = 255.0 * np.asarray(batch, dtype=float).reshape(len(batch), -1).sum(1) > 403.5
        return np.concatenate([answers * ~is_far[:, None], is_far[:, None]], axis=1)

    def mended(target):
        return audit(of_three, images[:1], vectors[:1], labels[:1], targets=np.array([target])).mended

    assert (mended(1)["lost"], mended(1)["repaired"]) == (1, 1)
    assert mended(1)["queries"] > 1
    assert mended(1)["l2"][1] < 2
    assert mended(2) == {}


def test_a_row_in_parts_has_the_sums_of_its_parts():
    from systems.parts import joined

    part = {"images": 1, "SR": 1.0, "TSR": 0.0, "GAP": 1.0, "ATC": 1.0, "queries": None, "note": "N"}
    one = {"lost": 1, "repaired": 1, "queries": 3, "linf": [0.5, 1.0], "l2": [2.0, 3.0]}
    other = {"lost": 2, "repaired": 1, "queries": 5, "linf": [0.25, 2.0], "l2": [1.0, 1.5]}
    found = joined([part | {"mended": one}, part | {"mended": {}}, part, part | {"mended": other}])
    assert found["mended"] == {"lost": 3, "repaired": 2, "queries": 8, "linf": [0.75, 3.0], "l2": [3.0, 4.5]}
    assert joined([part])["mended"] == {}


def test_each_attack_that_lost_something_is_printed_once_with_means():
    from systems.published import read_printed
    from tables import bars, markdown

    def row(system, mended, table="4"):
        told = {"table": table, "system": system, "model": "A", "reason": "", "note": "", "remark": "", "paper": {}}
        rates = {"images": 4, "SR": 1.0, "TSR": 0.5, "GAP": 0.5, "ATC": 1.0, "queries": None}
        return told | rates | {"mended": mended}

    lost = {"lost": 2, "repaired": 2, "queries": 5, "linf": [1.0, 3.0], "l2": [4.0, 5.0]}
    never = {"lost": 2, "repaired": 0, "queries": 0, "linf": [0.0, 0.0], "l2": [0.0, 0.0]}
    rows = [row("X", lost), row("X", lost, table="8"), row("Y", {}), row("Z", never), row("W", never)]
    rows[3] |= {"owner": "4-z-a"}
    rows.append(rows[3] | {"table": "10"})
    lines = list(markdown(rows))
    first = lines.index("## What `dfa.repair` makes of what rounding lost") + 4
    assert lines[first : first + 4] == [
        "| X | A | 4 | 2 | 2 | 2.5 | 0.5 | 1.5 | 2 | 2.5 |",
        "| Z | A | 4 | 2 | 0 | - | - | - | - | - |",
        # As little came of it, but it is another attack.
        "| W | A | 4 | 2 | 0 | - | - | - | - | - |",
        "",
    ]
    printed = {("4", "X", "A"), ("8", "X", "A"), ("4", "Y", "A"), ("4", "Z", "A"), ("4", "W", "A"), ("10", "Z", "A")}
    assert set(read_printed(lines)) == printed
    (bar,) = (bar for bar in bars(rows) if "repair" in bar)
    assert bar.endswith("(3 rows): MISSED by 2: Z (A): 0.0 %; W (A): 0.0 %")
