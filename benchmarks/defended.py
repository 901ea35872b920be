"""Defended and non-differentiable models, each through the one loop of `dfa.run`.

- `robust`: an adversarially trained MNIST classifier at epsilon 76 (the setting of the MNIST challenge, paper section
  5.6), beside a white-box attack on the same images: PGD on the cross-entropy, 40 steps of 2.55 grey levels by the
  gradient's sign, 10 random restarts, the last iterate of each rounded to integers inside the ball and the box. The
  restart that succeeds counts, so white-box success is over all of them.

The images are the first that the model classifies correctly, and success is over all of them. Each part is written to
the JSON when it is finished, beside the parts that the JSON already holds, with its own versions and arguments.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from common import ImageSet, load_images, load_model, make_parser, print_table, write_report
from dfa.types import Classes, Images

_STEPS, _STEP, _RESTARTS = 40, 2.55, 10


def pgd(model: Any, images: Images, labels: Classes, epsilon: int, *, seed: int, batch_size: int) -> NDArray[np.bool_]:
    """Attack with the model's gradients, and return which images fell as integers: bool, (N,).

    Args:
        model: Takes 0..255; the layer before its softmax is called "logits".
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
        epsilon: Grey levels.
        seed: Of the random starts.
        batch_size: Images per gradient.
    """
    keras, tf = importlib.import_module("keras"), importlib.import_module("tensorflow")
    logits = keras.Model(model.inputs, model.get_layer("logits").output)

    @tf.function(reduce_retracing=True)
    def sign(batch: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(batch)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits(batch, training=False))
        return tf.sign(tape.gradient(losses, batch))

    generator = np.random.default_rng(seed)
    fell = np.zeros(len(images), dtype=np.bool_)
    lower, upper = np.maximum(images.astype(np.float32) - epsilon, 0), np.minimum(images.astype(np.float32) + epsilon, 255)
    for _ in range(_RESTARTS):
        for start in range(0, len(images), batch_size):
            some = np.flatnonzero(~fell[start : start + batch_size]) + start
            if not some.size:
                continue
            low, high = lower[some], upper[some]
            noise = generator.uniform(-epsilon, epsilon, images[some].shape).astype(np.float32)
            batch = tf.constant(np.clip(images[some] + noise, low, high))
            for _ in range(_STEPS):
                batch = tf.clip_by_value(batch + _STEP * sign(batch, tf.constant(labels[some])), low, high)
            rounded = np.rint(batch.numpy())
            fell[some] = logits(rounded, training=False).numpy().argmax(axis=1) != labels[some]
    return fell


def robust(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Attack the adversarially trained MNIST model, by queries and by gradients."""
    model = load_model(arguments.data, "mnist_robust.keras")
    chosen = correct(dfa.as_oracle(model), load_images(arguments.data, "mnist_test2000.npz"), arguments.images or 200)
    started = time.perf_counter()
    fell = pgd(model, chosen.images, chosen.labels, 76, seed=0, batch_size=100)
    white_box = {
        "name": f"PGD-{_STEPS}, {_RESTARTS} restarts (white-box)",
        "images": len(fell),
        "success": float(fell.mean()),
        "fell": fell,
        "seconds": time.perf_counter() - started,
    }
    budget = arguments.max_queries or 20_000
    result = dfa.run(
        model, chosen.images, chosen.labels, epsilon=76, max_queries=budget, batch_size=256, progress=arguments.progress
    )
    return [white_box, row_of("dfa, default", result)]


def correct(oracle: dfa.Oracle, images: ImageSet, number: int) -> ImageSet:
    """Return the first images that an oracle classifies correctly."""
    from dfa.oracle.gate import Gate, Purpose

    gate = Gate(oracle, num_images=len(images.images), max_queries=0)
    gate.prepare(images.images.shape[1:], 64)
    kept: list[int] = []
    for start in range(0, len(images.images), 64):
        some = np.arange(start, min(start + 64, len(images.images)))
        classes = gate.ask(images.images[some], some, Purpose.CLEAN).argmax(axis=1)
        kept += some[classes == images.labels[some]].tolist()
        if len(kept) >= number:
            break
    return ImageSet(images.images[kept[:number]], images.labels[kept[:number]])


def row_of(name: str, result: dfa.Result) -> dict[str, Any]:
    """Return what came of a run."""
    summary, profile = result.summary(), result.profile
    return {
        "name": name,
        "images": summary.attacked,
        "success": summary.TSR,
        "found": summary.SR,
        "queries_mean": summary.queries_mean,
        "queries_median": summary.queries_median,
        "queries_p90": summary.queries_p90,
        "queries_mean_with_failures": summary.queries_mean_with_failures,
        "queries": [record.queries if record.verified else None for record in result.records],
        "max_queries": summary.max_queries,
        "seconds": profile.wall,
        "queries_per_second": profile.queries_per_second,
        "verification": profile.verification,
        "optimizer": result.config["optimizer"],
    }


PARTS: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {"robust": robust}


def main() -> None:
    """Measure the parts that were asked for, print tables, and write the JSON."""
    parser = make_parser("defended", __doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure")
    parser.add_argument("--images", type=int, help="of every part, instead of its own number")
    parser.add_argument("--max-queries", type=int, help="per image, instead of the part's own budget")
    parser.add_argument("--progress", action="store_true", help="show progress")
    arguments = parser.parse_args()
    parts = json.loads(arguments.out.read_text())["results"] if arguments.out.is_file() else {}
    for name in arguments.only:
        parts[name] = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "dfa": dfa.__version__,
            "rows": PARTS[name](arguments),
        }
        write_report(arguments.out, arguments, parts)


if __name__ == "__main__":
    main()
