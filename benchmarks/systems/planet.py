"""Planet in small: a complete search over the phases of ReLUs, pruned by a linear relaxation of the whole network.

Ehlers, "Formal Verification of Piece-Wise Linear Feed-Forward Neural Networks", ATVA 2017. Kept are the relaxation of
every ReLU by the triangle over its bounds (Section 3.1), the linear program over the whole network with all that is
asserted of it, whose objective is the sum of the ReLUs without a phase, and the search, which ends where the program's
values are the network's (Section 4). Left out are the clauses that a SAT solver learns from infeasible programs, which
save time and change no verdict, and bounds tightened by further programs.

What is asserted is that of Planet's script for MNIST in its mode ROBUST: pixels near an image, and the target's logit
above every other one by 1e-6. The paper used the mode GIVE, where pixels may be anything; there the images of a target
are all the same. The script divides pixels by 256, truncates what it writes, and leaves a border of three pixels alone;
here 255 grey levels are 1, the audit rounds, and every pixel may change.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog  # type: ignore[import-untyped]

from systems.context import Context, Result
from systems.counting import audit, figures_of
from systems.verifier import REACH, Network, Verdict, small_problem

_MARGIN = 1e-6
"""By which the target must win, as in Planet's script."""

_PRECISE = 1e-8
"""How far a ReLU's value in the program may be from the network's, as in Planet."""

_OPEN, _OFF, _ON = -1, 0, 1
"""Phases of a ReLU."""


def measure_planet(context: Context, *, number: int = 100, most_programs: int = 500) -> Result:
    """Return what rounding leaves of Planet's counterexamples of the runner-up class within 80 grey levels.

    Args:
        context: Where the images are.
        number: Images.
        most_programs: Linear programs for each.
    """
    network, images, labels, targets = small_problem(context, number)
    vectors = images / 255
    proven = 0
    started = time.perf_counter()
    for row, target in enumerate(targets):
        middle = vectors[row].reshape(-1)
        low, high = np.maximum(middle - REACH / 255, 0), np.minimum(middle + REACH / 255, 1)
        verdict = find(network, low, high, int(target), most_programs=most_programs)
        proven += verdict.proven
        if verdict.vector is not None:
            vectors[row] = verdict.vector.reshape(vectors[row].shape)
    elapsed = time.perf_counter() - started
    audited = audit(network.logits, images, vectors, labels, targets=targets)
    return figures_of(
        audited,
        elapsed,
        note=f"its search in small over HiGHS, an image of the runner-up class within {REACH} grey levels; proven that "
        f"there is none: {proven} of {len(images)}",
    )


def find(
    network: Network, low: NDArray[np.float64], high: NDArray[np.float64], target: int, *, most_programs: int
) -> Verdict:
    """Return a vector of a box that a network calls `target`, or whether it is proven that there is none.

    Args:
        network: Of one hidden layer.
        low: (m,), lower ends of the box.
        high: (m,), upper ends of the box.
        target: Class whose logit is to be above the others by 1e-6.
        most_programs: After so many linear programs the search gives up, and nothing is proven.
    """
    least, most = network.hidden_bounds(low, high)
    open_nodes = [np.where(least >= 0, _ON, np.where(most <= 0, _OFF, _OPEN))]
    for _ in range(most_programs):
        if not open_nodes:
            return Verdict(None, proven=True)
        phases = open_nodes.pop()
        solution = _relaxed(network, low, high, target, phases)
        if solution is None:
            continue
        vector, hidden = solution
        above = np.where(phases == _OPEN, hidden - np.maximum(network.w1 @ vector + network.b1, 0), 0)
        if above.max() <= _PRECISE:
            return Verdict(vector, proven=False)
        unit = int(above.argmax())
        # The objective holds open units down, so one that is too high is wanted on: that phase is tried first.
        for phase in (_OFF, _ON):
            node = phases.copy()
            node[unit] = phase
            open_nodes.append(node)
    return Verdict(None, proven=not open_nodes)


def _relaxed(
    network: Network, low: NDArray[np.float64], high: NDArray[np.float64], target: int, phases: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return pixels (m,) and ReLUs (h,) with the least sum of open ReLUs, or None where the relaxation has none.

    An open ReLU y of x in l..u is in the triangle y >= 0, y >= x, y <= u (x - l) / (u - l).
    """
    least, most = network.hidden_bounds(low, high)
    is_open = phases == _OPEN
    spread = np.where(is_open, most - least, 1)
    slope = np.where(is_open, most / spread, phases)[:, None]
    shift = np.where(is_open, least, 0)
    one = np.eye(len(network.b1))
    others = np.delete(np.arange(len(network.b2)), target)
    wins = network.w2[others] - network.w2[target]
    program = linprog(
        np.concatenate([np.zeros(len(low)), is_open.astype(float)]),
        A_ub=np.block([[network.w1, -one], [-slope * network.w1, one], [np.zeros((len(others), len(low))), wins]]),
        b_ub=np.concatenate(
            [-network.b1, slope[:, 0] * (network.b1 - shift), network.b2[target] - network.b2[others] - _MARGIN]
        ),
        bounds=np.stack(
            [np.concatenate([low, np.zeros(len(phases))]), np.concatenate([high, np.maximum(most, 0)])], axis=1
        ),
        options={"primal_feasibility_tolerance": 1e-9},
    )
    if program.x is None:
        return None
    return program.x[: len(low)].clip(low, high), program.x[len(low) :]
