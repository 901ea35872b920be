"""`python -m dfa.selftest`: whether this build does what it should, in seconds, with NumPy alone.

The oracle is exact: whole numbers and one division, which are the same on every machine. So are the core, which uses no
function that a machine's library rounds in its own way, and the degrees of the paper. What a search finds must then be
the same to the bit everywhere, and what it was on the machine where the digests below were taken.

The default ranks by degrees of logarithms, whose last bits are a machine's own. So its known trajectories are of the
default with the paper's degree, and its own degree is held to its formula, a little apart.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa import _core
from dfa.files import UNREAD, let_go_of_output

SHAPE: Final = (12, 12, 3)
EPSILON: Final = 9
NUMBER: Final = 6

GOLDEN: Final = {
    "the paper's setting": "147a88e87dbd54e3",
    "the paper's setting, targeted": "ffc1644f37d42fa2",
    "the default with the paper's degree": "56b635d56ff4bc40",
    "the default with the paper's degree, targeted": "d352d257803ca519",
    "few pixels": "37fa0caa081fafb5",
    "labels alone": "f895f882d8f2b5e5",
}
"""Digests of runs, by what is run."""


@dataclasses.dataclass(frozen=True)
class Check:
    """What was looked at.

    Attributes:
        name: In words.
        fault: What is wrong; empty where nothing is.
    """

    name: str
    fault: str


class Classifier:
    """A linear classifier of five classes with small whole weights, which holds every image to the ball around one."""

    def __init__(self) -> None:
        """Draw the weights, the same everywhere."""
        random = np.random.Generator(np.random.Philox(1))
        weights = random.integers(-9, 10, (int(np.prod(SHAPE)), 5))
        self._weights = weights * len(weights) - weights.sum(axis=0)
        self.original: NDArray[np.uint8] | None = None
        self.num_beyond = 0

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return probabilities, float64 (n, 5)."""
        if self.original is not None:
            self.num_beyond += int((np.abs(images.astype(np.int16) - self.original) > EPSILON).sum())
        activations = images.reshape(len(images), -1).astype(np.int64) @ self._weights
        positive = activations - activations.min(axis=1, keepdims=True) + 1
        scores: NDArray[np.float64] = positive / positive.sum(axis=1, keepdims=True)
        return scores


def images() -> NDArray[np.uint8]:
    """Return uint8 (6, 12, 12, 3), some values at the ends."""
    random = np.random.Generator(np.random.Philox(2))
    return random.integers(0, 256, (NUMBER, *SHAPE), dtype=np.uint8)


def runs() -> dict[str, dict[str, Any]]:
    """Return the arguments of `dfa.run` behind each digest."""
    default: dict[str, Any] = {"objective": "paper"}
    target = {"targets": dfa.rank(3)}
    ball: dict[str, Any] = {"epsilon": EPSILON, "max_queries": 400}
    return {
        "the paper's setting": ball | {"optimizer": dfa.Racos.paper()},
        "the paper's setting, targeted": ball | {"optimizer": dfa.Racos.paper(targeted=True)} | target,
        "the default with the paper's degree": ball | default | {"epsilon": 3},
        "the default with the paper's degree, targeted": ball | default | target,
        "few pixels": {"space": dfa.Pixels(4), "max_queries": 200, "objective": "paper"},
        "labels alone": ball | {"epsilon": 2},
    }


def digest_of(name: str, threads: int = 1, batch_size: int = 32) -> str:
    """Return the digest of one run: of statuses, queries, degrees and images."""
    oracle: Any = dfa.as_oracle(Classifier(), num_classes=5)
    if name == "labels alone":
        oracle = dfa.label_only(oracle)
    result = dfa.run(oracle, images(), threads=threads, batch_size=batch_size, progress=False, **runs()[name])
    told = [
        [record.status.value, record.queries, record.queries_sent, float(record.degree or 0.0).hex()]
        for record in result.records
    ]
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update(np.ascontiguousarray(result.adversarial()).tobytes())
    return digest.hexdigest()[:16]


def beyond_epsilon(optimizer: dfa.Racos) -> str:
    """Say how many values of candidates lay beyond epsilon; empty if none did."""
    classifier = Classifier()
    for image in images():
        classifier.original = image
        dfa.run(classifier, image[np.newaxis], epsilon=EPSILON, max_queries=300, optimizer=optimizer, progress=False)
    return f"{classifier.num_beyond} values lay beyond {EPSILON} grey levels" if classifier.num_beyond else ""


def wrong_degrees() -> str:
    """Say where the default's degrees are not what their formulas give; empty if they are."""
    scores = Classifier()(images())
    for row, classes in enumerate(np.argsort(-scores, axis=1, kind="stable").tolist()):
        first, second, target = (float(scores[row, each]) for each in (classes[0], classes[1], classes[2]))
        untargeted = math.log(first) - math.log(second)
        targeted = math.log(1 - target) - math.log(target)
        ids = np.array([classes[0]]), np.array([classes[2]])
        one = scores[row : row + 1]
        odds = dfa.objectives.ODDS
        found = (float(odds.untargeted(one, ids[0])[0]), float(odds.targeted(one, ids[1])[0]))
        if not np.allclose(found, (untargeted, targeted), rtol=1e-9, atol=0):
            return f"image {row}: {found}, expected {(untargeted, targeted)}"
    return ""


def other_trajectory(name: str) -> str:
    """Say which digest a run has; empty if it is the known one."""
    found = digest_of(name)
    return "" if found == GOLDEN[name] else f"{found}, expected {GOLDEN[name]}"


def other_by_threads_or_batches(name: str) -> str:
    """Say which digests a run has with one thread and with two; empty if they are the same."""
    one, other = digest_of(name), digest_of(name, threads=2, batch_size=7)
    return "" if one == other else f"{other}, was {one}"


def checks() -> Iterator[Check]:
    """Look at everything, one after another; what raises is a fault like any other."""
    yield _looked_at("every candidate lies within epsilon, the paper's setting", beyond_epsilon, dfa.Racos.paper())
    yield _looked_at("every candidate lies within epsilon, the default", beyond_epsilon, dfa.Racos())
    yield _looked_at("the default's degrees are those of their formulas", wrong_degrees)
    for name in GOLDEN:
        yield _looked_at(f"{name}: the known trajectory", other_trajectory, name)
        yield _looked_at(f"{name}: the same with other threads and batches", other_by_threads_or_batches, name)


def _looked_at(name: str, look: Callable[..., str], *arguments: Any) -> Check:
    try:
        return Check(name, look(*arguments))
    except Exception as error:  # a build that is wrong may fail anywhere
        return Check(name, f"{type(error).__name__}: {error}")


def build() -> dict[str, str]:
    """Return what this build is, and where it runs."""
    return {
        "dfa": dfa.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "machine": platform.machine(),
    } | {name: str(value) for name, value in _core.build_info().items()}


def main() -> int:
    """Print what was looked at, and return 0 if all of it holds, else 1."""
    print(", ".join(f"{name} {value}" for name, value in build().items()))
    num_faults = 0
    for check in checks():
        num_faults += bool(check.fault)
        print(
            f"{'FAULT' if check.fault else 'ok   '}  {check.name}{': ' if check.fault else ''}{check.fault}", flush=True
        )
    if num_faults:
        print(
            f"{num_faults} of these do not hold: do not trust what this build finds. Report all the lines above, and "
            "how dfa was installed.",
            file=sys.stderr,
        )
    return int(num_faults > 0)


def _until_nobody_reads() -> int:
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        let_go_of_output()
        return UNREAD
    return status


if __name__ == "__main__":
    sys.exit(_until_nobody_reads())
