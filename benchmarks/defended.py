"""Defended and non-differentiable models, each through the one loop of `dfa.run`.

- `robust`: an adversarially trained MNIST classifier at epsilon 76 (the setting of the MNIST challenge, paper section
  5.6), beside a white-box attack on the same images: PGD on the cross-entropy, 40 steps of 2.55 grey levels by the
  gradient's sign, 10 random restarts, the last iterate of each rounded to integers inside the ball and the box. The
  restart that succeeds counts, so white-box success is over all of them.
- `pipeline`: MobileNetV2-224 behind a JPEG of quality 75 and a 3x3 median filter, at epsilon 10 and 32; and, as against
  the HGD defence (section 5.6: epsilon 32, |Y| = 200), the paper's own optimizer.
- `tflite`: the 8-bit TFLite MobileNets, with their own quantised weights, at epsilon 10.
- `random`: MobileNetV1-160 behind random resizing and padding to 0.8..1 of the image, at epsilon 10, once with one
  answer as confirmation and once with 9 of 10. What either found is then asked about 100 times anew: the share of
  adversarial answers is what the image is worth.

The images are the first that the model (the clean answer of a pipeline; of the random one, the model behind it)
classifies correctly, and success is over all of them. Each part is written to the JSON when it is finished, beside the
parts that the JSON already holds, with its own versions and arguments.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa.oracle.pipelines import Jpeg, Median, RandomResizePad
from harness.arguments import make_parser
from harness.arrays import Classes, Images
from harness.inputs import ImageSet, first_correct, load_images, load_model, require_file
from harness.printing import print_table, verdict
from harness.results import now, read_results, versions, write_results

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

    def sign(batch: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(batch)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits(batch, training=False))
        return tf.sign(tape.gradient(losses, batch))

    sign = tf.function(sign, reduce_retracing=True)
    generator = np.random.default_rng(seed)
    fell = np.zeros(len(images), dtype=np.bool_)
    lower, upper = (
        np.maximum(images.astype(np.float32) - epsilon, 0),
        np.minimum(images.astype(np.float32) + epsilon, 255),
    )
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
    chosen, _ = first_correct(
        dfa.as_oracle(model), load_images(arguments.data, "mnist_test2000.npz"), arguments.images or 200, 64
    )
    started = time.perf_counter()
    fell = pgd(model, chosen.images, chosen.labels, 76, seed=0, batch_size=100)
    white_box = {
        "name": f"PGD-{_STEPS}, {_RESTARTS} restarts (white-box)",
        "images": len(fell),
        "success": float(fell.mean()),
        "fell": fell.tolist(),
        "seconds": time.perf_counter() - started,
    }
    budget = arguments.max_queries or 20_000
    result = dfa.run(
        model, chosen.images, chosen.labels, epsilon=76, max_queries=budget, batch_size=256, progress=arguments.progress
    )
    return [white_box, row_of("dfa, default", result)]


def pipeline(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Attack MobileNetV2 behind JPEG and a median filter."""
    model = load_model(arguments.data, "mobilenet_v2_224.keras")
    defended = dfa.Pipeline([Jpeg(75), Median(3)], model, threads=2)
    images = load_images(arguments.data, "imagenet100_224.npz")
    chosen, _ = first_correct(defended, images, arguments.images or 20, 64)
    few = ImageSet(chosen.images[:5], chosen.labels[:5])
    budget = arguments.max_queries
    settings: list[tuple[str, ImageSet, dict[str, Any]]] = [
        ("default, epsilon 32", chosen, {"epsilon": 32, "max_queries": budget or 2_000}),
        ("default, epsilon 10", chosen, {"epsilon": 10, "max_queries": budget or 2_000}),
        (
            "paper, |Y| = 200, epsilon 32",
            few,
            {"epsilon": 32, "max_queries": budget or 500, "optimizer": dfa.Racos.paper(coordinates=200)},
        ),
    ]
    return [
        row_of(name, dfa.run(defended, *some, **words, batch_size=32, progress=arguments.progress))
        for name, some, words in settings
    ]


