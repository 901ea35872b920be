"""Prints a digest of whole runs, to be held against that of another build: `python tests/digest.py`.

Two builds that find the same by the same queries print the same lines. A line is a setting, its successes, queries and
images sent, and three short digests: of every batch that the oracle was asked, in order; of the records, but for
seconds; and of the adversarial images. Only the public names of dfa are used, so the script runs with any build.

    python tests/digest.py                         settings on exact oracles that are made here, some seconds
    python tests/digest.py --data ../shared/data   three more, on real digits and a real model
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import dfa
from oracles import Images, LazyImages, LinearClassifier, Recorder, Scores, Until, raising, random_images

CLASSIFIER = LinearClassifier()
IMAGES = random_images(40, seed=3)
IMAGES[17] = IMAGES[5]  # the streams of copies are numbered
SETTINGS: dict[str, Callable[[Any], dfa.Result]] = {}


class Noisy:
    """A randomised classifier whose noise depends on how often it was asked, so that a run can be repeated."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, images: Images) -> Scores:
        self._calls += 1
        noise = np.random.default_rng(self._calls).integers(-60_000, 60_000, (len(images), 10))
        activations = CLASSIFIER.activations(images) + noise
        positive = activations - activations.min(axis=1, keepdims=True) + 1
        return positive / positive.sum(axis=1, keepdims=True)


def setting(name: str, oracle: Callable[[Images], Any] = CLASSIFIER, images: Any = IMAGES, **arguments: Any) -> None:
    """Add a run to the settings."""
    kind, arguments = _settings(arguments)
    SETTINGS[name] = lambda recorder: dfa.run(kind(recorder(oracle)), images, **arguments, progress=False)


def resumed(name: str, num_calls: int, oracle: Callable[[], Callable[[Images], Any]], **arguments: Any) -> None:
    """Add a run that an oracle's error ends in its middle, and that is then taken up again."""
    kind, arguments = _settings(arguments)

    def run(recorder: Any) -> dfa.Result:
        with tempfile.TemporaryDirectory() as folder:
            storage = dfa.Storage(Path(folder), resume=True, interval=200)
            attack = functools.partial(dfa.run, images=IMAGES, store=storage, progress=False, **arguments)
            ask = recorder(oracle())
            try:
                attack(kind(Until(num_calls, ask, raising(RuntimeError("cut off")))))
            except dfa.OracleError:
                pass
            else:
                raise SystemExit(f"the run {name} ended before it was cut off")
            found = attack(kind(ask))
            images = [None if image is None else image.copy() for image in found.images]
            return dataclasses.replace(found, images=_Held(images))

    SETTINGS[name] = run


class _Held(list[Any]):
    """Images that outlive their folder."""

    def held(self) -> list[int]:
        return [index for index, image in enumerate(self) if image is not None]


def _settings(given: dict[str, Any]) -> tuple[Callable[[Any], Any], dict[str, Any]]:
    arguments = {"epsilon": 5, "max_queries": 400, "batch_size": 16, **given}
    if "space" in arguments:
        del arguments["epsilon"]
    return arguments.pop("kind", lambda ask: ask), arguments


def _added(originals: Images, vectors: Any) -> Images:
    return np.clip(originals + vectors.reshape(originals.shape), 0, 255).astype(np.uint8)


def _unreadable() -> Images:
    raise OSError("no such image")


LABELS = CLASSIFIER.classes(IMAGES)
LABELS[::7] = (LABELS[::7] + 1) % 10
EPSILONS = np.arange(3, 43, dtype=np.int64) % 9 + 1
MASK = np.random.default_rng(5).integers(0, 12, (6, 6, 3))
TOP_3 = functools.partial(dfa.top_k, k=3, num_classes=10)
TOP_1 = functools.partial(dfa.top_1, num_classes=10)
LABEL = functools.partial(dfa.label_only, num_classes=10)
INDEPENDENT = dfa.Racos(archive=False)
PAPER = {"optimizer": dfa.Racos.paper(), "max_queries": 2_000}
PAPER_TARGETED = {"optimizer": dfa.Racos.paper(targeted=True), "targets": dfa.rank(3), "max_queries": 4_000}

