"""ReluVal in small: symbolic intervals, and boxes of pixels that are halved until each is safe or holds a witness.

Wang, Pei, Whitehouse, Yang and Jana, "Formal Security Analysis of Neural Networks using Symbolic Intervals", USENIX
Security 2018. Kept are symbolic interval propagation, which lets a ReLU that may be on or off be anything up to its
highest value (Section 4.2), halving along the pixel whose gradient interval times its width, the smear value, is
largest (4.3), and pixels in which the output is monotone, which take an end (4.4). As in the original's code, a witness
is the middle of a box, and the upper half comes first.

It differs in this: a monotone pixel takes the end where the margin is least, not both in turn, since nothing is lower
at the other one; all of them do so at once; every box that is not safe has its middle looked at, not only a deep one;
and other classes are taken one by one, since what is monotone for one is not for another. Left out are threads.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from systems.context import Context, Result
from systems.counting import audit, figures_of
from systems.verifier import Network, Verdict, small_problem


class Margin(NamedTuple):
    """What symbolic intervals say of logit `label` minus logit `other` in a box.

    Attributes:
        least: Below every value that it takes.
        falls: (m,), below every derivative along a pixel.
        rises: (m,), above every derivative along a pixel.
    """

    least: float
    falls: NDArray[np.float64]
    rises: NDArray[np.float64]


def measure_reluval(context: Context, *, levels: int, number: int = 100, most_boxes: int = 1_000) -> Result:
    """Return what rounding leaves of ReluVal's witnesses.

    Args:
        context: Where the images are.
        levels: Grey levels by which every pixel may change.
        number: Images.
        most_boxes: For each image and other class.
    """
    network, images, labels, _ = small_problem(context, number)
    vectors = images / 255
    proven = 0
    started = time.perf_counter()
    for row, label in enumerate(labels):
        verdict = find(network, vectors[row].reshape(-1), levels / 255, int(label), most_boxes=most_boxes)
        proven += verdict.proven
        if verdict.vector is not None:
            vectors[row] = verdict.vector.reshape(vectors[row].shape)
    elapsed = time.perf_counter() - started
    audited = audit(network.logits, images, vectors, labels)
    return figures_of(
        audited,
        elapsed,
        note=f"its search in small, every pixel within {levels} grey levels, at most {most_boxes:,} boxes for a class; "
        f"proven safe: {proven} of {len(images)}",
    )


def find(network: Network, vector: NDArray[np.float64], radius: float, label: int, *, most_boxes: int) -> Verdict:
    """Return a vector near another that a network does not call `label`, or whether it is proven that there is none.

    Args:
        network: Of one hidden layer.
        vector: (m,), in 0..1.
        radius: By which every pixel may change, within 0..1.
        label: Class of the vector.
        most_boxes: For each other class; what is left then is not decided.
    """
    low, high = np.maximum(vector - radius, 0), np.minimum(vector + radius, 1)
    likeliest_first = np.argsort(-network.logits(vector[None])[0], kind="stable")
    proven = True
    for other in likeliest_first[likeliest_first != label]:
        verdict = _find(network, low, high, label, int(other), most_boxes)
        if verdict.vector is not None:
            return verdict
        proven &= verdict.proven
    return Verdict(None, proven=proven)


def _find(
    network: Network, low: NDArray[np.float64], high: NDArray[np.float64], label: int, other: int, most_boxes: int
) -> Verdict:
    """Return a vector of a box where `other` is above `label`."""
    boxes = [(low, high)]
    for _ in range(most_boxes):
        if not boxes:
            return Verdict(None, proven=True)
        low, high = boxes.pop()
        margin = margin_of(network, low, high, label, other)
        if margin.least > 0:
            continue
        middle = (low + high) / 2
        logits = network.logits(middle[None])[0]
        if logits[other] > logits[label]:
            return Verdict(middle, proven=False)
        width = high - low
        at_low, at_high = margin.falls >= 0, margin.rises <= 0
        if ((at_low | at_high) & (width > 0)).any():
            boxes.append((np.where(at_high, high, low), np.where(at_low & ~at_high, low, high)))
            continue
        smear = np.maximum(margin.rises, -margin.falls) * width
        pixel = int(smear.argmax())
        if width[pixel] == 0:
            continue  # a single point, which was looked at
        below, above = high.copy(), low.copy()
        below[pixel] = above[pixel] = middle[pixel]
        boxes += [(low, below), (above, high)]
    return Verdict(None, proven=not boxes)


def margin_of(network: Network, low: NDArray[np.float64], high: NDArray[np.float64], label: int, other: int) -> Margin:
    """Return what symbolic intervals and interval gradients say of a margin in a box, low (m,) to high (m,)."""
    least, most = network.hidden_bounds(low, high)
    weight = network.w2[label] - network.w2[other]
    is_on, is_open = least >= 0, (least < 0) & (most > 0)
    # Units that are on keep their equation; open ones are anything in 0..most.
    equation = weight[is_on] @ network.w1[is_on]
    constant = network.b2[label] - network.b2[other] + weight[is_on] @ network.b1[is_on]
    constant += np.minimum(weight[is_open] * most[is_open], 0).sum()
    each = weight[is_open, None] * network.w1[is_open]
    return Margin(
        float(constant + np.minimum(equation * low, equation * high).sum()),
        equation + np.minimum(each, 0).sum(0),
        equation + np.maximum(each, 0).sum(0),
    )