def tflite(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Attack the 8-bit models."""
    rows = []
    for name, images, number in (
        ("mobilenet_v1_160_int8.tflite", "imagenet100_160.npz", 100),
        ("mobilenet_v2_224_int8.tflite", "imagenet100_224.npz", 20),
    ):
        oracle = dfa.TfliteOracle(require_file(arguments.data / "models" / name), class_offset=1)
        chosen, _ = first_correct(oracle, load_images(arguments.data, images), arguments.images or number, 64)
        budget = arguments.max_queries or 2_000
        result = dfa.run(oracle, *chosen, epsilon=10, max_queries=budget, batch_size=64, progress=arguments.progress)
        rows.append(row_of(f"{name}, epsilon 10", result))
    return rows


def random(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Attack MobileNetV1 behind random resizing and padding, with and without repeated answers."""
    model = load_model(arguments.data, "mobilenet_v1_160.keras")
    chosen, _ = first_correct(
        dfa.as_oracle(model), load_images(arguments.data, "imagenet100_160.npz"), arguments.images or 20, 64
    )
    rows = []
    for name, confirmations in (("1 of 1", dfa.Confirmation()), ("9 of 10", dfa.Confirmation(9, of=10))):
        defended = dfa.Pipeline([RandomResizePad(0.8, seed=0)], model)
        result = dfa.run(
            defended,
            *chosen,
            epsilon=10,
            confirmations=confirmations,
            max_queries=arguments.max_queries or 1_000,
            batch_size=32,
            progress=arguments.progress,
        )
        shares = worth(dfa.Pipeline([RandomResizePad(0.8, seed=1)], model), result)
        row = row_of(f"confirmed by {name}", result)
        rows.append(
            {**row, "worth_mean": float(np.mean(shares)), "worth_least": float(np.min(shares)), "worth": shares}
        )
    return rows


def worth(oracle: dfa.Oracle, result: dfa.Result) -> list[float]:
    """Return, for each image found, the share of 100 new answers that are adversarial."""
    oracle.prepare(result.config["shape"], 100)
    shares = []
    for record in result.records:
        image = result.images[record.index]
        if image is not None:
            classes = np.argmax(oracle.scores(np.repeat(image[np.newaxis], 100, axis=0)), axis=1)
            shares.append(float((classes != record.class_before).mean()))
    return shares


def row_of(name: str, result: dfa.Result) -> dict[str, Any]:
    """Return what came of a run."""
    summary, profile = result.summary(), result.profile
    return {
        "name": name,
        "images": summary.attacked,
        "success": summary.TSR,
        "found": summary.SR,
        "skipped": summary.skipped,
        "confidence": summary.confidence,
        "unconfirmed": summary.unconfirmed,
        "clean": profile.clean,
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


PARTS: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    "robust": robust,
    "pipeline": pipeline,
    "tflite": tflite,
    "random": random,
}


def print_tables(parts: dict[str, Any]) -> None:
    """Print a table per part."""
    for part, found in parts.items():
        rows = [
            [
                row["name"],
                row["images"],
                f"{100 * row['success']:.1f} %",
                *(_number(row.get(name)) for name in ("queries_mean", "queries_median", "queries_p90", "max_queries")),
                _number(row.get("unconfirmed")),
                *("-" if row.get(name) is None else f"{row[name]:.2f}" for name in ("worth_mean", "worth_least")),
                _number(row["seconds"]),
            ]
            for row in found["rows"]
        ]
        headers = ["images", "success", "mean", "median", "90 %", "budget", "unconfirmed", "worth", "least", "seconds"]
        print_table([part, *headers], rows)
        print()


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:,.6g}" if isinstance(value, int) else f"{value:,.1f}"


def judge(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bars that the parts can be held against, and whether they are met."""
    bars = []

    def hold(part: str, bar: str, is_met: Callable[[list[dict[str, Any]]], bool]) -> None:
        if part in parts:
            bars.append({"bar": bar, "met": bool(is_met(parts[part]["rows"]))})

    hold(
        "robust",
        "success at least 0.95 of white-box PGD's",
        lambda rows: rows[1]["success"] >= 0.95 * rows[0]["success"],
    )
    hold("pipeline", "JPEG and median at epsilon 32: at least 95 %", lambda rows: rows[0]["success"] >= 0.95)
    hold(
        "tflite",
        "8-bit MobileNetV1 at epsilon 10: 100 % within 2,000 queries",
        lambda rows: rows[0]["success"] == 1 and max(rows[0]["queries"]) <= 2_000,
    )
    return bars


def main() -> None:
    """Measure the parts that were asked for, print tables, and write the JSON."""
    parser = make_parser("defended", __doc__)
    parser.description = __doc__
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure")
    parser.add_argument("--images", type=int, help="of every part, instead of its own number")
    parser.add_argument("--max-queries", type=int, help="per image, instead of the part's own budget")
    parser.add_argument("--progress", action="store_true", help="show progress")
    arguments = parser.parse_args()
    parts: dict[str, Any] = read_results(arguments.out, {})
    for name in arguments.only:
        parts[name] = {
            "date": now(),
            "arguments": {key: str(value) for key, value in vars(arguments).items()},
            "versions": versions(),
            "rows": PARTS[name](arguments),
        }
        write_results(arguments.out, arguments, parts, bars=judge(parts))
    print_tables(parts)
    for bar in judge(parts):
        print(f"{verdict(bar['met'])}: {bar['bar']}")


if __name__ == "__main__":
    main()