setting("default")
setting("default, targeted", targets=dfa.rank(3), max_queries=2_000)
setting("default, one class for all", targets=4, max_queries=2_000, epsilon=9)
setting("independent", optimizer=INDEPENDENT)
setting("independent, targeted", optimizer=INDEPENDENT, targets=dfa.rank(3), max_queries=2_000)
setting("paper", **PAPER)
setting("paper, targeted", **PAPER_TARGETED)
setting("paper, per coordinate", optimizer=dataclasses.replace(PAPER["optimizer"], region="per_coordinate"))
setting("larger population", optimizer=dfa.Racos(samples=4, positives=3, archive=False, restart_after=64))
setting("seed, threads, batches of 7", seed=2**63 + 5, threads=2, batch_size=7)
setting("labels, an unreadable image", images=LazyImages(IMAGES, {9: _unreadable}), labels=LABELS)
setting("epsilon per image", epsilon=EPSILONS)
setting("epsilon per coordinate, ids", epsilon=MASK, ids=np.arange(100, 140))
setting("tiny budget, paper's degree", objective="paper", max_queries=20, epsilon=3)
setting("Pixels", space=dfa.Pixels(2))
setting("Pixels, targeted", space=dfa.Pixels(4), targets=dfa.rank(2))
setting("Patch", space=dfa.Patch(3))
setting("Frame", space=dfa.Frame(1))
setting("Rectangle", space=dfa.Rectangle(height=3, width=3))
setting("TinyRectangles", space=dfa.TinyRectangles(number=4, size=1))
setting("Lighting", space=dfa.Lighting(brightness=40, contrast=40))
setting("Tiled", space=dfa.Tiled(factor=2, base=dfa.LinfBall(8)))
setting("Shift", space=dfa.Shift(rows=3, columns=3))
setting("Custom", space=dfa.Custom(np.full(108, -6), np.full(108, 6), _added))
setting("top 3, targeted", kind=TOP_3, targets=dfa.rank(3), epsilon=9)
setting("top 1, targeted", kind=TOP_1, targets=4, epsilon=12)
setting("labels only", kind=LABEL, epsilon=9)
setting("labels only, targeted", kind=LABEL, targets=4, epsilon=20)
setting("confirmations", Noisy(), confirmations=dfa.Confirmation(4, of=5))
setting("confirmations, targeted", Noisy(), confirmations="2/3", targets=dfa.rank(2), epsilon=9)
resumed("resumed", 50, lambda: CLASSIFIER)
resumed("resumed, targeted", 200, lambda: CLASSIFIER, targets=dfa.rank(3), max_queries=2_000)
resumed("resumed, paper", 100, lambda: CLASSIFIER, **PAPER)
resumed("resumed, labels only", 60, lambda: CLASSIFIER, kind=LABEL, epsilon=9)
resumed("resumed, confirmations", 60, Noisy, confirmations=dfa.Confirmation(4, of=5))
resumed("resumed, Lighting", 20, lambda: CLASSIFIER, space=dfa.Lighting(brightness=40, contrast=40))


def add_real(data: Path) -> None:
    """Add runs on the first MNIST digits and LeNet-1."""
    import keras

    model = keras.models.load_model(data / "models" / "lenet1.keras")
    with np.load(data / "mnist_test2000.npz") as arrays:
        images, labels = arrays["images"][:100], arrays["labels"][:100]
    real: dict[str, Any] = {"images": images, "labels": labels, "epsilon": 64, "batch_size": 64, "max_queries": 2_000}
    ask = dfa.as_oracle(model)
    setting("LeNet-1", ask, kind=dfa.as_oracle, **real)
    setting("LeNet-1, targeted", ask, kind=dfa.as_oracle, targets=dfa.rank(4), **real)
    setting("LeNet-1, paper", ask, kind=dfa.as_oracle, optimizer=dfa.Racos.paper(), **real)


def record_of(record: Any) -> str:
    """Return a record's fields as text, whatever their order, but for what a clock decides."""
    fields: Mapping[str, Any] = {each.name: getattr(record, each.name) for each in dataclasses.fields(record)}
    return repr(sorted((name, repr(value)) for name, value in fields.items() if name != "seconds"))


def short(parts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of images and models")
    arguments = parser.parse_args()
    if arguments.data is not None:
        add_real(arguments.data)
    everything = hashlib.sha256()
    for name, run in SETTINGS.items():
        recorders: list[Recorder] = []

        def recorder(ask: Any, recorders: list[Recorder] = recorders) -> Recorder:
            # A model's adapter is asked through its own scores, so that all of them are recorded alike.
            recorders.append(Recorder(ask.scores if isinstance(ask, dfa.Oracle) else ask))
            return recorders[-1]

        result = run(recorder)
        asked = short([batch.tobytes() for each in recorders for batch in each.batches])
        records = short([record_of(record).encode() for record in result.records])
        images = short([b"-" if image is None else image.tobytes() for image in result.images])
        line = (
            f"{name:32} {int(result.success.sum()):4} {int(result.queries.sum()):8} "
            f"{int(result.queries_sent.sum()):8} {asked} {records} {images}"
        )
        everything.update(line.encode())
        print(line, flush=True)
    print(f"{'all of them':32} {everything.hexdigest()[:24]}")


if __name__ == "__main__":
    main()
